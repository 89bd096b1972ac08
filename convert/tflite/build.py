"""Builds the .tflite files of one network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from convert.frames import CalibrationTensors, Sample
from convert.graph.fake_quant import take_out
from convert.graph.int8_forms import for_integers
from convert.graph.retarget import RetargetedNetwork
from convert.ranges import Range
from convert.subprocesses import Runner, in_this_process
from convert.tflite.export import convert, export, quantized
from convert.tflite.mixed_precision import FRAMES, Cost, QuantizationTrials, costly, keep_in_float
from convert.tflite.quantize import first_name, measure_ranges, operators
from convert.tflite.recipes import FLOAT, Recipe
from edge.evaluation.samples import evenly
from edge.preprocess import Normalisation
from edge.progress import Track, silent

AIMED_SHARE = 0.8  # of the agreement that may be lost: a rescue sees other frames than the verdict


@dataclass(frozen=True, slots=True)
class MixedModel:
    """A quantized model with some operators left in float, or with none where that would not help."""

    model: bytes
    in_float: list[str]  # by the names of their output tensors
    costs: list[Cost]  # what hurts, the costliest first


class ModelBuilder:
    """Makes the models of a network; what several recipes share is made once.

    `folder` is for what is in between, and `samples` at the network's size are what it calibrates with. Its methods
    raise ConversionError.
    """

    def __init__(
        self,
        network: RetargetedNetwork,
        folder: Path,
        samples: list[Sample],
        norm: Normalisation,
        track: Track = silent,
        runner: Runner = in_this_process,
    ) -> None:
        self._network, self._trained = take_out(network)
        self._folder, self._samples, self._norm = folder, samples, norm
        self._track, self._runner = track, runner

    def make(self, recipe: Recipe) -> bytes:
        """Returns the .tflite of a recipe."""
        if recipe.calibrated:
            return quantized(self._integer_form, self._ranges, recipe)
        return self._build(self._network, recipe)

    def rescue(self, recipe: Recipe, limit: float) -> MixedModel:
        """Makes a calibrated recipe with as few operators in float as an agreement of `limit` with float needs.

        Looks at calibration frames only, so that the verdict stays one on frames that nothing was fitted to.
        """
        chosen = [self._samples[i] for i in evenly(len(self._samples), FRAMES)]
        inputs = list(CalibrationTensors(chosen, self._norm))
        trials = QuantizationTrials(self._integer_form, self._ranges, recipe, inputs)
        aim = 1 - AIMED_SHARE * (1 - limit)
        costs = costly(trials, aim, self._track)
        kept = keep_in_float(trials, costs, aim, self._track)
        if not kept:
            return MixedModel(self.make(recipe), [], costs)
        model = self._build(for_integers(self._network, kept), FLOAT)
        names = {first_name(name): name for name in operators(model)}  # what several made in int8 may be one in float
        ranges = self._ranges | {
            names[first_name(name)]: known for name, known in self._ranges.items() if first_name(name) in names
        }
        kept = [names[first_name(name)] for name in kept if first_name(name) in names]
        return MixedModel(quantized(model, ranges, recipe, kept), kept, costs)

    @cached_property
    def _integer_form(self) -> bytes:
        """The float model in the form that suits integers."""
        return self._build(for_integers(self._network), FLOAT)

    @cached_property
    def _ranges(self) -> dict[str, Range]:
        tensors = CalibrationTensors(self._samples, self._norm, self._track)
        return measure_ranges(self._integer_form, tensors, pixel_range(self._norm), self._trained)

    def _build(self, network: RetargetedNetwork, recipe: Recipe) -> bytes:
        with TemporaryDirectory(dir=self._folder) as saved:
            self._runner(export, network, Path(saved), track=self._track)
            return self._runner(convert, Path(saved), recipe, track=self._track)


def pixel_range(norm: Normalisation) -> Range:
    """Returns the range of a normalised picture."""
    return Range(*norm.limits)
