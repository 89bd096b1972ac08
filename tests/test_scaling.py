"""The exponent that the scaling benchmark reports."""

from __future__ import annotations

import pytest


@pytest.mark.tensorflow  # the benchmark makes its own models
def test_the_exponent_is_that_of_time_over_work() -> None:
    from scaling import exponents

    macs = [1e9, 2e9, 8e9]
    rounds = [[3e-9 * m, 2e-4 * m**0.5] for m in macs]
    assert exponents(macs, rounds) == pytest.approx([1.0, 0.5])
