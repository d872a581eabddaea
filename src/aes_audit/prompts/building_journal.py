"""The writer's answers, on disk as they come in: an interrupted build goes on, and nothing is asked twice.

An answer is found again by what was asked; every decision about it is made anew, and so the same.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from aes_audit.errors import UsageError

__all__ = ["Answer", "Journal"]

_FORMAT = "aes-audit prompts build"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a writer."""

    text: str = ""
    """The wide prompt; empty where there is none."""
    fault: str = ""
    """Why there is none: `malformed`, `empty`, `cut off` or `refused`."""
    said: str = ""
    """What came instead, shortened."""
    model: str = ""
    """What the host calls the model that answered."""
    usd: float | None = None
    """What it cost in US dollars, where that is known."""


class Journal:
    """Answers by key. `put` may be called from any thread."""

    def __init__(self, file: Path) -> None:
        """Made by `opened`."""
        self.file = file
        self.answers: dict[str, Answer] = {}
        self.begun = datetime.now(UTC).date().isoformat()
        self._stream: BinaryIO | None = None
        self._lock = threading.Lock()

    @classmethod
    @contextmanager
    def opened(cls, file: Path) -> Iterator[Journal]:
        """Read what an earlier build left, and take the file for this process alone; `finish` removes it.

        Raises UsageError for a file that is no journal or cannot be used, and while another build uses it.
        """
        journal, lock = cls(file), FileLock(f"{file}.lock")
        try:
            with _usable(file):
                lock.acquire(blocking=False)
        except Timeout:
            raise UsageError(f"another build is writing to {str(file)!r}: wait for it, or name another file.") from None
        try:
            with _usable(file):
                journal._open()
            yield journal
        finally:
            journal._close()
            # Before the release, so that no lock of the next process is removed.
            with suppress(OSError):
                Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()

    def put(self, key: str, answer: Answer) -> None:
        """Add an answer, and have it on disk. Raises UsageError when the disk takes no more."""
        line = json.dumps({"key": key, **asdict(answer)}) + "\n"
        with self._lock, _usable(self.file):
            self._append(line)
            self.answers[key] = answer

    def finish(self) -> None:
        """Remove the file: its answers are in the output."""
        with _usable(self.file):
            self._close()
            self.file.unlink(missing_ok=True)

    def _open(self) -> None:
        content = self.file.read_bytes() if self.file.exists() else b""
        lines = content.decode("utf-8", errors="replace").split("\n")
        if content:
            self._read_head(_parsed(lines[0]))
        for line in lines[1:]:
            match _parsed(line):
                case {
                    "key": str(key),
                    "text": str(text),
                    "fault": str(fault),
                    "said": str(said),
                    "model": str(model),
                    "usd": (int() | float() | None) as usd,
                }:
                    self.answers[key] = Answer(text, fault, said, model, usd)
        self._stream = self.file.open("ab")
        if not content:
            self._append(json.dumps({_FORMAT: _VERSION, "begun": self.begun}) + "\n")
        elif not content.endswith(b"\n"):
            # A killed process may have left half a line.
            self._append("\n")

    def _read_head(self, head: Any) -> None:
        if not isinstance(head, dict) or head.get(_FORMAT) != _VERSION or not isinstance(head.get("begun"), str):
            raise UsageError(f"{str(self.file)!r} is in the way of the answers of a build, and holds none: move it.")
        self.begun = head["begun"]

    def _append(self, text: str) -> None:
        assert self._stream is not None
        self._stream.write(text.encode())
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def _close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is None:
            return
        # What a full disk did not take is tried again on closing.
        with suppress(OSError):
            stream.close()
        if not self.answers:
            with suppress(OSError):
                self.file.unlink(missing_ok=True)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


@contextmanager
def _usable(file: Path) -> Iterator[None]:
    try:
        yield
    except Timeout:
        raise
    except OSError as error:
        raise UsageError(
            f"the answers cannot be kept in {str(file)!r}: {error.strerror or error}; free some space or name another "
            "folder, what was kept so far is not lost."
        ) from error
