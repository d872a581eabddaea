"""Models and data of the training tests, built once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
def tiny_flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A guidance-distilled Flux pipeline of a few thousand random weights."""
    from mitigation.small_worlds import save_tiny_flux

    return save_tiny_flux(tmp_path_factory.mktemp("models") / "flux")


@pytest.fixture(params=["sd3", "flux"])
def tiny_model(request: pytest.FixtureRequest) -> Any:
    """One folder per trainable architecture."""
    return request.getfixturevalue({"sd3": "tiny_pipeline", "flux": "tiny_flux"}[request.param])


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures that follow their prompts."""
    from mitigation.small_worlds import write_pairs

    return write_pairs(tmp_path_factory.mktemp("data") / "pairs")
