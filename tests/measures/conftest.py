"""Evidence tables from arrays: one array per cell, one entry per item."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from aes_audit.evidence.table import Evidence
from aes_audit.prompts.dimensions import DIMENSIONS

Cells = Mapping[tuple[str, str, str, str | None, str], Sequence[float] | np.ndarray]
Build = Callable[..., Evidence]

ABSENT = float("inf")
"""Stands for an item without a row; NaN stands for a row with an error."""


@pytest.fixture(scope="session")
def build() -> Build:
    """Evidence of cells (model, set, image, prompt, scorer) -> values by item; NaN is an error, inf no row."""

    def evidence(
        cells: Cells, selected: Mapping[int, Sequence[str]] | None = None, shuffle: int | None = None
    ) -> Evidence:
        rows: list[dict[str, Any]] = []
        for (model, set_, image, prompt, scorer), values in cells.items():
            for number, value in enumerate(values):
                if value == ABSENT:
                    continue
                row: dict[str, Any] = {
                    "model": model,
                    "set": set_,
                    "item": f"{number:04}",
                    "image": image,
                    "prompt": prompt,
                }
                lost = bool(np.isnan(value))
                row |= {"scorer": scorer, "value": None if lost else float(value), "error": "lost" if lost else None}
                if selected is not None and scorer.startswith("judge/"):
                    row["selected"] = scorer.partition("/")[2] in selected[number]
                rows.append(row)
        if shuffle is not None:
            np.random.default_rng(shuffle).shuffle(rows)
        return Evidence.from_rows(rows)

    return evidence


@pytest.fixture(scope="session")
def whole(build: Build) -> Callable[..., Evidence]:
    """Evidence in which every metric can be measured, of any size; two generators, `aligned` and `base`."""

    def evidence(items: int, seed: int = 0, shuffle: int | None = None) -> Evidence:
        rng = np.random.default_rng(seed)
        cells: dict[tuple[str, str, str, str | None, str], np.ndarray] = {}
        for model in ("aligned", "base"):
            for scorer in ("hpsv3", "blip-itm"):
                for image in ("original", "wide"):
                    for prompt in ("original", "wide"):
                        cells[model, "pairs", image, prompt, scorer] = rng.normal(size=items)
            for judge in ("vlm", "other"):
                cells[model, "pairs", "pair", "wide", f"preference/{judge}"] = rng.choice([0, 0.5, 1], size=items)
            for dimension in DIMENSIONS:
                for image in ("original", "wide"):
                    cells[model, "pairs", image, None, f"judge/{dimension}"] = rng.uniform(0, 2, items)
        cells["human", "art", "work", "caption", "hpsv3"] = rng.normal(size=items)
        for image in ("happy", "sad", "angry", "fearful"):
            for prompt in ("happy", "sad", "angry", "fearful"):
                for scorer in ("hpsv3", "blip-itm/face"):
                    cells["aligned", "emotion", image, prompt, scorer] = rng.uniform(size=items)
        for image in ("sad", "angry", "fearful"):
            cells["base", "emotion", image, image, "blip-itm/face"] = rng.uniform(size=items)
        for image in ("source", "edited"):
            cells["aligned", "edits", image, "original", "hpsv3"] = rng.normal(size=items)
        for dimension in (*DIMENSIONS, "symmetry"):
            cells["human", "ratings", "work", None, f"judge/{dimension}"] = rng.uniform(0, 2, items)
            cells["human", "ratings", "work", None, f"truth/{dimension}"] = rng.integers(0, 3, items)
        selected = {item: sorted(rng.choice(DIMENSIONS, rng.integers(2, 5), replace=False)) for item in range(items)}
        return build(cells, selected, shuffle)

    return evidence
