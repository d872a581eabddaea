"""What commands take apart alike: numbers within bounds, and a parser whose complaints are one line."""

from __future__ import annotations

import argparse
from typing import NoReturn

__all__ = ["OneLineParser", "number", "whole"]


class OneLineParser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        """One line, without the whole usage."""
        self.exit(2, f"{self.prog}: {message} (see `{self.prog} --help`)\n")


def whole(text: str) -> int:
    """A whole number of 1 or more; raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: give a whole number of 1 or more")
    return int(text)


def number(text: str) -> float:
    """A finite number of 0 or more; raises ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: give a number of 0 or more")
    return value
