"""What faces show: how often, how much happier than asked, and against the base model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import bootstrap, t, wilcoxon

from aes_audit.evidence.schema import EMOTIONS
from aes_audit.evidence.table import Evidence
from aes_audit.measures.item_values import item_values
from aes_audit.measures.registry import measure

FACE = "clip/face"
NEGATIVE = ("sad", "angry", "fearful")
Build = Callable[..., Evidence]
Scores = dict[tuple[str, str, str, str | None, str], np.ndarray]


def faces(model: str, shown: dict[str, np.ndarray]) -> Scores:
    """Faces asked for each emotion that show, with certainty, the emotion of a place in EMOTIONS; -1 shows none."""
    return {
        (model, "emotion", asked, said, FACE): np.where(
            places < 0, 0.25, (places == EMOTIONS.index(said)).astype(float)
        )
        for asked, places in shown.items()
        for said in EMOTIONS
    }


def rendered(model: str, values: np.ndarray) -> Scores:
    """r(image e, statement e) of the negative emotions; `values` is (3, items)."""
    return {(model, "emotion", e, e, FACE): row for e, row in zip(NEGATIVE, values, strict=True)}


class TestPositivityShift:
    """Happier than asked."""

    def test_the_confusion_counts_what_was_asked_for_and_what_is_shown(self, build: Build) -> None:
        rng = np.random.default_rng(1)
        shown = {asked: rng.integers(-1, 4, 30) for asked in EMOTIONS}
        found = measure("positivity_shift", build(faces("g", shown)), model="g")
        for asked, places in shown.items():
            counts = {said: int((places == place).sum()) for place, said in enumerate(EMOTIONS)}
            assert found.details["confusion"][asked] == counts
        assert found.details["ties"] == sum(int((places < 0).sum()) for places in shown.values())
        happy = sum((places == 0).mean() for places in shown.values()) / 4
        assert found.estimate == pytest.approx(happy - 1 / 4)

    def test_the_interval_is_that_of_the_mean_over_items_and_not_over_faces(self, build: Build) -> None:
        # An item's faces show the same: thirty values are known, and not a hundred and twenty.
        place = np.arange(30) % 3
        found = measure("positivity_shift", build(faces("g", dict.fromkeys(EMOTIONS, place))), model="g")
        values = (place == 0) - 0.25
        half = t.ppf(0.975, 29) * values.std(ddof=1) / np.sqrt(30)
        assert found.estimate == pytest.approx(values.mean())
        assert found.interval == pytest.approx((values.mean() - half, values.mean() + half))
        kept = item_values(
            "positivity_shift", build(faces("g", dict.fromkeys(EMOTIONS, place))), models=("g",), scorer=FACE
        )
        assert kept.values is not None
        np.testing.assert_allclose(kept.values, values)

    def test_items_of_different_size_weigh_by_their_faces(self, build: Build) -> None:
        rng = np.random.default_rng(2)
        shown = {asked: rng.integers(0, 4, 40) for asked in EMOTIONS}
        cells = faces("g", shown)
        for said in EMOTIONS:
            cells["g", "emotion", "sad", said, FACE] = cells["g", "emotion", "sad", said, FACE].copy()
            cells["g", "emotion", "sad", said, FACE][:15] = np.inf
        found = measure("positivity_shift", build(cells), model="g")
        surplus = (
            sum(
                ((places == 0) & ~((asked == "sad") & (np.arange(40) < 15))).astype(int)
                for asked, places in shown.items()
            )
            - 1
        )
        count = np.where(np.arange(40) < 15, 3, 4)
        assert found.estimate == pytest.approx(surplus.sum() / count.sum())
        drawn = bootstrap(
            (surplus, count),
            lambda s, c, axis: s.sum(axis=axis) / c.sum(axis=axis),
            paired=True,
            vectorized=True,
            rng=np.random.default_rng(0),
        )
        assert found.interval == pytest.approx(tuple(drawn.confidence_interval), abs=0.01)


class TestRealignment:
    """Faces of the aligned model against the base's."""

    def both(self, build: Build, aligned: np.ndarray, base: np.ndarray, **more: Any) -> Any:
        return measure(
            "realignment_emotion",
            build({**rendered("a", aligned), **rendered("b", base)}),
            model="a",
            base_model="b",
            **more,
        )

    def test_it_is_the_mean_paired_difference_with_a_test_that_the_aligned_model_is_lower(self, build: Build) -> None:
        rng = np.random.default_rng(3)
        base = rng.uniform(0.4, 0.9, (3, 30))
        aligned = base - rng.normal(0.1, 0.15, (3, 30))
        found = self.both(build, aligned, base)
        difference = (aligned - base).mean(axis=0)
        half = t.ppf(0.975, 29) * difference.std(ddof=1) / np.sqrt(30)
        assert found.estimate == pytest.approx(difference.mean())
        assert found.interval == pytest.approx((difference.mean() - half, difference.mean() + half))
        oracle = wilcoxon(difference, zero_method="pratt", alternative="less", method="exact")
        assert found.p_value == pytest.approx(oracle.pvalue)
        assert found.effect_r > 0 < found.rank_biserial
        by_emotion = dict(zip(NEGATIVE, (aligned - base).mean(axis=1), strict=True))
        assert found.details["by_emotion"] == pytest.approx(by_emotion)

    def test_mirrored_arms_mirror_the_numbers(self, build: Build) -> None:
        rng = np.random.default_rng(4)
        one, other = rng.uniform(size=(2, 3, 40))
        there, back = self.both(build, one, other), self.both(build, other, one)
        assert there.estimate == pytest.approx(-back.estimate)
        assert there.effect_r == pytest.approx(-back.effect_r)
        assert there.interval == pytest.approx(tuple(-bound for bound in reversed(back.interval)))

    def test_an_item_that_lost_one_face_in_either_arm_is_missing(self, build: Build) -> None:
        base = np.random.default_rng(5).uniform(size=(3, 30))
        aligned = base - 0.2 * np.arange(30) / 30
        aligned[1, 4] = base[2, 5] = base[2, 6] = np.nan
        found = self.both(build, aligned, base)
        assert (found.n, found.missing) == (27, 3)
        assert (found.details["lost"]["base"], found.details["lost"]["aligned"]) == (2, 1)
        kept = item_values(
            "realignment_emotion",
            build({**rendered("a", aligned), **rendered("b", base)}),
            models=("a",),
            base_model="b",
            scorer=FACE,
        )
        assert kept.values is not None
        assert np.isnan(kept.values).sum() == 3
        assert np.nanmean(kept.values) == pytest.approx(found.estimate)

    def test_models_that_draw_alike_show_no_variation_and_no_evidence(self, build: Build) -> None:
        same = np.random.default_rng(6).uniform(size=(3, 30))
        found = self.both(build, same, same)
        assert (found.estimate, found.p_value, found.interval) == (0, 1, None)
        assert found.reason == "no variation"
