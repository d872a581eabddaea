"""A tiny Qwen3-VL, saved once per run."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen3-VL of random weights; copy it before changing it."""
    from judges.tiny_qwen3_vl import save_tiny_qwen3_vl

    return save_tiny_qwen3_vl(tmp_path_factory.mktemp("models") / "qwen3-vl")


@pytest.fixture(scope="session")
def tiny_qwen_adapter(tiny_qwen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter for `tiny_qwen`."""
    from judges.tiny_qwen3_vl import save_tiny_adapter

    return save_tiny_adapter(tmp_path_factory.mktemp("models") / "adapter", tiny_qwen)
