"""Fixture names of the plugin stay out of the way of a test suite that uses the same names."""

from __future__ import annotations

import pytest


def test_a_suite_with_fixtures_of_its_own_named_like_ours_is_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def generator():
            return iter([1])

        @pytest.fixture
        def reward():
            return 2

        def test_own(generator, reward):
            assert next(generator) + reward == 3
        """
    )
    pytester.makeini("[pytest]\naudit_thresholds = nowhere.toml")
    pytester.runpytest().assert_outcomes(passed=1)
