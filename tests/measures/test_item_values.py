"""The item values that baselines keep are the very values behind the estimates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aes_audit.evidence.table import Evidence
from aes_audit.measures.item_values import item_values
from aes_audit.measures.registry import measure
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.statistics.paired import wilcoxon

SCORERS = {
    "success_rate": "preference/p",
    "quality_shift": "q",
    "wide_quality": "q",
    "concept_kept": "q",
    "dimension_shift": "judge",
    "dimension_shift_all": "judge",
    "prefers_wide": "q",
    "realignment_quality": "q",
    "realignment_success": "preference/p",
}
PAIRED = {"realignment_quality", "realignment_success"}


@pytest.mark.parametrize("scorer", ["q", "judge"])
def test_edits_contribute_what_they_were_lifted_by(scorer: str) -> None:
    draw = np.random.default_rng(1)
    rows: list[dict[str, Any]] = []
    for number in range(30):
        for image in ("source", "edited"):
            common = {"model": "e", "set": "edits", "item": f"i{number:02}", "image": image, "error": None}
            rows.append({**common, "prompt": "original", "scorer": "q", "value": draw.normal()})
            rows += [
                {**common, "prompt": None, "scorer": f"judge/{name}", "value": draw.uniform(0, 2)}
                for name in DIMENSIONS
            ]
    table = Evidence.from_rows(rows)
    found = item_values("edit_shift", table, models=("e",), scorer=scorer)
    assert found.values is not None
    assert found.values.mean() == pytest.approx(measure("edit_shift", table, model="e", scorer=scorer).estimate)
    frame = table.frame[table.frame["scorer"].str.startswith(scorer)]
    sums = frame.groupby(["item", "image"])["value"].sum().unstack()
    np.testing.assert_allclose(found.values, sums["edited"] - sums["source"])


@pytest.mark.parametrize("metric", ["emotion_accuracy", "emotion_accuracy_happy"])
def test_tuples_contribute_whether_the_image_that_was_named_won(metric: str) -> None:
    draw = np.random.default_rng(3)
    caption = "sad" if metric == "emotion_accuracy" else "happy"
    rows: list[dict[str, Any]] = []
    for number in range(30):
        about = {"model": "t", "set": "emotion", "item": f"t{number:02}", "prompt": caption, "scorer": "q"}
        rows += [{**about, "image": image, "value": float(draw.integers(3))} for image in ("sad", "happy")]
    # A tuple without one of the two images was not asked, and one that was lost is missing.
    del rows[2 * 4]
    rows[0] |= {"value": None, "error": "torn"}
    table = Evidence.from_rows(rows)
    found = item_values(metric, table, models=("t",), scorer="q", group="sad")
    assert found.items == tuple(f"t{number:02}" for number in range(30) if number != 4)
    assert found.values is not None
    scores = table.frame.pivot(index="item", columns="image", values="value").drop("t04")
    other = "happy" if caption == "sad" else "sad"
    np.testing.assert_array_equal(found.values[1:], (scores[caption] > scores[other])[1:])
    assert np.isnan(found.values[0])
    assert np.nansum(found.values) / 29 == measure(metric, table, model="t", scorer="q", group="sad").estimate


def test_artworks_contribute_where_they_stand_among_the_originals() -> None:
    draw = np.random.default_rng(2)
    scores, originals = draw.normal(4, 1, 44), draw.normal(10, 2, 90)
    about: dict[str, Any] = {"model": "human", "set": "art", "image": "work", "prompt": "caption", "scorer": "q"}
    rows = [
        {**about, "item": f"{number:02}", "style": ("Dada", "Rococo")[number % 2], "value": float(value)}
        for number, value in enumerate(scores)
    ]
    rows[5] |= {"value": None, "error": "torn"}
    about = {"model": "gen", "set": "pairs", "image": "original", "prompt": "original", "scorer": "q"}
    rows += [{**about, "item": f"p{number}", "value": float(value)} for number, value in enumerate(originals)]
    table = Evidence.from_rows(rows)
    z = (scores - originals.mean()) / originals.std(ddof=1)
    z[5] = np.nan
    for group, chosen in ((None, slice(None)), ("Rococo", slice(1, None, 2))):
        found = item_values("art_z", table, models=("human",), scorer="q", group=group, reference="gen")
        assert found.items == tuple(f"{number:02}" for number in range(44))[chosen]
        assert found.values is not None
        np.testing.assert_allclose(found.values, z[chosen], equal_nan=True)
        whole = measure("art_z", table, model="human", scorer="q", group=group, reference="gen")
        assert np.nanmean(found.values) == pytest.approx(whole.estimate)


def test_a_population_without_spread_gives_no_value() -> None:
    art: dict[str, Any] = {"model": "human", "set": "art", "image": "work", "prompt": "caption", "scorer": "q"}
    own = {"model": "gen", "set": "pairs", "image": "original", "prompt": "original", "scorer": "q"}
    table = Evidence.from_rows([{**each, "item": f"{n}", "value": 1.0} for each in (art, own) for n in range(30)])
    found = item_values("art_z", table, models=("human",), scorer="q", reference="gen")
    assert found.values is not None
    assert np.isnan(found.values).all()


def evidence() -> Evidence:
    """Two models, thirty items, one of them without a wide image."""
    draw = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for model in ("aligned", "base"):
        for number in range(30):
            common = {"model": model, "set": "pairs", "item": f"i{number:02}"}
            lost = {"value": None, "error": "black"} if (model, number) == ("aligned", 7) else None

            def outcome(value: float, lost: dict[str, Any] | None = lost) -> dict[str, Any]:
                return lost or {"value": float(value), "error": None}

            for image in ("original", "wide"):
                for prompt in ("original", "wide"):
                    rows.append({**common, "image": image, "prompt": prompt, "scorer": "q", **outcome(draw.normal())})
                for position, dimension in enumerate(DIMENSIONS):
                    selected = (number + position) % 3 == 0
                    score = {"scorer": f"judge/{dimension}", "selected": selected, **outcome(draw.uniform(0, 2))}
                    rows.append({**common, "image": image, "prompt": None, **score})
            judged = {"image": "pair", "prompt": "wide", "scorer": "preference/p"}
            rows.append({**common, **judged, **outcome(draw.choice([0, 0.5, 1]))})
    return Evidence.from_rows(rows)


@pytest.mark.parametrize("metric", SCORERS)
def test_they_make_up_the_estimate(metric: str) -> None:
    table, base = evidence(), "base" if metric in PAIRED else None
    measured = measure(metric, table, model="aligned", base_model=base, scorer=SCORERS[metric])
    found = item_values(metric, table, models=("aligned",), base_model=base, scorer=SCORERS[metric])
    assert found.values is not None
    assert found.items == tuple(f"i{number:02}" for number in range(30))
    known = found.values[~np.isnan(found.values)]
    assert len(known) == measured.n == 29
    assert np.isnan(found.values[7])
    if metric == "realignment_quality":
        assert wilcoxon(known).effect_r == measured.estimate
    elif metric in ("success_rate", "prefers_wide"):
        # Rates count a missing item as no success.
        assert known.sum() / 30 == pytest.approx(measured.estimate)
    else:
        assert known.mean() == pytest.approx(measured.estimate, abs=1e-12)


def test_metrics_held_against_a_truth_have_none_but_name_their_items() -> None:
    found = item_values("reward_auroc", evidence(), models=("aligned",), scorer="q")
    assert found.values is None
    assert len(found.items) == 30


def test_pooled_generators_have_none() -> None:
    assert item_values("prefers_wide", evidence(), models=("aligned", "base"), scorer="q").values is None
