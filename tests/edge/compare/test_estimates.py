from __future__ import annotations

import math

import numpy as np
import pytest

from edge.compare.estimates import change, jitter, median, ratio


def test_what_slows_both_down_in_a_round_does_not_count() -> None:
    drift = np.array([1.0, 3.0, 1.5, 2.0, 1.1, 4.0])
    found = ratio(list(2.0 * drift), list(1.0 * drift))
    assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    chance = np.random.default_rng(0)
    held = {"ratio": 0, "change": 0}
    for _ in range(200):
        first, second = chance.normal(10, 0.5, 10), 1.3 * chance.normal(10, 0.5, 10)
        held["ratio"] += ratio(list(second), list(first)).holds(1.3)
        held["change"] += change(list(second), list(first)).holds(1.3)
    assert all(0.85 < count / 200 <= 1 for count in held.values())


def test_a_clear_difference_is_told_from_none() -> None:
    chance = np.random.default_rng(0)
    first = list(chance.normal(10, 0.2, 10))
    assert not ratio([2 * value for value in first], first).holds(1.0)


def test_few_rounds_know_nothing() -> None:
    found = ratio([2.0, 2.1], [1.0, 1.0])
    assert found.value == pytest.approx(math.sqrt(2.0 * 2.1))
    assert (found.low, found.high) == (0.0, math.inf)
    assert change([2.0] * 3, [1.0] * 9).holds(1.0)
    assert median([1.0, 2.0]).low == -math.inf


def test_the_same_figures_give_the_same_answer() -> None:
    samples = list(np.random.default_rng(1).normal(10, 1, 12))
    assert median(samples) == median(samples)


def test_jitter_is_the_mean_step() -> None:
    assert jitter([1.0, 2.0, 1.0, 4.0]) == pytest.approx(5 / 3)
    assert jitter([1.0]) == 0.0
