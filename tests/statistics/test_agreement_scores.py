"""Agreement of a judge with people against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from aes_audit.statistics.agreement import accuracy, mae, quadratic_kappa, row_sums, weighted_f1, weighted_mae

seeded = settings(derandomize=True, deadline=None, max_examples=60)

SCORES = st.floats(0, 2) | st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0])
ROWS = st.lists(st.tuples(SCORES, st.integers(0, 2)), min_size=1, max_size=40)


@seeded
@given(ROWS)
def test_agreement_agrees_with_scikit_learn(rows: list[tuple[float, int]]) -> None:
    scores = np.array([score for score, _ in rows])
    truth = np.array([true for _, true in rows])
    sums = row_sums(scores, truth).sum(axis=0)
    predicted = np.array([round(score) for score in scores])  # Python rounds halves to even, too
    assert accuracy(sums) == pytest.approx(metrics.accuracy_score(truth, predicted), abs=1e-12)
    expected_f1 = metrics.f1_score(truth, predicted, average="weighted", zero_division=0)
    assert weighted_f1(sums) == pytest.approx(expected_f1, abs=1e-12)
    assert mae(sums) == pytest.approx(metrics.mean_absolute_error(truth, scores), abs=1e-12)
    weights = 1 / np.bincount(truth, minlength=3).clip(1)[truth]
    expected_mae = metrics.mean_absolute_error(truth, scores, sample_weight=weights)
    assert weighted_mae(sums) == pytest.approx(expected_mae, abs=1e-12)
    if len(set(truth) | set(predicted)) > 1:
        kappa = metrics.cohen_kappa_score(truth, predicted, weights="quadratic", labels=[0, 1, 2])
        assert quadratic_kappa(sums) == pytest.approx(kappa, abs=1e-12)
    else:
        assert np.isnan(quadratic_kappa(sums))


def test_halves_round_to_even() -> None:
    sums = row_sums(np.array([0.5, 1.5]), np.array([0, 2])).sum(axis=0)
    assert accuracy(sums) == 1
