"""How often gates are wrong: a model against itself through real tables, injected regressions, and coverage.

Every simulation is seeded; a rate of at most alpha may show up to alpha + 3 sqrt(alpha (1 - alpha) / R) here.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from aes_audit.evidence.table import Evidence
from aes_audit.gates.curtailment import Seen, Settled, final_gate, look, order
from aes_audit.gates.thresholds import Gate
from aes_audit.gates.verdicts import Verdict, judge
from aes_audit.measures.registry import METRICS, measure
from aes_audit.statistics.auroc import clustered_delong
from aes_audit.statistics.intervals import bca_mean
from aes_audit.statistics.multiplicity import holm
from aes_audit.statistics.paired import wilcoxon

Bools = npt.NDArray[np.bool_]

RUNS = 500
"""Comparisons that go through tables, measures and gates."""
ITEMS = 60
PAIRED = Gate("release", "realignment_success", margin=1e-9)
"""Every regression exceeds the margin, so that the test alone decides."""
NAMES = tuple(f"{item:03}" for item in range(ITEMS))


def within(alpha: float, runs: int) -> float:
    """The largest share of wrong verdicts that a level of `alpha` explains."""
    return alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)


def evidence(successes: Bools, scorers: int = 1) -> Evidence:
    """One table of successes (models, scorers, items); a failure is a tie, and models are named by number."""
    models, _, items = successes.shape
    frame = pd.DataFrame(
        {
            "model": np.repeat([f"{model:04}" for model in range(models)], scorers * items),
            "set": "pairs",
            "item": np.tile(NAMES[:items], models * scorers),
            "image": "pair",
            "prompt": "wide",
            "scorer": np.tile(np.repeat([f"preference/{scorer}" for scorer in range(scorers)], items), models),
            "value": np.where(successes.ravel(), 1.0, 0.5),
            "error": None,
        }
    )
    return Evidence(frame)


def pair_of(run: int) -> tuple[str, str]:
    """Names of the aligned and the base model of a run."""
    return f"{2 * run:04}", f"{2 * run + 1:04}"


def hits_in_order(table: Evidence, model: str, sequence: tuple[str, ...], scorer: str) -> tuple[bool, ...]:
    """A model's successes as a collector would have seen them come in."""
    values = table.values(model, "pairs", scorer, "pair", "wide")
    return tuple(bool(value == 1) for value in values.reindex(list(sequence)).to_numpy())


def first_settled(gate: Gate, seen: Seen, anytime: bool, family: int = 1) -> Settled:
    """A look after every item, until the verdict is settled."""
    found = (look(gate, seen.first(at), anytime=anytime, family=family) for at in range(seen.planned + 1))
    return next(settled for settled in found if settled is not None)


def test_a_model_against_itself_rarely_fails_through_the_whole_gate() -> None:
    rng = np.random.default_rng(1)
    table = evidence(rng.random((2 * RUNS, 1, ITEMS)) < 0.7)
    sequence = order(NAMES, 3)
    failed = dict.fromkeys(("full", "curtailed", "anytime"), 0)
    for run in range(RUNS):
        aligned, base = pair_of(run)
        measured = measure("realignment_success", table, model=aligned, base_model=base)
        full = judge(measured, PAIRED, METRICS["realignment_success"].bad).verdict
        seen = Seen(
            ITEMS,
            hits_in_order(table, aligned, sequence, "preference/0"),
            hits_in_order(table, base, sequence, "preference/0"),
        )
        curtailed = first_settled(PAIRED, seen, anytime=False).verdict
        assert curtailed is full
        failed["full"] += full is Verdict.FAIL
        failed["curtailed"] += curtailed is Verdict.FAIL
        failed["anytime"] += first_settled(PAIRED, seen, anytime=True).verdict is Verdict.FAIL
    assert all(count / RUNS <= within(PAIRED.alpha, RUNS) for count in failed.values()), failed


def test_a_rate_at_its_threshold_is_rarely_said_to_be_on_one_side() -> None:
    rng = np.random.default_rng(2)
    gate = Gate("release", "success_rate", at_least=0.8)
    table = evidence(rng.random((RUNS, 1, ITEMS)) < 0.8)
    sequence = order(NAMES, 4)
    said: dict[tuple[str, Verdict], int] = {}
    for run in range(RUNS):
        measured = measure("success_rate", table, model=f"{run:04}")
        full = judge(measured, gate, METRICS["success_rate"].bad).verdict
        seen = Seen(ITEMS, hits_in_order(table, f"{run:04}", sequence, "preference/0"))
        curtailed = first_settled(gate, seen, anytime=False).verdict
        assert curtailed is full
        for how, verdict in (("full", full), ("anytime", first_settled(gate, seen, anytime=True).verdict)):
            said[how, verdict] = said.get((how, verdict), 0) + 1
    wrong = {key: count / RUNS for key, count in said.items() if key[1] is not Verdict.INCONCLUSIVE}
    assert all(share <= within(0.025, RUNS) for share in wrong.values()), wrong


def test_a_family_of_eight_equal_gates_rarely_fails_at_all() -> None:
    members = 8
    table = evidence(np.random.default_rng(3).random((2 * RUNS, members, ITEMS)) < 0.7, members)
    sequence = order(NAMES, 5)
    alarms = {"full": 0, "anytime": 0}
    for run in range(RUNS):
        aligned, base = pair_of(run)
        scorers = [f"preference/{member}" for member in range(members)]
        measured = [
            measure("realignment_success", table, model=aligned, base_model=base, scorer=name) for name in scorers
        ]
        adjusted = holm([1.0 if found.p_value is None else found.p_value for found in measured])
        ends = {
            gate.alpha: any(
                judge(found, gate, "down", p).verdict is Verdict.FAIL
                for found, p in zip(measured, adjusted, strict=True)
            )
            for gate in (PAIRED, final_gate(PAIRED))
        }
        # A bettor's verdict is never taken back: the last look knows what a look at every item would have said.
        early = any(
            found is not None and found.rule == "anytime"
            for name in scorers
            if (
                found := look(
                    PAIRED,
                    Seen(ITEMS, *(hits_in_order(table, model, sequence, name) for model in (aligned, base))),
                    anytime=True,
                    family=members,
                )
            )
        )
        alarms["full"] += ends[PAIRED.alpha]
        alarms["anytime"] += early or ends[final_gate(PAIRED).alpha]
    assert all(count / RUNS <= within(PAIRED.alpha, RUNS) for count in alarms.values()), alarms


def test_strata_that_differ_leave_the_anytime_guarantee_alone() -> None:
    # Half the items succeed always, half at .6: on average exactly the threshold, in a mixed order.
    rng, runs = np.random.default_rng(4), 1000
    gate = Gate("release", "success_rate", at_least=0.8)
    strata = {name: "easy" if int(name) % 2 else "hard" for name in NAMES}
    easy = np.array([strata[name] == "easy" for name in NAMES])
    wrong = dict.fromkeys((Verdict.PASS, Verdict.FAIL), 0)
    for run in range(runs):
        hits = dict(zip(NAMES, rng.random(ITEMS) < np.where(easy, 1.0, 0.6), strict=True))
        found = look(gate, Seen(ITEMS, tuple(bool(hits[name]) for name in order(NAMES, run, strata))), anytime=True)
        assert found is not None
        if found.verdict in wrong:
            wrong[found.verdict] += 1
    assert all(count / runs <= within(0.025, runs) for count in wrong.values()), wrong


@pytest.mark.parametrize(("share", "regressed", "full", "early"), [(0.4, 0.65, 0.92, 0.90), (0.2, 0.8, 0.99, 0.99)])
def test_an_injected_regression_fails_the_whole_gate(share: float, regressed: float, full: float, early: float) -> None:
    rng, runs, items = np.random.default_rng(5), 200, 300
    names = tuple(f"{item:03}" for item in range(items))
    differ, worse, same = rng.random((3, runs, items))
    base = np.where(differ < share, worse < regressed, same < 0.6)
    aligned = np.where(differ < share, worse >= regressed, same < 0.6)
    sequence = np.array([int(name) for name in order(names, 6)])
    found = {"full": 0, "early": 0}
    for run in range(runs):
        seen = Seen(items, *(tuple(map(bool, arm[run][sequence])) for arm in (aligned, base)))
        for how, anytime in (("full", False), ("early", True)):
            settled = look(PAIRED, seen, anytime=anytime)
            assert settled is not None
            found[how] += settled.verdict is Verdict.FAIL
    # The required power, less the error of fewer runs than statistics/test_sequential has.
    for how, power in (("full", full), ("early", early)):
        assert found[how] / runs >= power - 3 * math.sqrt(power * (1 - power) / runs)


@pytest.mark.parametrize("decimals", [0, 6])
def test_a_model_scored_twice_rarely_looks_prettier(decimals: int) -> None:
    runs, alpha = 2000, 0.05
    differences = np.random.default_rng(7).normal(size=(runs, 2, 100)).round(decimals)
    p_values = np.array([wilcoxon(run[0] - run[1]).p_greater for run in differences])
    assert np.mean(p_values <= alpha) <= within(alpha, runs)


@pytest.mark.parametrize(("draw", "truth"), [("normal", 0.0), ("exponential", 1.0)])
def test_bca_covers_the_mean_of_300_items_in_a_thousand_runs(draw: str, truth: float) -> None:
    rng, runs, hits = np.random.default_rng(8), 1000, 0
    for run in range(runs):
        bounds = bca_mean(getattr(rng, draw)(size=300), seed=run, resamples=499).bounds
        assert bounds is not None
        hits += bounds[0] <= truth <= bounds[1]
    assert hits / runs >= 0.92


@pytest.mark.parametrize(("models", "floor"), [(1, 0.92), (10, 0.91)])
def test_the_area_is_covered_also_when_models_share_items(models: int, floor: float) -> None:
    # Positives lie one SD above negatives: the area is P(N(1, 2) > 0). Scores of an item correlate with .8.
    rng, runs, hits = np.random.default_rng(9), 1000, 0
    area, items = 0.5 * math.erfc(-0.5), 300
    truth = np.tile(np.arange(items) < 150, models)
    names = np.tile(np.arange(items), models)
    shared = math.sqrt(0.8) if models > 1 else 0.0
    for _ in range(runs):
        own = math.sqrt(1 - shared**2) * rng.normal(size=models * items)
        scores = truth.astype(np.float64) + np.tile(shared * rng.normal(size=items), models) + own
        bounds = clustered_delong(scores, truth, names).interval.bounds
        assert bounds is not None
        hits += bounds[0] <= area <= bounds[1]
    assert hits / runs >= floor
