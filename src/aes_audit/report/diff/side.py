"""One of the two runs that are compared: its entries, checked and with every field there, and what lies behind them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aes_audit.errors import UsageError
from aes_audit.measures.names import REWARD_SUBJECT
from aes_audit.report.entries import whole_entries
from aes_audit.report.results import Entry
from aes_audit.report.run_folder import RunFolder

if TYPE_CHECKING:
    from aes_audit.evidence.table import Evidence

__all__ = ["Side", "part_of", "read_side"]


@dataclass(frozen=True, slots=True)
class Side:
    """A run, read back."""

    folder: RunFolder
    """Where it lies."""
    entries: tuple[Entry, ...]
    """Its measurements, in the order of the file."""
    evidence: Evidence | None
    """The rows behind them; None where the run left none."""

    @property
    def run(self) -> Mapping[str, Any]:
        """Provenance."""
        return self.folder.run

    @property
    def name(self) -> str:
        """The path that was given."""
        return str(self.folder.path)

    @property
    def generators(self) -> tuple[str, ...]:
        """Generators that verdicts are about, sorted."""
        return tuple(sorted({entry["model"] for entry in self.entries if entry["metric"] not in REWARD_SUBJECT}))

    @property
    def rewards(self) -> tuple[str, ...]:
        """Rewards (and judges) that verdicts are about, sorted."""
        return tuple(sorted({entry["subject"] for entry in self.entries if entry["metric"] in REWARD_SUBJECT}))


def read_side(path: str | os.PathLike[str]) -> Side:
    """Read a run folder or a results file. Raises UsageError in one sentence for what is no run."""
    folder = RunFolder.read(path)
    entries = whole_entries(folder)
    if not entries:
        raise UsageError(f"{str(path)!r} holds no measurement: nothing can be compared with it.")
    return Side(folder, entries, folder.evidence())


def part_of(about: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object within provenance or details; empty where there is none."""
    found = about.get(name)
    return found if isinstance(found, Mapping) else {}
