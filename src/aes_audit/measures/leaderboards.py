"""Published leaderboards of rewards: where would a mean stand? Information, never a verdict (PROTOCOL R17)."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["standing"]


def standing(scorer: str, mean: float) -> Mapping[str, Any] | None:
    """Rank (1 is best) that a mean score would have, of how many with it; None where no leaderboard is on file.

    The prompts of a leaderboard are not the captions of the works, and longer texts alone move some rewards.
    """
    board = _boards().get(scorer)
    if board is None:
        return None
    above = [row for row in board if float(row["score"]) > mean]
    nearest = min(above, key=lambda row: float(row["score"]))["generator"] if above else None
    return {"rank": len(above) + 1, "of": len(board) + 1, "just_below": nearest, "source": board[0]["source"]}


@cache
def _boards() -> Mapping[str, list[dict[str, str]]]:
    text = files("aes_audit.measures").joinpath("leaderboards.csv").read_text(encoding="utf-8")
    boards: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(text.splitlines()):
        boards.setdefault(row["scorer"], []).append(row)
    return boards
