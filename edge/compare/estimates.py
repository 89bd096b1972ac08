"""Estimates how sure a difference is: medians over rounds, and what resampling the rounds says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 2000
FEWEST = 5  # rounds; of fewer, resampling knows nothing


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with the ends of its confidence interval; `low` and `high` are infinite where nothing is known."""

    value: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Returns whether `value` cannot be told from this figure."""
        return self.low <= value <= self.high


def median(samples: Sequence[float]) -> Estimate:
    """Returns the median with its percentile bootstrap interval (Efron, 1979), the same at every call."""
    values = np.asarray(samples, np.float64)
    if len(values) < FEWEST:
        return Estimate(float(np.median(values)), -np.inf, np.inf)
    return _estimate(float(np.median(values)), _resampled(values, seed=1))


def ratio(second: Sequence[float], first: Sequence[float]) -> Estimate:
    """Returns how many times as long `second` takes as `first`, both measured in the same rounds, in order.

    Rounds are compared one by one, so that what slows down both in a round does not count.
    """
    logs = np.log(np.asarray(second, np.float64)) - np.log(np.asarray(first, np.float64))
    return _exp(median(list(logs)))


def change(now: Sequence[float], then: Sequence[float]) -> Estimate:
    """Returns the same as `ratio` of rounds that were measured at different times and are resampled each for
    themselves.
    """
    logs = [np.log(np.asarray(rounds, np.float64)) for rounds in (now, then)]
    value = float(np.median(logs[0]) - np.median(logs[1]))
    if min(len(rounds) for rounds in logs) < FEWEST:
        return _exp(Estimate(value, -np.inf, np.inf))
    return _exp(_estimate(value, _resampled(logs[0], seed=1) - _resampled(logs[1], seed=2)))


def jitter(samples: Sequence[float]) -> float:
    """Returns the mean distance of a sample from the one before it, as RFC 3550 has it for packets, without its
    smoothing.
    """
    return float(np.abs(np.diff(samples)).mean()) if len(samples) > 1 else 0.0


def _resampled(values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Medians of RESAMPLES draws with replacement."""
    draws = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    medians: NDArray[np.float64] = np.median(values[draws], axis=1)
    return medians


def _estimate(value: float, resampled: NDArray[np.float64]) -> Estimate:
    low, high = np.percentile(resampled, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return Estimate(value, float(low), float(high))


def _exp(logs: Estimate) -> Estimate:
    return Estimate(*(float(np.exp(value)) for value in (logs.value, logs.low, logs.high)))
