"""A run directory with audits, thresholds and a recorded table of a good and a bad model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

# Extension modules load once per process; pytester unloads what a run inside this process has imported.
import numpy.fft  # noqa: F401
import pyarrow.parquet  # noqa: F401
import pytest
import scipy.stats  # noqa: F401

from aes_audit.judges.registry import JUDGES, PREFERENCES
from aes_audit.rewards.registry import REWARDS
from plugin.kept_imports import keep_imports
from plugin.live import LiveProject
from plugin.recorded import rows_of, write_audits, write_evidence, write_thresholds

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """pytest's own, whose runs cost a fraction of a second."""
    keep_imports(pytester, monkeypatch)
    return pytester


@pytest.fixture
def judged(pytester: pytest.Pytester) -> Run:
    """Run the success audit over a table in which `good` follows 80% and `bad` 20% of its wide prompts."""
    write_audits(pytester, "success_rate")
    write_thresholds(pytester.path)
    write_evidence(
        pytester.path / "table.csv",
        rows_of("good", success=0.8, shift=-2.0),
        rows_of("bad", success=0.2, shift=0.0, seed=1),
        rows_of("middling", success=0.5, shift=-1.0, seed=2),
    )

    def run(*options: str) -> pytest.RunResult:
        return pytester.runpytest("--evidence=table.csv", *options)

    return run


@pytest.fixture
def live(pytester: pytest.Pytester, tiny_pipeline: Path, tiny_clip: Path, tiny_judge: Path) -> Iterator[LiveProject]:
    """A project that audits tiny models for real; what it registers is forgotten with it."""
    with patch.dict(REWARDS), patch.dict(JUDGES), patch.dict(PREFERENCES):
        yield LiveProject(pytester, tiny_pipeline, tiny_clip, tiny_judge)
