"""How workers of xdist hand what they collected to the controller: Parquet files in a folder of the run's own."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from aes_audit.errors import UsageError

if TYPE_CHECKING:
    from aes_audit.evidence.table import Evidence

__all__ = ["Handover"]


class Handover:
    """One run's evidence, passed from its workers to its controller."""

    def __init__(self, local: Path, run: str) -> None:
        """`local` is the store's folder of this machine, `run` names the run in all its processes.

        Nothing is made before there is something to hand over.
        """
        self._folder = local / "locks" / f"evidence-{run}"
        self._given: set[tuple[str, str]] = set()

    def give(self, tables: Mapping[tuple[str, str], Evidence]) -> None:
        """Write the tables that were not given yet, each whole or not at all.

        Two workers that collected one table write the same file. Raises UsageError when the folder cannot be written.
        """
        for place in [place for place in tables if place not in self._given]:
            name = hashlib.sha256("\0".join(place).encode()).hexdigest()
            part = self._folder / f".{name}.{os.getpid()}.tmp"
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                tables[place].to_parquet(part)
                part.replace(self._folder / f"{name}.parquet")
            except OSError as error:
                raise UsageError(
                    f"evidence for the report cannot be kept in {self._folder}: {error.strerror}."
                ) from error
            self._given.add(place)

    def take(self, own: Mapping[tuple[str, str], Evidence]) -> Evidence | None:
        """Everything that workers gave and this process has itself, once; None for nothing. Removes the folder."""
        from aes_audit.evidence.reading import read_evidence
        from aes_audit.evidence.table import Evidence

        self.give(own if self._folder.exists() else {})
        if not self._folder.exists():
            return Evidence.concat(own.values()) if own else None
        try:
            return read_evidence(self._folder)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
