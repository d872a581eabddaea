"""A tiny judge that can learn and a few rated scenes, made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums in one order: equal runs shall be equal to the last bit."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def learner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen3-VL of random weights that is narrow and quick."""
    from judges.training.rated_scenes import save_learner

    return save_learner(tmp_path_factory.mktemp("models") / "learner", width=32)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of 24 rated scenes."""
    from judges.training.rated_scenes import write_scenes

    return write_scenes(tmp_path_factory.mktemp("data") / "scenes", 24)
