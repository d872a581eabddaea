"""What `aes-audit score` was asked for, checked as far as that is possible without reading a model."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from aes_audit.command.pairs import IMAGE, PROMPT, PairsTable, read_pairs
from aes_audit.errors import UsageError

__all__ = ["ScoreRequest", "score_request"]


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """Pairs, rewards, and where the answers go."""

    pairs: PairsTable
    """The pairs in their order."""
    output: Path | None
    """The CSV file to write; None prints a table."""
    rewards: tuple[str, ...]
    """Reward specs as typed, each once."""
    device: str
    """auto, cpu, cuda or mps."""
    batch_size: int
    """Images held in memory at a time."""


def score_request(typed: argparse.Namespace) -> ScoreRequest:
    """Either images and prompts or a file of pairs; raises UsageError for anything between."""
    by_file = typed.pairs is not None
    if by_file == bool(typed.images):
        raise UsageError("give image files with --prompt, or --pairs FILE with --output FILE: one of the two.")
    if by_file and typed.prompt is not None:
        raise UsageError("--prompt belongs to image files on the command line: --pairs brings its own prompts.")
    if by_file != (typed.output is not None):
        raise UsageError("--pairs and --output belong together: give both, or image files with --prompt.")
    rewards = tuple(dict.fromkeys(typed.reward))
    if not by_file:
        return ScoreRequest(_product(typed), None, rewards, typed.device, typed.batch_size)
    pairs, output = Path(typed.pairs), Path(typed.output)
    _refuse_unwritable(output, pairs)
    return ScoreRequest(read_pairs(pairs), output, rewards, typed.device, typed.batch_size)


def _product(typed: argparse.Namespace) -> PairsTable:
    if not typed.prompt:
        raise UsageError("give at least one --prompt TEXT (an empty text is one too).")
    rows = tuple((image, prompt) for image in typed.images for prompt in typed.prompt)
    return PairsTable((IMAGE, PROMPT), rows, Path())


def _refuse_unwritable(output: Path, pairs: Path) -> None:
    folder = output.parent
    if not folder.is_dir():
        raise UsageError(f"--output {str(output)!r}: the folder {str(folder)!r} does not exist: make it first.")
    if output.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"--output {str(output)!r} cannot be written: name a file in a folder of your own.")
    if output.resolve() == pairs.resolve():
        raise UsageError(f"--output {str(output)!r} is the file of pairs itself: name another one.")
