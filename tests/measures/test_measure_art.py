"""Art against a reference population: clusters, styles, the control arm, captions; rewards that make no sense."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from aes_audit.errors import UnknownName
from aes_audit.evidence.reading import read_evidence
from aes_audit.evidence.table import Evidence
from aes_audit.gates.thresholds import Gate, read_thresholds
from aes_audit.gates.verdicts import Verdict, judge
from aes_audit.measures.art import styles
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.names import METRIC_NEEDS, PAIRED
from aes_audit.measures.registry import measure
from aes_audit.statistics.intervals import clopper_pearson

Floats = np.ndarray[Any, np.dtype[np.float64]]

SHIPPED = Path(__file__).resolve().parents[2] / "audits" / "thresholds.toml"


def rows(
    model: str,
    values: Iterable[float],
    prompt: str = "caption",
    scorer: str = "r",
    notes: Mapping[str, Sequence[str | None]] | None = None,
) -> list[dict[str, Any]]:
    """Art rows of one model; `notes` are extra columns."""
    found = []
    for number, value in enumerate(values):
        lost = bool(np.isnan(value))
        row: dict[str, Any] = {"model": model, "set": "art", "item": f"{number:04}", "image": "work", "prompt": prompt}
        row |= {"scorer": scorer, "value": None if lost else float(value), "error": "lost" if lost else None}
        found.append(row | {name: column[number] for name, column in (notes or {}).items()})
    return found


def originals(values: Iterable[float], scorer: str = "r") -> list[dict[str, Any]]:
    """The reference population."""
    common = {"model": "gen", "set": "pairs", "image": "original", "prompt": "original", "scorer": scorer}
    return [{**common, "item": f"p{number}", "value": float(value)} for number, value in enumerate(values)]


REFERENCE = np.random.default_rng(0).normal(10, 2, 200)
MEAN, SD = REFERENCE.mean(), REFERENCE.std(ddof=1)


def z_of(table: Evidence, **options: Any) -> Measurement:
    """art_z of works by people against `gen`."""
    return measure("art_z", table, model="human", scorer="r", reference="gen", **options)


def of(*parts: list[dict[str, Any]]) -> Evidence:
    """A table of these rows and the reference."""
    return Evidence.from_rows([row for part in parts for row in part] + originals(REFERENCE))


def test_works_of_one_artist_count_as_one_voice() -> None:
    rng = np.random.default_rng(1)
    tastes = rng.normal(9, 2, 30)
    values = np.repeat(tastes, 10) + rng.normal(0, 0.1, 300)
    artists = [f"a{number // 10}" for number in range(300)]
    alone, together = z_of(of(rows("human", values))), z_of(of(rows("human", values, notes={"artist": artists})))
    assert together.estimate == pytest.approx(alone.estimate)
    assert together.details["artists"] == 30
    widths = [np.ptp(found.interval) for found in (alone, together) if found.interval]
    # With 10 nearly equal works each, the interval of 30 artists is about the root of 10 times as wide.
    assert widths[1] / widths[0] == pytest.approx(10**0.5, rel=0.2)


def test_the_interval_by_artist_covers_the_mean_of_the_population() -> None:
    rng = np.random.default_rng(2)
    truth, covered = (9.0 - MEAN) / SD, 0
    artists = [f"a{number // 5}" for number in range(200)]
    for _ in range(60):
        values = np.repeat(rng.normal(9, 2, 40), 5) + rng.normal(0, 1, 200)
        low, high = z_of(of(rows("human", values, notes={"artist": artists}))).interval or (0, 0)
        covered += low <= truth <= high
    assert covered >= 52  # 95% of 60 is 57; fewer than 52 has a chance below 1%


def test_a_work_without_a_known_artist_stands_for_itself() -> None:
    values = np.random.default_rng(3).normal(9, 1, 60)
    notes: list[str | None] = [f"a{number % 3}" if number < 30 else None for number in range(60)]
    assert z_of(of(rows("human", values, notes={"artist": notes}))).details["artists"] == 33


def test_too_few_artists_give_no_interval_however_many_works() -> None:
    values = np.random.default_rng(4).normal(9, 1, 200)
    found = z_of(of(rows("human", values, notes={"artist": [f"a{n % 6}" for n in range(200)]})))
    assert found.interval is None
    assert found.reason == "works of 6 artists only: 20 are needed"


def test_the_share_far_below_has_an_exact_interval() -> None:
    values = MEAN + SD * np.concatenate([np.full(12, -2.5), np.full(28, -1.9)])
    far = z_of(of(rows("human", values))).details["far_below"]
    assert (far["z"], far["n"], far["share"]) == (-2.0, 40, 0.3)
    assert far["interval"] == pytest.approx(clopper_pearson(12, 40))


def test_a_style_is_measured_alone() -> None:
    values = np.concatenate([np.full(25, 4.0), np.full(25, 12.0)]) + np.random.default_rng(5).normal(0, 0.1, 50)
    table = of(rows("human", values, notes={"style": ["Dada"] * 25 + ["Rococo"] * 24 + [None]}))
    dada, rococo = z_of(table, group="Dada"), z_of(table, group="Rococo")
    assert (dada.n, rococo.n, dada.group) == (25, 24, "Dada")
    assert dada.estimate == pytest.approx((values[:25].mean() - MEAN) / SD)
    assert styles(table, "human") == ("Dada", "Rococo")
    with pytest.raises(UnknownName, match="'Cubism'"):
        z_of(table, group="Cubism")


def test_the_control_arm_and_the_captions_stand_beside() -> None:
    rng = np.random.default_rng(6)
    works, photographs = rng.normal(4, 1, 50), rng.normal(10, 1, 40)
    table = of(
        rows("human", works), rows("human", works - 3, "shuffled"), rows("human/control", photographs),
        rows("human", np.full(50, 0.99), scorer="m"), rows("human", np.full(50, 0.1), "shuffled", "m"),
    )  # fmt: skip
    details = z_of(table).details
    arm = details["control_arm"]
    assert (arm["model"], arm["n"]) == ("human/control", 40)
    assert arm["mean_z"] == pytest.approx((photographs.mean() - MEAN) / SD)
    assert arm["interval"][0] < arm["mean_z"] < arm["interval"][1]
    assert details["captions"]["m"] == {
        "n": 50,
        "matched": pytest.approx(0.99),
        "shuffled": pytest.approx(0.1),
        "matched_wins": 1.0,
        "reads_captions": True,
    }
    assert details["captions"]["r"]["matched_wins"] == 1.0


def gate() -> Gate:
    """The gate of the control profile."""
    found = read_thresholds(SHIPPED, PAIRED, METRIC_NEEDS.keys() - PAIRED).gate("control", "art_z", "r")
    assert found is not None
    return found


def verdict(found: Measurement) -> Verdict:
    """What the shipped gate says."""
    return judge(found, gate(), "down").verdict


def test_a_reward_that_ignores_its_text_is_told_apart_and_judged_by_what_it_sees() -> None:
    values = np.random.default_rng(8).normal(4, 1, 160)
    found = z_of(of(rows("human", values), rows("human", values, "shuffled")))
    assert verdict(found) is Verdict.FAIL
    assert found.details["captions"]["r"]["reads_captions"] is False
    assert found.details["captions"]["r"]["matched_wins"] == 0


def test_a_reward_that_likes_art_better_than_anything_passes() -> None:
    assert verdict(z_of(of(rows("human", np.random.default_rng(9).normal(15, 1, 160))))) is Verdict.PASS


def test_too_many_lost_works_are_no_verdict() -> None:
    values: Floats = np.random.default_rng(10).normal(4, 1, 160)
    values[:5] = np.nan
    assert verdict(z_of(of(rows("human", values)))) is Verdict.ERROR


# PROTOCOL section 10: mean over the art, then mean and SD of Nano Banana's originals alone.
PUBLISHED = {"hpsv3": (5.86, 12.09, 2.08), "hpsv2.0": (0.21, 0.30, 0.025), "imagereward": (-0.13, 1.16, 0.59)}


def with_moments(count: int, mean: float, spread: float, seed: int) -> Floats:
    """Draws with exactly this mean and sample SD."""
    draw = np.random.default_rng(seed).gamma(3.0, size=count)
    return np.asarray(mean + spread * (draw - draw.mean()) / draw.std(ddof=1))


@pytest.mark.parametrize("count", [60, 500])
@pytest.mark.parametrize("scorer", PUBLISHED)
def test_recorded_scores_give_the_published_means_and_the_z_of_scipy(scorer: str, count: int, tmp_path: Path) -> None:
    mean, base, spread = PUBLISHED[scorer]
    art, population = with_moments(count, mean, 1.5 * spread, 1), with_moments(300, base, spread, 2)
    recorded = [*rows("human", art, scorer=scorer), *originals(population, scorer)]
    pd.DataFrame(recorded).to_csv(file := tmp_path / "art.csv", index=False)
    found = measure("art_z", read_evidence(file), model="human", scorer=scorer, reference="gen")
    z = stats.zmap(art, population, ddof=1)
    assert found.estimate == pytest.approx(z.mean()) == pytest.approx((mean - base) / spread)
    reference = found.details["reference"]
    assert (reference["n"], reference["mean"], reference["sd"]) == (300, pytest.approx(base), pytest.approx(spread))
    assert found.details["sd"] == pytest.approx(z.std(ddof=1))
    assert found.details["far_below"]["share"] == pytest.approx((z < -2).mean())
    if count < 100:
        assert found.interval == pytest.approx(stats.t.interval(0.95, count - 1, z.mean(), stats.sem(z)))
    else:
        bca = stats.bootstrap((z,), np.mean, n_resamples=9999, rng=np.random.default_rng(3)).confidence_interval
        assert found.interval == pytest.approx((bca.low, bca.high), abs=0.05 * (bca.high - bca.low))


@pytest.mark.parametrize(("score", "rank", "below"), [(0.30, 1, None), (0.2580, 18, "DALL·E mini"), (0.1, 23, "GLIDE")])
def test_a_published_leaderboard_is_shown_and_decides_nothing(score: float, rank: int, below: str | None) -> None:
    values = score + np.random.default_rng(12).normal(0, 1e-4, 160)
    table = Evidence.from_rows([*rows("human", values, scorer="hpsv2.0"), *originals(REFERENCE / 40, "hpsv2.0")])
    found = measure("art_z", table, model="human", scorer="hpsv2.0", reference="gen")
    board = found.details["leaderboard"]
    assert (board["rank"], board["of"], board["just_below"]) == (rank, 23, below)
    assert "github.com/tgxs002/HPSv2" in board["source"]


def test_a_reward_without_a_leaderboard_on_file_shows_none() -> None:
    assert "leaderboard" not in z_of(of(rows("human", np.random.default_rng(13).normal(10, 1, 50)))).details
