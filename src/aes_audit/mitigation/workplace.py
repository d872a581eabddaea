"""The folder that a training writes: checkpoints while it runs, adapter and provenance when it is done.

Half-done work lies in a hidden folder, which no digest of weights counts. Imports no torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from aes_audit.errors import UsageError
from aes_audit.evidence import files

__all__ = ["ADAPTER", "PROVENANCE", "State", "Workplace"]

ADAPTER = "pytorch_lora_weights.safetensors"
"""The adapter, in diffusers layout."""

PROVENANCE = "training.json"
"""What the adapter was trained from and how, beside it."""


class State(Enum):
    """How far the training of a folder has come."""

    NEW = "new"
    BEGUN = "begun"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Workplace:
    """The output folder of one training."""

    folder: Path
    """Receives adapter and provenance."""
    adapter: str = ADAPTER
    """Name of the adapter's file."""

    @property
    def work(self) -> Path:
        """Encoded data and the checkpoint; removed when the training is done."""
        return self.folder / ".training"

    @property
    def checkpoint(self) -> Path:
        """State of the last kept step."""
        return self.work / "checkpoint.pt"

    @property
    def state(self) -> State:
        """What lies in the folder."""
        # The adapter is written last: where it is, everything else is there too.
        if (self.folder / self.adapter).is_file():
            return State.FINISHED
        return State.BEGUN if (self.work / PROVENANCE).is_file() else State.NEW

    def begin(self, subject: Mapping[str, Any], *, resume: bool) -> State:
        """Claim the folder for the training of `subject` (base, data, recipe); what state it was in.

        Raises UsageError for a folder that belongs to something else, or to an unfinished training without `resume`.
        """
        state, shown = self.state, repr(str(self.folder))
        if state is State.NEW:
            if self.folder.exists() and (not self.folder.is_dir() or any(self._foreign())):
                raise UsageError(f"--output {shown} is not empty and holds no training: name a new folder.")
            files.write(self.work / PROVENANCE, _text(subject))
            return state
        if not resume:
            way = "add --resume to go on with it, or name" if state is State.BEGUN else "audit it with +lora=, or name"
            raise UsageError(f"--output {shown} holds a training that is {state.value} already: {way} another folder.")
        known = self._known(self.folder if state is State.FINISHED else self.work)
        if differing := list(_differences(known, json.loads(_text(subject)))):
            raise UsageError(f"--resume: the training in {shown} is another one: {differing[0]}; name another folder.")
        return state

    def finish(self, provenance: Mapping[str, Any], adapter: bytes, beside: Mapping[str, bytes] | None = None) -> None:
        """Write provenance, what else belongs beside the adapter, and the adapter; remove what was kept on the way."""
        for name, content in {**(beside or {}), PROVENANCE: _text(provenance)}.items():
            files.write(self.folder / name, content)
        files.write(self.folder / self.adapter, adapter)
        self.clear()

    def clear(self) -> None:
        """Remove encoded data and checkpoint of a finished training."""
        with suppress(OSError):
            shutil.rmtree(self.work)

    def give_up(self) -> None:
        """Leave no trace of a training that could not begin; one that has a checkpoint stays."""
        if not self.checkpoint.is_file():
            self.clear()
            with suppress(OSError):
                self.folder.rmdir()

    def _foreign(self) -> Iterator[Path]:
        return (path for path in self.folder.iterdir() if path != self.work)

    def _known(self, folder: Path) -> dict[str, Any]:
        try:
            return dict(json.loads((folder / PROVENANCE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(
                f"--resume: {str(folder / PROVENANCE)!r} cannot be read ({error}): start anew in another folder."
            ) from error


def _text(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def _differences(known: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Where the training that is there is not the one that is asked for; versions and results do not count."""
    for key, value in wanted.items():
        there = known.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            yield from _differences(there, value, f"{prefix}{key}.")
        elif there != value:
            yield f"{prefix}{key} is {there!r} there and {value!r} now"
