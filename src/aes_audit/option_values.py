"""What options take: the parsers of their values, each with a sentence for what it refuses."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["PINNED", "RepeatPlan", "choice", "pinned", "positive", "reason", "repeats", "us_dollars"]

REPEATS = ("rescore", "regenerate")
PINNED = ("on", "off")


class RepeatPlan(NamedTuple):
    """How --audit-calibrate repeats an audit."""

    mode: str
    """`rescore`: the same images, fresh scores; `regenerate`: new seeds."""
    runs: int
    """Number of repeats, at least two."""


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: give a whole number of 1 or more")
    return value


def us_dollars(text: str) -> float:
    """US dollars, 0 or more and finite."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: give US dollars, for instance 5 or 2.50")
    return value


def reason(text: str) -> str:
    """A reason of one line; not blank."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: say in a few words why the numbers changed")
    return " ".join(text.split())


def repeats(text: str) -> RepeatPlan:
    """MODE:R as --audit-calibrate takes it."""
    mode, _, runs = text.partition(":")
    if mode not in REPEATS or not runs.isdecimal() or int(runs) < 2:
        raise argparse.ArgumentTypeError(
            f"invalid value {text!r}: give {' or '.join(f'{name}:R' for name in REPEATS)}, "
            "R the number of repeats, 2 or more (5 or more are recommended)"
        )
    return RepeatPlan(mode, int(runs))


def choice(*allowed: str) -> Callable[[str], str]:
    """A parser that takes only these words."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise argparse.ArgumentTypeError(f"invalid value {text!r}: choose {', '.join(allowed)}")
        return text

    return parse


def pinned(text: str) -> str:
    """One of PINNED."""
    if text not in PINNED:
        # The flag alone takes what follows for its value, and what follows may be the path of the audits.
        raise argparse.ArgumentTypeError(
            f"invalid value {text!r}: choose {', '.join(PINNED)}; before a path write --audit-require-pinned=on"
        )
    return text
