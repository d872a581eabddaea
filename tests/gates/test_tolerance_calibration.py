"""The tolerance that repeats of an audit give: never below what is practical, wide enough for one more run."""

from __future__ import annotations

import numpy as np
import pytest

from aes_audit.gates.calibration import Calibration


def test_the_mean_is_the_baseline_and_the_noise_times_the_published_factor_the_tolerance() -> None:
    found = Calibration("rescore", (1.0, 1.2, 0.8, 1.1, 0.9), practical=0.1)
    assert found.mean == pytest.approx(1.0)
    assert found.spread == pytest.approx(np.std([1.0, 1.2, 0.8, 1.1, 0.9], ddof=1))
    assert found.tolerance == pytest.approx(3.04 * found.spread, rel=2e-3)
    assert found.record["runs"] == 5


def test_noise_below_what_is_practical_leaves_the_practical_tolerance() -> None:
    assert Calibration("rescore", (1.0, 1.0, 1.0), practical=0.1).tolerance == 0.1


@pytest.mark.parametrize("runs", [2, 5, 10])
def test_one_more_run_of_the_same_arm_stays_inside_in_95_of_100(runs: int) -> None:
    draw = np.random.default_rng(runs)
    inside = 0
    for _ in range(2000):
        *repeats, one_more = draw.normal(3.0, 0.2, runs + 1)
        found = Calibration("regenerate", tuple(repeats), practical=0.0)
        inside += abs(one_more - found.mean) <= found.tolerance
    assert inside / 2000 == pytest.approx(0.95, abs=0.015)
