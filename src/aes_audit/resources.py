"""Where the files that ship with the project lie: beside the package in a wheel, at the top of a checkout."""

from __future__ import annotations

from pathlib import Path

__all__ = ["control_folder", "packaged_thresholds", "prompt_set"]

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parents[1]


def control_folder(name: str) -> Path:
    """Folder of a control model; `name` without the `control/` prefix. It need not exist."""
    return _shipped("fixtures") / "controls" / name


def prompt_set(name: str) -> Path:
    """File of a prompt set that ships with the project. It need not exist."""
    return _shipped("fixtures") / "prompts" / f"{name}.jsonl"


def packaged_thresholds() -> Path:
    """The thresholds used where the repository under audit brings none of its own."""
    return _shipped("audits") / "thresholds.toml"


def _shipped(room: str) -> Path:
    in_wheel = _PACKAGE / room
    return in_wheel if in_wheel.is_dir() else _CHECKOUT / room
