"""Answers as columns: one `value` per row for one reward, one row per pair and reward for several."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from aes_audit.command.pairs import PairsTable
from aes_audit.errors import UsageError
from aes_audit.rewards.protocol import Answer

__all__ = ["answer_rows", "refuse_clashing_columns"]

REWARD, VALUE, ERROR, SIGMA = "reward", "value", "error", "sigma"


def refuse_clashing_columns(pairs: PairsTable, rewards: int) -> None:
    """Raise UsageError when the file of pairs already has a column that would be written: neither may be lost."""
    ours = [*([REWARD] if rewards > 1 else []), VALUE, ERROR, SIGMA]
    if taken := [name for name in ours if name in pairs.columns]:
        raise UsageError(f"the file of pairs already has a column {taken[0]!r}, which is written here: rename it.")


def answer_rows(
    pairs: PairsTable,
    rewards: Sequence[str],
    answered: Sequence[tuple[Answer, ...]],
    outputs: Collection[str] = (),
) -> Iterator[list[str]]:
    """Header and rows of the output: the rows of the input in their order, each followed by its answers.

    With several rewards every row occurs once per reward, in the order in which the rewards were named, told apart by
    the column `reward`. `sigma` is a column where a reward has one. Numbers read back to the same float.
    """
    several = len(rewards) > 1
    sigma = SIGMA in outputs or any(SIGMA in answer.extra for row in answered for answer in row)
    yield [*pairs.columns, *([REWARD] if several else []), VALUE, ERROR, *([SIGMA] if sigma else [])]
    for cells, row in zip(pairs.rows, answered, strict=True):
        for reward, answer in zip(rewards, row, strict=True):
            yield [*cells, *([reward] if several else []), *_cells(answer), *([_sigma(answer)] if sigma else [])]


def _cells(answer: Answer) -> tuple[str, str]:
    return ("" if answer.value is None else repr(float(answer.value))), " ".join((answer.error or "").split())


def _sigma(answer: Answer) -> str:
    sigma = answer.extra.get(SIGMA)
    return "" if sigma is None else repr(float(sigma))
