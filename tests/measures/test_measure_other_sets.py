"""Edits, emotions, real art and the judge's agreement with people."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics

from aes_audit.errors import MissingScores, UnknownName, UsageError
from aes_audit.evidence.table import Evidence
from aes_audit.measures.registry import measure
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.statistics.intervals import clopper_pearson

Build = Callable[..., Evidence]

INF = float("inf")
FACE = "blip-itm/face"


def test_the_edit_shift_reads_the_original_prompt(build: Build) -> None:
    rng = np.random.default_rng(0)
    source, edited = rng.normal(size=30), rng.normal(2, 1, 30)
    edited[0] = np.nan
    table = build(
        {
            ("e", "edits", "source", "original", "hpsv3"): source,
            ("e", "edits", "edited", "original", "hpsv3"): edited,
            ("e", "edits", "source", "wide", "hpsv3"): source + 9,
            ("e", "edits", "edited", "wide", "hpsv3"): edited,
        }
    )
    found = measure("edit_shift", table, model="e")
    assert (found.n, found.missing) == (29, 1)
    assert found.estimate == pytest.approx(np.mean((edited - source)[1:]), abs=1e-12)


def test_the_edit_shift_of_the_judge_sums_all_dimensions_or_reads_one(build: Build) -> None:
    scores = np.random.default_rng(1).uniform(0, 2, (2, 11, 25))
    cells = {
        ("e", "edits", image, None, f"judge/{dimension}"): scores[arm, place]
        for arm, image in enumerate(("source", "edited"))
        for place, dimension in enumerate(DIMENSIONS)
    }
    table = build(cells)
    family, one = (measure("edit_shift", table, model="e", scorer=name) for name in ("judge", "judge/background"))
    assert family.estimate == pytest.approx((scores[1] - scores[0]).sum(axis=0).mean(), abs=1e-12)
    assert one.estimate == pytest.approx((scores[1, 0] - scores[0, 0]).mean(), abs=1e-12)


def test_an_emotion_is_recognised_only_by_a_strictly_higher_score(build: Build) -> None:
    sad = np.repeat([1.0, 0.0, -1.0, np.nan, INF], [11, 4, 12, 2, 3])
    happy_caption = np.concatenate([np.full(27, 0.5), np.full(5, INF)])
    table = build(
        {
            ("g", "emotion", "sad", "sad", "hpsv3"): sad,
            ("g", "emotion", "happy", "sad", "hpsv3"): np.zeros(32),
            ("g", "emotion", "happy", "happy", "hpsv3"): happy_caption,
            ("g", "emotion", "sad", "happy", "hpsv3"): happy_caption - 1,
        }
    )
    found = measure("emotion_accuracy", table, model="g", group="sad")
    assert (found.n, found.missing, found.group) == (27, 2, "sad")
    assert found.estimate == 11 / 29
    assert found.interval == clopper_pearson(11, 29)
    assert found.details["ties"] == 4
    assert found.details["swapped"] == {"successes": 27, "n": 27, "share": 1.0}
    assert found.p_value == pytest.approx(binomtest(11, 27, 0.5).pvalue)
    with pytest.raises(MissingScores, match="angry"):
        measure("emotion_accuracy", table, model="g", group="angry")


def test_happiness_is_recognised_only_by_a_strictly_higher_score(build: Build) -> None:
    happy = np.repeat([1.0, 0.0, -1.0, np.nan], [5, 6, 14, 1])
    table = build({("g", "emotion", "happy", "happy", "r"): happy, ("g", "emotion", "sad", "happy", "r"): np.zeros(26)})
    found = measure("emotion_accuracy_happy", table, model="g", group="sad")
    assert (found.estimate, found.n, found.missing, found.details["ties"]) == (5 / 26, 25, 1, 6)
    assert found.p_value == pytest.approx(binomtest(5, 25, 0.5).pvalue)
    with pytest.raises(MissingScores, match="no tuple has both images under the sad caption"):
        measure("emotion_accuracy", table, model="g", group="sad")


def test_what_other_scorers_say_of_the_same_tuples_stands_beside(build: Build) -> None:
    sad = np.arange(20.0) - 5
    cells = {("g", "emotion", image, "sad", "blip-itm"): sad * (image == "sad") for image in ("sad", "happy")}
    cells |= {("g", "emotion", image, "sad", "hpsv3"): -sad * (image == "sad") for image in ("sad", "happy")}
    found = measure("emotion_accuracy", build(cells), model="g", group="sad", scorer="hpsv3")
    assert found.estimate == 5 / 20
    assert found.details["by_others"] == {"blip-itm": {"successes": 14, "n": 20, "share": 14 / 20}}


@pytest.mark.parametrize(
    ("wins", "published"),
    [((19, 0.19), 0.0), ((44, 0.44), 0.27), ((32, 0.32), 0.0004)],
    ids=["angry", "sad", "fearful"],
)
def test_the_published_accuracies_of_hpsv3_come_out_with_their_test(
    build: Build, wins: tuple[int, float], published: float
) -> None:
    count, accuracy = wins
    matching = np.where(np.arange(100) < count, 1.0, -1.0)
    table = build({("g", "emotion", "sad", "sad", "r"): matching, ("g", "emotion", "happy", "sad", "r"): np.zeros(100)})
    found = measure("emotion_accuracy", table, model="g", group="sad")
    assert found.estimate == accuracy
    assert found.p_value == pytest.approx(published, abs=0.005)


def test_an_emotion_must_be_named(build: Build) -> None:
    table = build({("g", "emotion", "sad", "sad", "hpsv3"): [1.0]})
    with pytest.raises(UsageError, match="sad, angry, fearful"):
        measure("emotion_accuracy", table, model="g")
    with pytest.raises(UnknownName, match="'happy'"):
        measure("emotion_accuracy", table, model="g", group="happy")


def test_faces_are_scored_against_the_emotion_they_were_asked_for(build: Build) -> None:
    scores = np.random.default_rng(2).uniform(size=30)
    table = build(
        {("g", "emotion", "angry", "angry", FACE): scores, ("g", "emotion", "angry", "happy", FACE): 1 - scores}
    )
    found = measure("emotion_rendering", table, model="g", group="angry")
    assert (found.n, found.scorer) == (30, FACE)
    assert found.estimate == pytest.approx(scores.mean(), abs=1e-12)


def test_faces_happier_than_asked_are_a_shift(build: Build) -> None:
    # Each of 25 items has a face per emotion; the happy statement wins on the happy face and on that of anger.
    emotions = ("happy", "sad", "angry", "fearful")
    cells = {
        ("g", "emotion", asked, statement, FACE): np.full(
            25, float(statement == ("happy" if asked == "angry" else asked))
        )
        for asked in emotions
        for statement in emotions
    }
    cells["g", "emotion", "sad", "happy", FACE] = np.concatenate([np.ones(5), np.zeros(20)])  # ties with sad
    cells["g", "emotion", "fearful", "sad", FACE] = np.concatenate([[np.nan], np.zeros(24)])
    found = measure("positivity_shift", build(cells), model="g")
    assert (found.n, found.missing) == (24, 1)
    assert found.estimate == pytest.approx(2 / 4 - 1 / 4)
    assert found.details["ties"] == 4
    assert (found.details["faces"], found.details["happiest"], found.details["asked_happy"]) == (96, 48, 24)


def test_faces_without_every_statement_do_not_count(build: Build) -> None:
    emotions = ("happy", "sad", "angry", "fearful")
    cells = {("g", "emotion", "sad", statement, FACE): np.arange(30.0) % 3 for statement in emotions}
    cells["g", "emotion", "sad", "happy", FACE] = np.full(30, 1.5)
    cells["g", "emotion", "angry", "angry", FACE] = np.ones(30)
    found = measure("positivity_shift", build(cells), model="g")
    assert (found.n, found.missing, found.details["faces"]) == (30, 0, 30)
    assert found.estimate == pytest.approx(20 / 30)


def test_art_is_placed_in_its_declared_reference(build: Build) -> None:
    rng = np.random.default_rng(3)
    works, originals = rng.normal(6, 2, 40), rng.normal(12, 3, 50)
    originals[0] = np.nan
    table = build(
        {
            ("human", "art", "work", "caption", "hpsv3"): works,
            ("flux", "pairs", "original", "original", "hpsv3"): originals,
        }
    )
    found = measure("art_z", table, model="human", reference="flux")
    mean, spread = originals[1:].mean(), originals[1:].std(ddof=1)
    assert found.estimate == pytest.approx(((works - mean) / spread).mean(), abs=1e-12)
    assert found.base_model is None
    assert found.details["reference"] == {
        "model": "flux",
        "set": "pairs",
        "scorer": "hpsv3",
        "n": 49,
        "mean": pytest.approx(mean),
        "sd": pytest.approx(spread),
    }
    with pytest.raises(UsageError, match="reference"):
        measure("art_z", table, model="human")
    with pytest.raises(UnknownName, match="'sdxl'"):
        measure("art_z", table, model="human", reference="sdxl")


def test_a_reference_without_spread_places_nothing(build: Build) -> None:
    cells = {
        ("human", "art", "work", "caption", "hpsv3"): np.ones(30),
        ("flux", "pairs", "original", "original", "hpsv3"): [1.0],
    }
    found = measure("art_z", build(cells), model="human", reference="flux")
    assert found.estimate is None
    assert found.reason is not None
    assert "no spread" in found.reason


def rated(items: int, seed: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, (12, items)).astype(float)
    return np.clip(truth + rng.normal(0, 0.7, (12, items)), 0, 2), truth


def ratings(build: Build, judged: np.ndarray, truth: np.ndarray) -> Evidence:
    names = (*DIMENSIONS, "symmetry")
    return build(
        {
            ("human", "ratings", "work", None, f"{who}/{name}"): scores[place]
            for who, scores in (("judge", judged), ("truth", truth))
            for place, name in enumerate(names)
        }
    )


@pytest.mark.parametrize(("group", "rows"), [(None, 12), ("used", 11), ("clarity", 1), ("symmetry", 1)])
def test_agreement_agrees_with_scikit_learn_in_every_group(build: Build, group: str | None, rows: int) -> None:
    judged, truth = rated(40)
    table = ratings(build, judged, truth)
    places = {None: slice(None), "used": slice(11), "clarity": slice(1, 2), "symmetry": slice(11, 12)}[group]
    j, t = judged[places].ravel(), truth[places].ravel()
    weights = 1 / np.bincount(t.astype(int))[t.astype(int)]
    expected = {
        "accuracy": metrics.accuracy_score(t, np.rint(j)),
        "mae": metrics.mean_absolute_error(t, j),
        "weighted_mae": metrics.mean_absolute_error(t, j, sample_weight=weights),
        "weighted_f1": metrics.f1_score(t, np.rint(j), average="weighted"),
        "quadratic_kappa": metrics.cohen_kappa_score(t, np.rint(j), weights="quadratic"),
    }
    for name, value in expected.items():
        found = measure(f"judge_agreement_{name}", table, model="human", group=group)
        assert found.estimate == pytest.approx(value, abs=1e-12)
        assert (found.scorer, found.group, found.n, found.missing) == ("judge", group, 40, 0)
        assert found.details["rows"] == rows * 40
        assert found.interval is not None
        assert found.interval[0] < value < found.interval[1]


def test_agreement_stands_beside_the_majority_class(build: Build) -> None:
    truth = np.tile(np.repeat([1.0, 0.0], [30, 10]), (12, 1))
    table = ratings(build, np.full((12, 40), 1.2), truth)
    found = measure("judge_agreement_accuracy", table, model="human", group="clarity")
    assert found.interval == clopper_pearson(30, 40)
    assert (found.details["majority_class"], found.details["majority_baseline"]) == (1, 0.75)
    assert found.details["uninformative"] is True
    assert found.details["classes"] == [10, 30, 0]
    mae = measure("judge_agreement_mae", table, model="human", group="clarity")
    assert mae.details["majority_baseline"] == 0.25


def test_an_image_with_a_lost_rating_is_missing(build: Build) -> None:
    judged, truth = rated(30)
    judged[2, 7] = np.nan
    truth[5, 8] = INF
    found = measure("judge_agreement_mae", ratings(build, judged, truth), model="human")
    assert (found.n, found.missing, found.details["rows"]) == (28, 2, 358)


def test_an_unknown_dimension_is_a_usage_error(build: Build) -> None:
    with pytest.raises(UsageError, match="charm"):
        measure("judge_agreement_mae", ratings(build, *rated(20)), model="human", group="charm")
