"""Tells where the time of a model goes, layer by layer.

LiteRT's Python wheel has no timer of single operators. So the model is cut off behind some of its operators, these
prefixes are timed, and a layer is what a prefix takes longer than the one before it. Such a difference is small
against what it is taken from: it is measured in several rounds, and comes with its noise. Cuts are made where the time
goes, so that a network of hundreds of operators is not loaded hundreds of times in each round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edge.compare.estimates import Estimate, median
from edge.engine.base import Operator

RUNS = 1, 4  # of each prefix in a round, at least and at most; the shortest counts
RUNS_S = 0.5  # after the fewest, no longer than this
ROUNDS = 7
FEWEST_CUTS = 8  # however long it takes
SMALL = 0.005  # share of the whole below which a stretch is not cut any further


@dataclass(frozen=True, slots=True)
class Layer:
    """An operator of the model, neighbours of it that were not told apart, or a node of what OpenVINO compiled."""

    place: int  # of the first operator, in the order in which they run, from 0
    operators: int  # how many
    kind: str
    name: str  # of the last one
    seconds: Estimate
    macs: int | None  # None where it is not known
    delegated: bool | None  # None where it is not known, or some are and some are not

    @property
    def gmacs_per_s(self) -> float | None:
        """The rate; None for a layer without multiplications, and where its time cannot be told from none."""
        return self.macs / self.seconds.value / 1e9 if self.macs and self.seconds.low > 0 else None


@dataclass(frozen=True, slots=True)
class Profile:
    """The layers of one model in the order in which they run."""

    layers: list[Layer]
    whole: Estimate  # seconds of the model as it is, in the same rounds
    rounds: int
    way: str  # how it was measured

    def share(self, layer: Layer) -> float:
        return layer.seconds.value / self.whole.value

    def sum_s(self) -> float:
        return sum(layer.seconds.value for layer in self.layers)

    def adds_up(self) -> bool:
        """Returns whether the layers take together what the model takes as it is, within 5 % or its noise."""
        return self.whole.holds(self.sum_s()) or abs(self.sum_s() / self.whole.value - 1) < 0.05

    def outside_share(self) -> float | None:
        """Returns the share of the time that is spent in operators that the delegate left to the interpreter."""
        if any(layer.delegated is None for layer in self.layers):
            return None
        outside = sum(layer.seconds.value for layer in self.layers if not layer.delegated)
        return min(max(outside / self.whole.value, 0.0), 1.0)


def cuts_within(seconds: float, prefix_s: float, operators: int) -> int:
    """Returns how many prefixes can be timed in so much time, where finding and timing the longest takes `prefix_s`.

    They take half as long on average, once to find where to cut and again in every round.
    """
    return min(max(int(seconds / (ROUNDS + 1) / (prefix_s / 2)), FEWEST_CUTS), operators)


def places_to_cut(operators: Sequence[Operator], times: Mapping[int, float], most: int) -> Iterator[int]:
    """Yields lengths of prefixes, each in the middle of what takes longest so far, until there are `most` or all are
    short.

    `times` holds the seconds of every prefix that is known, the whole model's and 0 for none among them; what a
    length takes is to be added before the next one is asked for.
    """
    whole = times[len(operators)]
    while len(times) <= most:
        ends = sorted(times)
        stretches = [
            (times[end] - times[start], start, end)
            for start, end in pairwise(ends)
            if end - start > 1
            and (times[end] - times[start] > SMALL * whole or _delegated(operators[start:end]) is None)
        ]
        if not stretches:
            return
        _, start, end = max(stretches)
        yield (start + end) // 2


def from_prefixes(
    operators: Sequence[Operator],
    cuts: Sequence[int],
    rounds: Sequence[Sequence[float]],
    wholes: Sequence[float],
) -> Profile:
    """Makes a profile of prefixes: `rounds[r][k]` is what the first `cuts[k]` operators took in round r, `wholes[r]`
    the uncut model; seconds.

    The last cut is behind the last operator. Neighbours whose time cannot be told from none are one layer.
    """
    times = np.asarray(rounds, np.float64)
    spent = np.diff(times, axis=1, prepend=0.0)
    layers: list[Layer] = []
    for column, (start, end) in enumerate(zip((0, *cuts), cuts, strict=False)):
        made = _layer(operators, start, end, spent[:, column])
        last = layers[-1] if layers else None
        if last and _unsure(last) and _unsure(made) and last.delegated == made.delegated:
            layers.pop()
            before = times[:, cuts.index(last.place)] if last.place else 0.0
            made = _layer(operators, last.place, end, times[:, column] - before)
        layers.append(made)
    return Profile(layers, median(list(wholes)), len(times), "differences between prefixes of the model")


def from_counters(nodes: Sequence[Operator], rounds: Sequence[Sequence[float]]) -> Profile:
    """Makes a profile of counters: `rounds[r][k]` are the seconds that the runtime's own says of node k in round r."""
    times = np.asarray(rounds, np.float64)
    layers = [
        Layer(place, 1, node.kind, node.name, median(times[:, place].tolist()), None, None)
        for place, node in enumerate(nodes)
    ]
    return Profile(layers, median(times.sum(axis=1).tolist()), len(times), "OpenVINO's counters")


def _layer(operators: Sequence[Operator], start: int, end: int, spent: NDArray[np.float64]) -> Layer:
    inside = operators[start:end]
    kinds = Counter(operator.kind for operator in inside).most_common()
    kind = ", ".join(f"{count} {name}" for name, count in kinds) if len(inside) > 1 else kinds[0][0]
    macs = sum(operator.macs or 0 for operator in inside)
    return Layer(start, len(inside), kind, inside[-1].name, median(spent.tolist()), macs, _delegated(inside))


def _delegated(operators: Sequence[Operator]) -> bool | None:
    kinds = {bool(operator.delegated) for operator in operators}
    return kinds.pop() if len(kinds) == 1 else None


def _unsure(layer: Layer) -> bool:
    """Returns whether enough is known of a layer to say that it may take no time at all."""
    return -np.inf < layer.seconds.low <= 0
