"""People as judges in the measurements: alpha between them, and what becomes of ties."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import krippendorff
import numpy as np
import pytest
from sklearn import metrics

from aes_audit.evidence.table import Evidence
from aes_audit.measures.people import rater_agreement, tie_figures
from aes_audit.measures.registry import measure


def people(values: np.ndarray, *, scorer: str = "preference/people", step: float = 0.5) -> list[Mapping[str, Any]]:
    """Rows of people from classes (items, raters), -1 for a rater who did not see the item."""
    pair = scorer.startswith("preference/")
    place = {"model": "m", "set": "pairs" if pair else "ratings", "image": "pair" if pair else "work"}
    rows: list[Mapping[str, Any]] = []
    for number, given in enumerate(values):
        seen = {f"r{rater}": float(level * step) for rater, level in enumerate(given) if level >= 0}
        middle = float(np.clip(np.round(np.mean([level for level in given if level >= 0])), 0, 2)) * step
        text = json.dumps(seen)
        about = {"item": f"{number:03}", "prompt": "wide" if pair else None, "scorer": scorer}
        rows.append({**place, **about, "value": middle, "rater_values": text, "rater_rule": "mean"})
    return rows


def rated(items: int = 60, raters: int = 5) -> Any:
    draw = np.random.default_rng(2)
    truth = draw.integers(0, 3, (items, 1))
    values = np.clip(truth + draw.integers(-1, 2, (items, raters)), 0, 2)
    values[draw.random(values.shape) < 0.3] = -1
    values[(values < 0).all(axis=1)] = 1
    return values


def _expected(values: np.ndarray) -> float:
    data = np.where(values < 0, np.nan, values).T
    return float(krippendorff.alpha(reliability_data=data, level_of_measurement="ordinal"))


def test_alpha_between_people_stands_beside_the_kappa_with_them() -> None:
    values = rated()
    judge = [
        {"model": "m", "set": "pairs", "item": f"{n:03}", "image": "pair", "prompt": "wide", "scorer": "preference/j"}
        for n in range(60)
    ]
    said = np.random.default_rng(9).integers(0, 3, 60) / 2
    rows = [*people(values), *({**row, "value": float(value)} for row, value in zip(judge, said, strict=True))]
    found = measure(
        "preference_agreement", Evidence.from_rows(rows), model="m", scorer="preference/j", truth="preference/people"
    )
    told = found.details["people"]
    assert told["alpha"] == pytest.approx(_expected(values), abs=1e-12)
    assert told["alpha_interval"][0] < told["alpha"] < told["alpha_interval"][1]
    assert (told["raters"], told["ratings"], told["rule"]) == (5, int((values >= 0).sum()), "mean")
    truth = np.array([row["value"] for row in people(values)])
    assert found.details["mae"] == pytest.approx(metrics.mean_absolute_error(2 * truth, 2 * said))
    assert found.details["accuracy_ties_original"] == metrics.accuracy_score(truth == 1, said == 1)
    untied = (truth != 0.5) & (said != 0.5)
    assert found.details["untied_accuracy"] == metrics.accuracy_score(truth[untied], said[untied])
    assert "ties" in found.details["tie_rules"]["kappa"]


def test_alpha_of_dimensions_pools_the_rows_of_an_item(tmp_path: Any) -> None:
    first, second = rated(), rated()[::-1]
    rows: list[Mapping[str, Any]] = []
    for name, values in (("clarity", first), ("symmetry", second)):
        truths = people(values, scorer=f"truth/{name}", step=1.0)
        judged = [
            {key: value for key, value in row.items() if not key.startswith("rater")}
            | {"scorer": f"judge/{name}", "value": 0.3 * number % 2}
            for number, row in enumerate(truths)
        ]
        rows += [*truths, *judged]
    Evidence.from_rows(rows).to_parquet(tmp_path / "table.parquet")
    table = Evidence.from_rows(rows)
    for group, values in ((None, np.concatenate([first, second])), ("used", first), ("symmetry", second)):
        found = measure("judge_agreement_quadratic_kappa", table, model="m", group=group)
        assert found.details["people"]["alpha"] == pytest.approx(_expected(values), abs=1e-12)
        assert "people" not in measure("judge_agreement_mae", table, model="m", group=group).details


@pytest.mark.parametrize("cell", ["not JSON", "[1]", '{"r": "x"}', '{"r": 7}', "{}"])
def test_a_column_of_the_same_name_with_other_contents_is_left_alone(cell: str) -> None:
    rows = [{**row, "rater_values": cell} for row in people(rated(3))]
    assert rater_agreement(Evidence.from_rows(rows), "m", "pairs", ["preference/people"], seed=0) is None


@pytest.mark.parametrize(
    ("table", "mae", "accuracy"),
    [([[0, 0, 0]] * 3, None, None), ([[2, 1, 1], [0, 1, 0], [1, 0, 4]], 0.5, 0.8)],
)
def test_figures_of_ties_by_hand(table: Sequence[Sequence[int]], mae: float | None, accuracy: float | None) -> None:
    found = tie_figures(table)
    assert (found["mae"], found["accuracy_ties_original"]) == (mae, accuracy)
