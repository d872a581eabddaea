"""Tiny models, made once per run by whichever worker needs them first; torch is imported by those that need it."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
from sharing import made_once

# Before torch is imported anywhere, also in the processes that tests start: cores are for other tests.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this test run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def tiny_pipeline(run_folder: Path) -> Path:
    """A text-to-image pipeline of a few thousand random weights; copy it before changing it."""
    from tiny_models import save_tiny_pipeline

    return made_once(run_folder / "tiny_pipeline", save_tiny_pipeline)


@pytest.fixture(scope="session")
def tiny_lora(run_folder: Path) -> Path:
    """An adapter for `tiny_pipeline`."""
    from tiny_models import save_tiny_lora

    return made_once(run_folder / "tiny_lora", partial(save_tiny_lora, seed=1))


@pytest.fixture(scope="session")
def other_lora(run_folder: Path) -> Path:
    """Another adapter for `tiny_pipeline`."""
    from tiny_models import save_tiny_lora

    return made_once(run_folder / "other_lora", partial(save_tiny_lora, seed=4))


@pytest.fixture(scope="session")
def tiny_clip(run_folder: Path) -> Path:
    """A CLIP of a few thousand random weights."""
    from tiny_models import save_tiny_clip

    return made_once(run_folder / "tiny_clip", save_tiny_clip)


@pytest.fixture(scope="session")
def tiny_judge(run_folder: Path) -> Path:
    """A dimension judge of a few thousand random weights."""
    from tiny_models import save_tiny_judge

    return made_once(run_folder / "tiny_judge", save_tiny_judge)
