"""Answers found so far, on disk as they come in, so that an interrupted run goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from aes_audit.errors import UsageError
from aes_audit.rewards.protocol import Answer

__all__ = ["Key", "Ledger"]

_FORMAT = {"aes-audit score": 1}
"""First line of the file; the number changes with the meaning of a line."""


class Key(NamedTuple):
    """What an answer is an answer to."""

    reward: str
    """Digest of the reward's identity and device."""
    image: str
    """SHA-256 of the image file."""
    text: str
    """The text, as it is."""


class Ledger:
    """Answers by key; with a file, values outlive the process. Errors do not: the next run asks again."""

    def __init__(self, file: Path | None) -> None:
        """Read what an earlier run left; raises UsageError when the file is not ours or cannot be used."""
        self.file = file
        self.answers: dict[Key, Answer] = {}
        self._stream: TextIO | None = None
        if file is None:
            return
        try:
            self._read(file)
            self._stream = file.open("a", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"the progress file {str(file)!r} cannot be used: {error.strerror or error}.") from error
        # Starts on a line of its own, whatever a killed run left unfinished.
        self._stream.write(("\n" if self.answers else "") + json.dumps(_FORMAT) + "\n")
        self._stream.flush()

    def _read(self, file: Path) -> None:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []
        if lines and _parsed(lines[0]) != _FORMAT:
            raise UsageError(f"{str(file)!r} is in the way of the progress file and no such file: move it.")
        for line in lines:
            match _parsed(line):
                case {
                    "reward": str(reward),
                    "image": str(image),
                    "text": str(text),
                    "value": float(value),
                    "extra": dict(extra),
                }:
                    self.answers[Key(reward, image, text)] = Answer(value, None, extra)

    def put(self, found: Mapping[Key, Answer]) -> None:
        """Add answers, and have them on disk before the next batch."""
        self.answers.update(found)
        if self._stream is None:
            return
        for key, answer in found.items():
            if answer.value is not None:
                line = {**key._asdict(), "value": float(answer.value), "extra": dict(answer.extra)}
                self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()

    def close(self, *, finished: bool) -> None:
        """Close the file, and remove it once its answers are in the output."""
        if self._stream is None or self.file is None:
            return
        self._stream.close()
        if finished or not any(answer.value is not None for answer in self.answers.values()):
            self.file.unlink(missing_ok=True)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
