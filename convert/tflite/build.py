"""Builds the .tflite files of one network."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from convert.frames import CalibrationTensors, Sample
from convert.graph.fake_quant import take_out
from convert.graph.int8_forms import for_integers
from convert.graph.retarget import RetargetedNetwork
from convert.ranges import Range
from convert.subprocesses import Runner, in_this_process
from convert.tflite.ends import AS_MADE, Ends, with_ends
from convert.tflite.equalization import equalize
from convert.tflite.export import check_promise, convert, export, quantized
from convert.tflite.integer_forms import spelled_for_integers
from convert.tflite.mixed_precision import FRAMES, Cost, QuantizationTrials, search
from convert.tflite.quantize import measure_ranges
from convert.tflite.recipes import FLOAT, Recipe
from edge.evaluation.samples import evenly
from edge.preprocess import Normalisation
from edge.progress import Track, silent

EQUALIZATION_FRAMES = 16  # that tell the sizes of channels: with 8, one network agreed by 0.01 less
AIMED_SHARE = 0.8  # of the agreement that may be lost: a rescue sees other frames than the verdict


@dataclass(frozen=True, slots=True)
class MixedModel:
    """A quantized model with some operators left in float, or with none where that would not help."""

    model: bytes
    in_float: list[str]  # by the names of their output tensors
    costs: list[Cost]  # what hurts, the costliest first
    finished: bool = True  # whether the search came to its end in the time that it had


class FloatModels(Protocol):
    """The float models of a network, as they come and in the form that suits integers.

    The methods raise ConversionError.
    """

    @property
    def trained(self) -> Mapping[str, Range]:
        """The ranges that the network has learned in its training, by the name of the node."""

    def make(self, recipe: Recipe) -> bytes:
        """Returns the .tflite of a recipe that needs no calibration."""

    def for_integers(self) -> bytes:
        """Returns the float model that is quantized."""


class GraphModels:
    """`FloatModels` of a re-targeted graph, which TensorFlow Lite's converter makes; `folder` is for SavedModels."""

    def __init__(
        self, network: RetargetedNetwork, folder: Path, track: Track = silent, runner: Runner = in_this_process
    ) -> None:
        self._network, self.trained = take_out(network)
        self._folder, self._track, self._runner = folder, track, runner

    def make(self, recipe: Recipe) -> bytes:
        return self._build(self._network, recipe)

    def for_integers(self) -> bytes:
        return self._build(for_integers(self._network), FLOAT)

    def _build(self, network: RetargetedNetwork, recipe: Recipe) -> bytes:
        with TemporaryDirectory(dir=self._folder) as saved:
            self._runner(export, network, Path(saved), track=self._track)
            return self._runner(convert, Path(saved), recipe, track=self._track)


class TfliteModels:
    """`FloatModels` of a float .tflite, which is there already."""

    def __init__(self, model: bytes) -> None:
        self._model = model
        self.trained: Mapping[str, Range] = {}

    def make(self, recipe: Recipe) -> bytes:
        check_promise(self._model, recipe)
        return self._model

    def for_integers(self) -> bytes:
        return spelled_for_integers(self._model)


class ModelBuilder:
    """Makes the models of a network; what several recipes share is made once.

    `samples` at the network's size are what it calibrates with, `ends` are those of its calibrated models. Its methods
    raise ConversionError.
    """

    def __init__(
        self,
        networks: FloatModels,
        samples: list[Sample],
        norm: Normalisation,
        track: Track = silent,
        ends: Ends = AS_MADE,
    ) -> None:
        self._networks, self._samples, self._norm, self._track, self._ends = networks, samples, norm, track, ends

    def make(self, recipe: Recipe) -> bytes:
        """Returns the .tflite of a recipe."""
        if recipe.calibrated:
            return with_ends(quantized(self._integer_form, self._ranges, recipe), self._ends, self._ranges)
        return self._networks.make(recipe)

    def rescue(self, recipe: Recipe, limit: float, within_s: float = math.inf) -> MixedModel:
        """Makes a calibrated recipe with as few operators in float as an agreement of `limit` with float needs.

        Looks at calibration frames only, so that the verdict stays one on frames that nothing was fitted to. After
        `within_s` seconds it takes what it has found so far.
        """
        begun = time.monotonic()
        chosen = [self._samples[i] for i in evenly(len(self._samples), FRAMES)]
        inputs = list(CalibrationTensors(chosen, self._norm))
        trials = QuantizationTrials(self._integer_form, self._ranges, recipe, inputs)
        found = search(trials, 1 - AIMED_SHARE * (1 - limit), self._track, begun + within_s, limit)
        model = quantized(self._integer_form, self._ranges, recipe, found.in_float)
        mixed = with_ends(model, self._ends, self._ranges)
        return MixedModel(mixed, found.in_float, found.costs, found.finished)

    @cached_property
    def _integer_form(self) -> bytes:
        """The float model in the form that suits integers. What stays in float keeps it."""
        chosen = [self._samples[i] for i in evenly(len(self._samples), EQUALIZATION_FRAMES)]
        inputs = CalibrationTensors(chosen, self._norm, self._track, "evening channels out")
        return equalize(self._networks.for_integers(), inputs, self._networks.trained)

    @cached_property
    def _ranges(self) -> dict[str, Range]:
        tensors = CalibrationTensors(self._samples, self._norm, self._track)
        return measure_ranges(self._integer_form, tensors, pixel_range(self._norm), self._networks.trained)


def pixel_range(norm: Normalisation) -> Range:
    """Returns the range of a normalised picture."""
    return Range(*norm.limits)
