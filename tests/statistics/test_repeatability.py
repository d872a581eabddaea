"""Tolerance of a baseline against simulation-free truth: scipy's t and the printed factors."""

from __future__ import annotations

import pytest
from scipy import stats

from aes_audit.statistics.repeatability import tolerance, tolerance_factor


def test_printed_factors() -> None:
    found = [tolerance_factor(runs) for runs in (2, 3, 5, 10, 20)]
    assert found == pytest.approx([15.56, 4.97, 3.04, 2.37, 2.14], abs=5e-3)
    assert tolerance_factor(7) == pytest.approx(stats.t.ppf(0.975, 6) * (1 + 1 / 7) ** 0.5, abs=1e-12)


def test_the_practical_tolerance_is_a_floor() -> None:
    assert tolerance(0.1, 0.001, 5) == 0.1
    assert tolerance(0.1, 1.0, 5) == pytest.approx(tolerance_factor(5))


def test_one_run_has_no_spread() -> None:
    with pytest.raises(ValueError, match="two runs"):
        tolerance_factor(1)
