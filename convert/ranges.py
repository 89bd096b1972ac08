"""What values a tensor takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Range:
    """Lowest and highest value of a tensor."""

    low: float
    high: float
