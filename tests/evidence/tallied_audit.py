"""The tiny audit of many pairs, with an account of every image that was ever begun, by whichever process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evidence.tiny_audit import TinyAudit

from aes_audit.evidence.collecting import collect_pairs
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.store import Store
from aes_audit.evidence.table import Evidence
from aes_audit.generators.drawing import DiffusersGenerator
from aes_audit.generators.protocol import Answer, Generator, ImageRequest
from aes_audit.generators.resolve import DiffusersModel
from aes_audit.prompts.pairs import PromptPair, PromptSet

PAIRS = tuple(
    PromptPair(f"p{n}", f"a cat and {n} dogs", f"a blurred cat and {n} dogs", ("clarity",)) for n in range(20)
)
PROMPTS = PromptSet("many", PAIRS, "digest")
SECONDS = 0.05
"""What an image takes besides, so that kills hit the drawing."""


@dataclass(frozen=True)
class TalliedAudit:
    """It can be sent to another process."""

    audit: TinyAudit
    """The tiny models."""
    tally: Path
    """One line per image that was begun: process and prompt."""

    def collect(self, root: Path) -> Evidence:
        """Everything about the pairs, image by image."""
        generator = _Model(replace(self.audit, batch_size=1).generator, self.tally)
        return collect_pairs(generator, PROMPTS, self.audit.instruments, Store(root), LocalEngine())

    def collect_to(self, root: Path, result: Path) -> None:
        """For another process: collect, and leave the table in a file."""
        self.collect(root).to_parquet(result)

    def begun(self) -> Mapping[int, list[str]]:
        """Prompts by process, in the order in which they were begun."""
        found: dict[int, list[str]] = {}
        for line in self.tally.read_text().splitlines():
            process, _, prompt = line.partition(" ")
            found.setdefault(int(process), []).append(prompt)
        return found


@dataclass(frozen=True)
class _Model:
    inner: DiffusersModel
    tally: Path

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def revision(self) -> str:
        return self.inner.revision

    @property
    def identity(self) -> Mapping[str, Any]:
        return self.inner.identity

    @property
    def batch_size(self) -> int:
        return self.inner.batch_size

    @property
    def independent(self) -> bool:
        return self.inner.independent

    def load(self) -> Generator:
        return _Generator(self.inner.load(), self.tally)


@dataclass(frozen=True)
class _Generator:
    inner: DiffusersGenerator
    tally: Path

    def generate(self, requests: Sequence[ImageRequest]) -> Sequence[Answer]:
        return self.begin(requests)()

    def begin(self, requests: Sequence[ImageRequest]) -> Callable[[], Sequence[Answer]]:
        with open(self.tally, "a", encoding="utf-8") as tally:
            tally.writelines(f"{os.getpid()} {request.prompt}\n" for request in requests)
        time.sleep(SECONDS)
        return self.inner.begin(requests)
