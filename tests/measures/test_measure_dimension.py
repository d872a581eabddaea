"""Judged dimensions: which ones count, and what a lost one costs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from aes_audit.errors import MissingScores, UsageError
from aes_audit.evidence.table import Evidence
from aes_audit.measures.registry import measure
from aes_audit.prompts.dimensions import DIMENSIONS

Build = Callable[..., Evidence]
Arms = tuple[np.ndarray, np.ndarray]

INF = float("inf")


def judged(arms: Arms) -> dict[tuple[str, str, str, None, str], np.ndarray]:
    """Cells of J per arm, (items, dimensions)."""
    return {
        ("m", "pairs", image, None, f"judge/{dimension}"): scores[:, place]
        for image, scores in zip(("original", "wide"), arms, strict=True)
        for place, dimension in enumerate(DIMENSIONS)
    }


def drawn(items: int, seed: int = 0) -> Arms:
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 2, (items, 11)), rng.uniform(0, 2, (items, 11))


def choices(items: int, seed: int = 0) -> tuple[dict[int, list[str]], np.ndarray]:
    """Two to four dimensions per item, by name and as a mask."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((items, 11), dtype=bool)
    for row in mask:
        row[rng.choice(11, rng.integers(2, 5), replace=False)] = True
    return {item: [d for d, asked in zip(DIMENSIONS, row, strict=True) if asked] for item, row in enumerate(mask)}, mask


def test_only_the_dimensions_a_prompt_asked_for_count(build: Build) -> None:
    original, wide = drawn(30)
    selected, mask = choices(30)
    table = build(judged((original, wide)), selected)
    expected = ((wide - original) * mask).sum(axis=1).mean()
    found = measure("dimension_shift", table, model="m", scorer="judge")
    assert found.estimate == pytest.approx(expected, abs=1e-12)
    assert (found.n, found.scorer, found.group) == (30, "judge", None)
    everything = measure("dimension_shift_all", table, model="m")
    assert everything.estimate == pytest.approx((wide - original).sum(axis=1).mean(), abs=1e-12)


def test_without_flags_the_judged_dimensions_are_the_selected_ones(build: Build) -> None:
    original, wide = drawn(25)
    _, mask = choices(25)
    table = build(judged((np.where(mask, original, INF), np.where(mask, wide, INF))))
    found = measure("dimension_shift", table, model="m")
    assert found.estimate == pytest.approx(((wide - original) * mask).sum(axis=1).mean(), abs=1e-12)
    assert found.n == 25


def test_an_unknown_selection_is_skipped_and_never_guessed(build: Build) -> None:
    table = build(judged(drawn(25)))
    with pytest.raises(MissingScores, match="selected"):
        measure("dimension_shift", table, model="m")
    assert measure("dimension_shift_all", table, model="m").n == 25


def test_all_dimensions_need_all_eleven(build: Build) -> None:
    cells = judged(drawn(25))
    del cells["m", "pairs", "wide", None, "judge/clarity"], cells["m", "pairs", "original", None, "judge/clarity"]
    with pytest.raises(MissingScores, match="clarity"):
        measure("dimension_shift_all", build(cells), model="m")


def test_a_lost_dimension_counts_only_where_it_was_asked_for(build: Build) -> None:
    original, wide = drawn(25)
    selected, mask = choices(25)
    wide[3, np.flatnonzero(mask[3])[0]] = np.nan
    wide[4, np.flatnonzero(~mask[4])[0]] = np.nan
    table = build(judged((original, wide)), selected)
    some, everything = (measure(name, table, model="m") for name in ("dimension_shift", "dimension_shift_all"))
    assert (some.n, some.missing) == (24, 1)
    assert (everything.n, everything.missing) == (23, 2)
    assert everything.details["lost"]["wide"] == 2
    kept = np.arange(25) != 3
    expected = np.where(mask, wide - original, 0)[kept].sum(axis=1).mean()
    assert some.estimate == pytest.approx(expected, abs=1e-12)


def test_a_single_dimension_is_not_the_family(build: Build) -> None:
    with pytest.raises(UsageError, match="judge/clarity"):
        measure("dimension_shift", build(judged(drawn(25))), model="m", scorer="judge/clarity")
