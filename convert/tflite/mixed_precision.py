"""Finds the operators that quantization hurts, and keeps as few of them as needed in float.

A tensor of wide range whose small differences matter has too few steps in int8. It shows in the operators on both
sides of it, so those are what is looked for: each run of operators is quantized alone, all else in float, and the one
that costs most agreement is halved, until single operators are left. Costs of single operators do not hide each
other that way, and most of a network is cleared by a few trials.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.ranges import Range
from convert.tflite.quantize import operators, quantize
from convert.tflite.recipes import Recipe
from edge.data import Ids
from edge.engine.open import open_engine
from edge.evaluation.metrics import agreement
from edge.preprocess import stored
from edge.progress import Track, silent
from edge.upsample import Upsample

FRAMES = 6  # that a trial looks at: costs worth keeping an operator in float show on few
MOST = 0.2  # of the operators: a network that needs more of them in float is not one for int8
WORTH = 0.9  # of what operators in float gain, where it is not enough: what gains the rest is given back
SEARCH_SHARE = 0.75  # of the time, for finding what costs
TRIED = frozenset({1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64})  # counts of costly operators that may be all
CLEARED = (0.25, 0.1, 0.04)  # of the agreement that may be lost: a run that costs less is left alone, at first


@dataclass(frozen=True, slots=True)
class Cost:
    """What quantizing one operator alone does."""

    operator: str  # name of its output tensor
    lost: float  # share of pixels that change their class, beyond those that change with the picture's own steps


class QuantizationTrials:
    """Partly quantized versions of one float model, compared with it on a few frames.

    `samples` are float32 (1, H, W, 3), what the model takes.
    """

    def __init__(
        self, model: bytes, ranges: dict[str, Range], recipe: Recipe, samples: Sequence[NDArray[np.float32]]
    ) -> None:
        self._model, self._ranges, self._recipe, self._samples = model, ranges, recipe, samples
        self.operators = operators(model)
        self._wanted = list(self._labels(model))
        self._known: dict[frozenset[str], float] = {}

    def agreement(self, in_float: Collection[str]) -> float:
        """Returns the share of pixels as in the float model when all but these operators are quantized.

        What was tried once is known.
        """
        tried = frozenset(in_float)
        if tried not in self._known:
            labels = self._labels(quantize(self._model, self._ranges, self._recipe, in_float))
            shares = [agreement(*pair) for pair in zip(labels, self._wanted, strict=True)]
            self._known[tried] = float(np.mean(shares))
        return self._known[tried]

    def _labels(self, model: bytes) -> Iterator[Ids]:
        engine = open_engine(model, "a trial")
        _, height, width, _ = engine.input.shape
        upsample = Upsample((engine.output.shape[1], engine.output.shape[2]), (height, width))
        for sample in self._samples:
            yield upsample(engine.invoke(stored(sample, engine.input))[0])


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has found."""

    costs: list[Cost]  # the costliest first
    in_float: list[str]  # the operators to keep so
    finished: bool  # in the time that there was


def search(
    trials: QuantizationTrials, limit: float, track: Track = silent, until: float = math.inf, least: float = 0.0
) -> Found:
    """Returns the operators to keep in float for an agreement of `limit`, or that come nearest to it with as many as
    `MOST` allows; none where none helps.

    First it tries the leading ones, since what they lose all others inherit; then it looks for fewer, and for smaller
    costs where the larger ones are not all. Where the agreement is out of reach, operators that are worth little are
    given back, but for those that an agreement of `least` needs. It ends at the time `until`, by the monotonic clock,
    with what it has found so far; the last quarter of the time is for finding how little of it is enough.
    """
    found = _searched(trials, limit, track, until)
    plain, best = trials.agreement([]), trials.agreement(found.in_float)
    if best >= limit:
        return found
    nearly = [Cost(name, 0.0) for name in found.in_float]
    worth = max(plain + WORTH * (best - plain), min(best, least))
    fewer = keep_in_float(trials, nearly, worth, track, until)
    return Found(found.costs, fewer, found.finished)


def _searched(trials: QuantizationTrials, limit: float, track: Track, until: float) -> Found:
    """What is enough; where nothing is, what comes nearest."""
    now = time.monotonic()
    searched = now + SEARCH_SHARE * (until - now)
    leading = [Cost(name, 0.0) for name in trials.operators]
    best = _better(trials, limit, [], keep_in_float(trials, leading, limit, track, searched))
    for cleared in CLEARED:
        enough = len(best) if trials.agreement(best) >= limit else _most(trials) + 1
        costs = costly(trials, cleared * (1 - limit), track, searched, limit=limit, enough=enough)
        in_time = time.monotonic() < searched
        best = _better(trials, limit, best, keep_in_float(trials, costs, limit, track, until))
        if trials.agreement(best) >= limit or len(costs) >= enough:
            return Found(costs, best, in_time and time.monotonic() < until)
        if not in_time:
            return Found(costs, best, False)
    return Found(costs, best, True)


def _better(trials: QuantizationTrials, limit: float, one: list[str], other: list[str]) -> list[str]:
    """Those that are enough, the fewer where both are; what agrees more where neither is."""

    def rank(kept: list[str]) -> tuple[bool, float]:
        agreed = trials.agreement(kept)
        return agreed < limit, len(kept) if agreed >= limit else -agreed

    return min(one, other, key=rank)


def costly(
    trials: QuantizationTrials,
    tolerance: float,
    track: Track = silent,
    until: float = math.inf,
    *,
    limit: float = math.inf,
    enough: float = math.inf,
) -> list[Cost]:
    """Returns the operators that alone cost more than `tolerance` in agreement; the costliest first.

    What costs most is looked for first. The search ends where those that were found are enough in float for an
    agreement of `limit`, where they are `enough` in number or more than a rescue may keep, and at the time `until`, by
    the monotonic clock.
    """
    costs: list[Cost] = []
    for cost in track(_halved(trials, tolerance, until), "finding the layers that hurt"):
        if cost is None:
            continue
        costs.append(cost)
        if len(costs) >= min(enough, _most(trials) + 1):
            break
        if len(costs) in TRIED and trials.agreement([found.operator for found in costs]) >= limit:
            break
    return sorted(costs, key=lambda cost: -cost.lost)


def _most(trials: QuantizationTrials) -> int:
    return int(MOST * len(trials.operators))


def _halved(trials: QuantizationTrials, tolerance: float, until: float) -> Iterator[Cost | None]:
    """Halves the run of operators that costs most, again and again; yields after each trial, and each single operator.

    When the time is over, the operators of the costliest runs share their costs. The picture itself is in int8 where no
    operator is, and what that costs is no operator's.
    """
    names = trials.operators
    most = trials.agreement(names)
    yield None

    def run(first: int, last: int) -> tuple[float, int, int]:
        return trials.agreement(names[:first] + names[last:]) - most, first, last

    runs = [run(0, len(names))]
    while runs and time.monotonic() < until:
        gained, first, last = heapq.heappop(runs)
        if -gained <= tolerance:
            return
        if last - first == 1:
            yield Cost(names[first], -gained)
            continue
        middle = (first + last) // 2
        for half in ((first, middle), (middle, last)):
            heapq.heappush(runs, run(*half))
            yield None
    for gained, first, last in sorted(runs):
        if -gained > tolerance:
            yield from (Cost(name, -gained / (last - first)) for name in names[first:last])


def keep_in_float(
    trials: QuantizationTrials, costs: Sequence[Cost], limit: float, track: Track = silent, until: float = math.inf
) -> list[str]:
    """Returns as few of the costly operators as needed for an agreement of `limit`; where that is out of reach, the
    costliest of them, as many as `MOST` allows.

    Those that are enough are found by bisection, then each is given back if it can be, up to the time `until`.
    """
    names = [cost.operator for cost in costs[: _most(trials)]]
    trying = track(_kept(trials, names, limit, until), "keeping layers in float")
    *_, kept = [[], *trying]
    return kept or names


def _kept(trials: QuantizationTrials, names: list[str], limit: float, until: float) -> Iterator[list[str]]:
    """Yields after each trial what is enough so far; nothing where all are not."""
    if not names or trials.agreement(names) < limit:
        return
    few, many = 0, len(names)  # too few, and enough
    yield names
    while many - few > 1 and time.monotonic() < until:
        middle = (few + many) // 2
        few, many = (few, middle) if trials.agreement(names[:middle]) >= limit else (middle, many)
        yield names[:many]
    kept = names[:many]
    for name in kept[-2::-1]:
        if time.monotonic() >= until:
            return
        fewer = [other for other in kept if other != name]
        if trials.agreement(fewer) >= limit:
            kept = fewer
        yield kept
