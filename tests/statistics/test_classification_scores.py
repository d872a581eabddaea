"""Scores of a confusion table against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from aes_audit.statistics.classification import accuracy, balanced_accuracy, confusion, f1, mcc

seeded = settings(derandomize=True, deadline=None, max_examples=60)


@seeded
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_scores_agree_with_scikit_learn(rows: list[tuple[bool, bool]]) -> None:
    predicted, truth = np.array(rows, dtype=np.bool_).T
    counts = confusion(predicted, truth).sum(axis=0)
    assert accuracy(counts) == pytest.approx(metrics.accuracy_score(truth, predicted), abs=1e-12)
    both = truth.any() and not truth.all()
    if both:
        expected = metrics.balanced_accuracy_score(truth, predicted)
        assert balanced_accuracy(counts) == pytest.approx(expected, abs=1e-12)
    else:
        assert np.isnan(balanced_accuracy(counts))
    if (truth | predicted).any():
        assert f1(counts) == pytest.approx(metrics.f1_score(truth, predicted, zero_division=0), abs=1e-12)
    else:
        assert np.isnan(f1(counts))
    if both and predicted.any() and not predicted.all():
        assert mcc(counts) == pytest.approx(metrics.matthews_corrcoef(truth, predicted), abs=1e-12)
    else:
        assert np.isnan(mcc(counts))


def test_printed_table_and_its_always_wide_baseline() -> None:
    printed = np.array([2039.0, 11.0, 179.0, 17.0])
    # The text lists TP, TN, FN, FP; the table here is TP, TN, FP, FN.
    table = printed[[0, 1, 3, 2]]
    assert accuracy(table) == pytest.approx(0.912734, abs=5e-7)
    assert balanced_accuracy(table) == pytest.approx(0.656077, abs=5e-7)
    assert f1(table) == pytest.approx(0.954141, abs=5e-7)
    always = np.array([2218.0, 0.0, 28.0, 0.0])
    assert [float(score(always)) for score in (accuracy, balanced_accuracy, f1)] == pytest.approx(
        [0.987533, 0.5, 0.993728], abs=5e-7
    )


def test_many_tables_are_scored_at_once() -> None:
    tables = np.random.default_rng(0).integers(0, 9, (5, 4, 4)).astype(np.float64)
    for score in (accuracy, balanced_accuracy, f1, mcc):
        assert score(tables).shape == (5, 4)
        assert score(tables)[3, 2] == pytest.approx(float(score(tables[3, 2])), nan_ok=True)
