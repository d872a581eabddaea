"""What all workers of a test run share: made by the first that needs it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock


def made_once(target: Path, make: Callable[[Path], object]) -> Path:
    """The file or folder `target`, which `make` makes under another name; whoever asks meanwhile waits for it."""
    with FileLock(f"{target}.lock"):
        if not target.exists():
            unfinished = target.with_name(f"{target.name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished)
            unfinished.rename(target)
    return target
