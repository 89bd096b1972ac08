"""Where the time of a model goes, layer by layer.

LiteRT's Python wheel has no timer of single operators. So the model is cut off behind each of its operators in turn,
these prefixes are timed, and a layer is what a prefix takes longer than the one before it. Such a difference is
small against what it is taken from: it is measured in several rounds, and comes with its noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.statistics import Estimate, difference, median

RUNS = 4  # of each prefix in a round; the shortest counts


@dataclass(frozen=True, slots=True)
class Layer:
    """An operator of the model, or a node of what OpenVINO compiled from it."""

    place: int  # in the order in which they run, from 0
    kind: str
    name: str
    seconds: Estimate
    macs: int | None  # None where it is not known
    delegated: bool | None

    @property
    def gmacs_per_s(self) -> float | None:
        """None for a layer without multiplications, and where its time cannot be told from none."""
        return self.macs / self.seconds.value / 1e9 if self.macs and self.seconds.low > 0 else None


@dataclass(frozen=True, slots=True)
class Profile:
    """The layers of one model in the order in which they run."""

    layers: list[Layer]
    whole_s: float  # of the same invoke, cut nowhere
    rounds: int
    way: str  # how it was measured

    def share(self, layer: Layer) -> float:
        return layer.seconds.value / self.whole_s

    def costliest(self, count: int) -> list[Layer]:
        return sorted(self.layers, key=lambda layer: -layer.seconds.value)[:count]

    def outside_share(self) -> float | None:
        """Of the time, spent in operators that the delegate left to the interpreter."""
        if any(layer.delegated is None for layer in self.layers):
            return None
        outside = sum(layer.seconds.value for layer in self.layers if not layer.delegated)
        return min(max(outside / self.whole_s, 0.0), 1.0)


def from_prefixes(operators: Sequence[dict[str, Any]], rounds: Sequence[Sequence[float]]) -> Profile:
    """`rounds[r][k]` is what the prefix up to and with operator k took in round r, seconds."""
    times = np.asarray(rounds, np.float64)
    layers = []
    for place, operator in enumerate(operators):
        now = times[:, place].tolist()
        seconds = difference(now, times[:, place - 1].tolist()) if place else median(now)
        layers.append(
            Layer(place, operator["kind"], operator["name"], seconds, operator["macs"], operator["delegated"])
        )
    return Profile(layers, float(np.median(times[:, -1])), len(times), "differences between prefixes of the model")


def from_counters(nodes: Sequence[dict[str, Any]], rounds: Sequence[Sequence[float]]) -> Profile:
    """`rounds[r][k]` is what the runtime's own counter says of node k in round r, seconds."""
    times = np.asarray(rounds, np.float64)
    layers = [
        Layer(place, node["kind"], node["name"], median(times[:, place].tolist()), None, None)
        for place, node in enumerate(nodes)
    ]
    return Profile(layers, float(np.median(times.sum(axis=1))), len(times), "OpenVINO's counters")
