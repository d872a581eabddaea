"""Tiny models, built once per run. Torch is imported by the fixtures that need it, not by every test run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before torch is imported anywhere, also in the processes that tests start: cores are for other tests.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


@pytest.fixture(scope="session")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text-to-image pipeline of a few thousand random weights; copy it before changing it."""
    from tiny_models import save_tiny_pipeline

    return save_tiny_pipeline(tmp_path_factory.mktemp("models") / "pipeline")


@pytest.fixture(scope="session")
def tiny_lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter for `tiny_pipeline`."""
    from tiny_models import save_tiny_lora

    return save_tiny_lora(tmp_path_factory.mktemp("models") / "lora", seed=1)


@pytest.fixture(scope="session")
def other_lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another adapter for `tiny_pipeline`."""
    from tiny_models import save_tiny_lora

    return save_tiny_lora(tmp_path_factory.mktemp("models") / "other", seed=4)


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of a few thousand random weights."""
    from tiny_models import save_tiny_clip

    return save_tiny_clip(tmp_path_factory.mktemp("models") / "clip")


@pytest.fixture(scope="session")
def tiny_judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dimension judge of a few thousand random weights."""
    from tiny_models import save_tiny_judge

    return save_tiny_judge(tmp_path_factory.mktemp("models") / "judge")
