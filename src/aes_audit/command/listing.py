"""The table that `aes-audit score IMAGES` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aes_audit.rewards.protocol import Answer

__all__ = ["listing", "reasons"]

_WIDEST = 60
"""Characters shown of a prompt."""


def listing(pairs: Sequence[tuple[str, str]], rewards: Sequence[str], answered: Sequence[tuple[Answer, ...]]) -> str:
    """One line per image and prompt, one column per reward; `error` stands for what could not be scored."""
    sigmas = [any("sigma" in row[index].extra for row in answered) for index in range(len(rewards))]
    header = ["image", "prompt"]
    for reward, sigma in zip(rewards, sigmas, strict=True):
        header += [reward, "sigma"] if sigma else [reward]
    lines = [header]
    for (image, prompt), row in zip(pairs, answered, strict=True):
        cells = [cell for answer, sigma in zip(row, sigmas, strict=True) for cell in _cells(answer, sigma)]
        lines.append([image, _short(prompt), *cells])
    return "\n".join(_aligned(lines))


def _cells(answer: Answer, sigma: bool) -> list[str]:
    value = "error" if answer.value is None else f"{answer.value:.4f}"
    return [value, f"{answer.extra['sigma']:.4f}" if "sigma" in answer.extra else ""] if sigma else [value]


def _short(prompt: str) -> str:
    text = " ".join(prompt.split()) or "(empty)"
    return text if len(text) <= _WIDEST else text[: _WIDEST - 3] + "..."


def _aligned(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for cells in lines:
        texts = [cell.ljust(width) for cell, width in zip(cells[:2], widths[:2], strict=True)]
        numbers = [cell.rjust(width) for cell, width in zip(cells[2:], widths[2:], strict=True)]
        yield "  ".join([*texts, *numbers]).rstrip()


def reasons(
    pairs: Sequence[tuple[str, str]], rewards: Sequence[str], answered: Sequence[tuple[Answer, ...]]
) -> list[str]:
    """Why images could not be scored, each reason of an image once."""
    seen: dict[str, None] = {}
    for (image, _), row in zip(pairs, answered, strict=True):
        for reward, answer in zip(rewards, row, strict=True):
            if answer.error:
                seen[f"{image} by {reward}: {answer.error}"] = None
    return list(seen)
