"""Processes, theirs, and waiting for them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["alive", "descendants", "wait_for"]


def alive(process: int) -> bool:
    """Whether there is a process of this number that is no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def descendants(process: int) -> dict[int, str]:
    """What a process has started, and those have: number -> command."""
    command = ["ps", "-eo", "pid=,ppid=,args="]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found = [line.split(maxsplit=2) for line in lines]
    below: dict[int, str] = {}
    todo = {str(process)}
    while todo:
        new = {pid: said for pid, parent, *said in found if parent in todo and int(pid) not in below}
        below |= {int(pid): " ".join(said) for pid, said in new.items()}
        todo = set(new)
    return below


def wait_for(condition: Callable[[], object], seconds: float = 120.0) -> None:
    """Until a condition holds; fails where it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
