"""Holm's correction against statsmodels."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from aes_audit.statistics.multiplicity import any_false_alarm, holm

seeded = settings(derandomize=True, deadline=None, max_examples=20)


@seeded
@given(st.lists(st.floats(0, 1) | st.sampled_from([0.01, 0.05]), min_size=1, max_size=12))
def test_holm_agrees_with_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]), abs=1e-12)


def test_printed_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_an_empty_family_has_no_p_values() -> None:
    assert holm([]) == []


def test_printed_price_of_requiring_every_gate() -> None:
    assert any_false_alarm(12) == pytest.approx(0.262, abs=5e-4)
