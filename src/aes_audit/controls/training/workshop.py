"""Where and how a training runs: folders, device, scale; and what it reports."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

__all__ = ["Workshop", "pick_device", "write_atomically"]


def pick_device(name: str) -> torch.device:
    """`auto` is the first accelerator, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_float32_matmul_precision("high")
    return torch.device(name)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old or the new one, never a half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)


@dataclass(frozen=True)
class Workshop:
    """The settings that all stages share."""

    output: Path
    """Folder that receives the finished models."""
    work: Path
    """Folder for the picture cache and the checkpoints; may be deleted at any time."""
    device: torch.device
    """Where models train."""
    scale: float = 1.0
    """Share of the full number of pictures, steps and batch members; tiny for a trial."""
    seed: int = 0
    """Seed of everything random."""
    workers: int = 1
    """Processes that draw pictures."""
    stop_after: int | None = None
    """Stop every stage after so many steps of this run, as an interruption would."""
    minutes: float | None = None
    """Stop a stage after so many minutes; the next run goes on."""

    def scaled(self, full: int, least: int) -> int:
        """A count at this scale, at least `least`."""
        return max(least, round(full * self.scale))

    def autocast(self) -> torch.autocast:
        """bf16 arithmetic; the CPU of a test runs it too, so that both take the same path."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def generator(self, *key: int) -> torch.Generator:
        """Random numbers on the device that depend on the seed and `key` only: resuming needs no stored state."""
        mixed = int.from_bytes(repr((self.seed, *key)).encode(), "little") % (2**61 - 1)
        return torch.Generator(self.device).manual_seed(mixed)

    def report(self, stage: str, numbers: Mapping[str, object]) -> None:
        """Keep what a stage measured in <output>/reports/<stage>.json; stages may run side by side."""
        path = self.output / "reports" / f"{stage}.json"
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        text = json.dumps({**known, **numbers}, indent=1, default=float) + "\n"
        write_atomically(path, text.encode())
