"""The results file: one object with provenance and one entry per judged measurement."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aes_audit.errors import UsageError
from aes_audit.report.published import published

if TYPE_CHECKING:
    from aes_audit.gates.verdicts import Judgement
    from aes_audit.measures.measurement import Measurement

__all__ = ["Entry", "entry", "prepare_results", "results_of", "results_text", "run_provenance", "write_results"]

Entry = Mapping[str, Any]
"""One measurement as the results file shows it; JSON values only."""

_LIBRARIES = ("torch", "diffusers", "transformers", "peft", "numpy", "scipy", "pandas", "pillow", "safetensors")


def entry(judgement: Judgement, audit: str, baseline: Mapping[str, Any] | None) -> Entry:
    """A judgement as the results file shows it; `baseline` is the blessed measurement and what became of it."""
    measured = dataclasses.asdict(judgement.measurement)
    measured["audit"] = audit
    measured["interval"] = list(measured["interval"]) if measured["interval"] else None
    return {
        **measured,
        "threshold": dict(judgement.gate.threshold) if judgement.gate else None,
        "baseline": dict(baseline) if baseline else None,
        "published": _published(judgement.measurement),
        "verdict": judgement.verdict.value,
        "reason": judgement.reason,
    }


def _published(measurement: Measurement) -> Mapping[str, Any] | None:
    return published(
        measurement.model, measurement.base_model, measurement.metric, measurement.scorer, measurement.group
    )


def run_provenance(session: Mapping[str, Any], started: float) -> Mapping[str, Any]:
    """How, where and with what the numbers were made."""
    return {
        **session,
        "aes_audit": _version("aes-audit"),
        "command": ["pytest", *sys.argv[1:]],
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - started, 3),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
    }


def results_of(run: Mapping[str, Any], entries: Sequence[Entry]) -> Mapping[str, Any]:
    """The one object that a results file and a run folder hold."""
    return {"schema": 1, "run": run, "measurements": list(entries)}


def results_text(results: Mapping[str, Any]) -> str:
    """The object as a file holds it; raises ValueError for a number that is not finite."""
    return json.dumps(results, indent=2, allow_nan=False) + "\n"


def write_results(path: Path, run: Mapping[str, Any], entries: Sequence[Entry], **more: Any) -> None:
    """Write the file whole or not at all, with `more` keys; raises UsageError naming the path where it cannot be."""
    text = results_text({**results_of(run, entries), **more})
    part = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise _unwritable(path, error) from error


def prepare_results(path: Path) -> None:
    """Make the folder of the results file before hours are spent; raises UsageError when that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"results file {path} cannot be written: {error.strerror}. Give another --audit-json.")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
