"""Finds the operators that quantization hurts, and keeps as few of them as needed in float.

A tensor of wide range whose small differences matter has too few steps in int8. It shows in the operators on both
sides of it, so those are what is looked for: each run of operators is quantized alone, all else in float, and where
that costs agreement the run is halved until single operators are left. Costs of single operators do not hide each
other that way, and most of a network is cleared by a few trials.
"""

from __future__ import annotations

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
from edge.postprocess import Upsample
from edge.preprocess import stored
from edge.progress import Track, silent

FRAMES = 6  # that a trial looks at: costs worth keeping an operator in float show on few
MOST = 0.2  # of the operators: a network that needs more of them in float is not one for int8
CLEARED = 0.25  # of the agreement that may be lost: a run of operators that costs less is left alone


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

    def agreement(self, in_float: Collection[str]) -> float:
        """Returns the share of pixels as in the float model when all but these operators are quantized."""
        labels = self._labels(quantize(self._model, self._ranges, self._recipe, in_float))
        return float(np.mean([agreement(*pair) for pair in zip(labels, self._wanted, strict=True)]))

    def _labels(self, model: bytes) -> Iterator[Ids]:
        engine = open_engine(model, "a trial")
        _, height, width, _ = engine.input.shape
        upsample = Upsample((engine.output.shape[1], engine.output.shape[2]), (height, width))
        for sample in self._samples:
            yield upsample(engine.invoke(stored(sample, engine.input))[0])


def costly(trials: QuantizationTrials, limit: float, track: Track = silent) -> list[Cost]:
    """Returns the operators that alone cost a good part of what may be lost, 1 - `limit`; the costliest first.

    Where they are too many for a rescue, the search ends.
    """
    costs: list[Cost] = []
    most = trials.agreement(trials.operators)
    halving = _halve(trials, most, (0, len(trials.operators)), CLEARED * (1 - limit))
    for cost in track(halving, "finding the layers that hurt"):
        if cost is not None:
            costs.append(cost)
        if len(costs) > MOST * len(trials.operators):
            break
    return sorted(costs, key=lambda cost: -cost.lost)


def _halve(trials: QuantizationTrials, most: float, run: tuple[int, int], tolerance: float) -> Iterator[Cost | None]:
    """Looks for costs in a run of operators, from the first to before the last. `most` is the agreement with none of
    them quantized: the picture itself is in int8 even then, and what that costs is no operator's.
    """
    names, (first, last) = trials.operators, run
    lost = most - trials.agreement(names[:first] + names[last:])
    if last - first == 1 and lost > tolerance:
        yield Cost(names[first], lost)
    else:
        yield None
    if last - first > 1 and lost > tolerance:
        middle = (first + last) // 2
        yield from _halve(trials, most, (first, middle), tolerance)
        yield from _halve(trials, most, (middle, last), tolerance)


def keep_in_float(trials: QuantizationTrials, costs: Sequence[Cost], limit: float, track: Track = silent) -> list[str]:
    """Returns as few of the costly operators as needed for an agreement of `limit`; all of them where that is not
    enough, none where they are more than what `MOST` allows.

    They are taken in the order of their costs until the limit is met, then each is given back if it can be.
    """
    kept: list[str] = []
    if len(costs) > MOST * len(trials.operators):
        return kept
    for cost in track(costs, "keeping layers in float", len(costs)):
        kept.append(cost.operator)
        if trials.agreement(kept) >= limit:
            break
    else:
        return kept
    for name in kept[-2::-1]:
        fewer = [other for other in kept if other != name]
        if trials.agreement(fewer) >= limit:
            kept = fewer
    return kept
