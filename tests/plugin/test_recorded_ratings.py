"""Recorded ratings of eleven and of eighteen dimensions, judged from a file as anybody would hand them in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from aes_audit.judges.guideline import GUIDELINE_KEYS
from aes_audit.prompts.dimensions import DIMENSIONS
from plugin.recorded import COLUMNS, write_thresholds

AUDIT = "test_judge_agreement.py"


def _table(dimensions: tuple[str, ...], seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    rows = []
    for place, name in enumerate(dimensions):
        truth = draw.choice(3, 60, p=[0.15, 0.55, 0.3])
        judged = np.clip(truth + draw.normal(0, 0.3 + place / 20, 60), 0, 2)
        for number in range(60):
            work = ("human", "ratings", f"{number:02}", "work", None)
            rows += [
                (*work, f"truth/{name}", float(truth[number]), None),
                (*work, f"judge/{name}", judged[number], None),
            ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _scikit_learn(table: pd.DataFrame, dimensions: tuple[str, ...]) -> dict[str, float]:
    value = table.set_index(["scorer", "item"])["value"]
    truth = np.concatenate([value[f"truth/{name}"].sort_index() for name in dimensions])
    judged = np.concatenate([value[f"judge/{name}"].sort_index() for name in dimensions])
    said, weights = np.rint(judged), 1 / np.bincount(truth.astype(int))[truth.astype(int)]
    return {
        "accuracy": metrics.accuracy_score(truth, said),
        "mae": metrics.mean_absolute_error(truth, judged),
        "weighted_mae": metrics.mean_absolute_error(truth, judged, sample_weight=weights),
        "weighted_f1": metrics.f1_score(truth, said, average="weighted"),
        "quadratic_kappa": metrics.cohen_kappa_score(truth, said, weights="quadratic"),
    }


@pytest.mark.parametrize("dimensions", [DIMENSIONS, GUIDELINE_KEYS], ids=["eleven", "eighteen"])
def test_ratings_handed_in_give_their_agreement_pooled_over_the_used_and_apart(
    pytester: pytest.Pytester, dimensions: tuple[str, ...]
) -> None:
    table = _table(dimensions, seed=len(dimensions))
    table.to_csv(pytester.path / "ratings.csv", index=False)
    write_thresholds(pytester.path)
    shipped = Path(__file__).resolve().parents[2] / "audits" / AUDIT
    (pytester.path / AUDIT).write_text(shipped.read_text())
    result = pytester.runpytest("--evidence=ratings.csv", "--audit-json=out.json", "-q")
    assert result.ret == pytest.ExitCode.OK
    found = json.loads((pytester.path / "out.json").read_text())["measurements"]
    groups: dict[str | None, tuple[str, ...]] = {None: dimensions, "used": DIMENSIONS}
    groups |= {name: (name,) for name in dimensions}
    by_group: dict[str | None, dict[str, Any]] = {}
    for each in found:
        by_group.setdefault(each["group"], {})[each["metric"].removeprefix("judge_agreement_")] = each
    assert by_group.keys() == groups.keys()
    for group, pooled in groups.items():
        for name, expected in _scikit_learn(table, pooled).items():
            each = by_group[group][name]
            assert each["estimate"] == pytest.approx(expected, abs=1e-12), (group, name)
            assert each["details"]["rows"] == 60 * len(pooled)
            assert each["interval"][0] <= expected <= each["interval"][1]
