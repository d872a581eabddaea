"""Baselines of art: a style has no gate, and moves as far as its metric's gate allows before a build is red."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from plugin.recorded import THRESHOLDS, write_audits, write_thresholds

GATE = """
[[gates]]
profile = "control"
metric = "art_z"
at_least = -5
tolerance = 0.3
"""

BLESS = ("--snapshot-update", "--audit-bless=the first release")


def write_art(path: Path, moved: float) -> None:
    """60 works in two styles, of which the scores of the second are `moved` SD of the population."""
    draw = np.random.default_rng(0)
    works, population = draw.normal(9, 1, 60), draw.normal(10, 2, 100)
    works[1::2] += moved * population.std(ddof=1)
    art = {"model": "human", "set": "art", "image": "work", "prompt": "caption", "scorer": "r", "error": None}
    own = {"model": "gen", "set": "pairs", "image": "original", "prompt": "original", "scorer": "r", "error": None}
    rows: list[dict[str, Any]] = [
        {**art, "item": f"{n:02}", "style": ("Dada", "Rococo")[n % 2], "value": value} for n, value in enumerate(works)
    ]
    rows += [{**own, "item": f"p{n}", "value": value} for n, value in enumerate(population)]
    pd.DataFrame(rows).to_csv(path, index=False)


@pytest.mark.parametrize(("moved", "red"), [(-0.28, set()), (-0.5, {"Rococo"})])
def test_a_style_is_held_against_its_own_baseline(pytester: pytest.Pytester, moved: float, red: set[str]) -> None:
    write_audits(pytester, "art_z")
    write_thresholds(pytester.path, THRESHOLDS + GATE)
    write_art(pytester.path / "table.csv", 0)
    run = ("--evidence=table.csv", "--audit-json=r.json")
    pytester.runpytest(*run, *BLESS).assert_outcomes(passed=3)
    (file,) = (pytester.path / "baselines").rglob("*.json")
    kept = json.loads(file.read_text()).values()
    assert {entry["tolerance"] for entry in kept} == {0.3}
    assert sorted(len(entry["items"]["values"]) for entry in kept) == [30, 30, 60]
    write_art(pytester.path / "table.csv", moved)
    pytester.runpytest(*run).assert_outcomes(passed=3 - len(red), failed=len(red))
    found = json.loads((pytester.path / "r.json").read_text())["measurements"]
    assert {entry["group"] for entry in found if entry["baseline"]["verdict"] == "fail"} == red
