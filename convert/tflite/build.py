"""The .tflite files of one network; what several recipes share is made once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from convert.frames import Sample, Tensors, evenly
from convert.graph.int8_forms import for_integers
from convert.graph.retarget import Body
from convert.subprocesses import Place, here
from convert.tflite import export as tflite
from convert.tflite.mixed_precision import FRAMES, Cost, Trials, costly, keep_in_float
from convert.tflite.quantize import Range, measure_ranges, operators
from convert.tflite.recipes import RECIPES, Recipe
from edge.preprocess import Normalisation
from edge.progress import Track, silent

AIM = 0.8  # of the agreement that may be lost is what a rescue aims at: it sees other frames than the verdict


@dataclass(frozen=True, slots=True)
class Rescued:
    """An int8 model with some operators left in float, or with none where that would not help."""

    model: bytes
    in_float: list[str]  # by the names of their output tensors
    costs: list[Cost]  # what hurts, the costliest first


class Maker:
    """Makes models of `body`, with `folder` for what is in between; calibrates with `samples` at the body's size.

    Its methods raise ConversionError.
    """

    def __init__(
        self,
        body: Body,
        folder: Path,
        samples: list[Sample],
        norm: Normalisation,
        track: Track = silent,
        place: Place = here,
    ) -> None:
        self._body, self._folder, self._samples, self._norm = body, folder, samples, norm
        self._track, self._place = track, place

    def make(self, recipe: Recipe) -> bytes:
        if recipe.calibrated:
            return tflite.integers(self._form, self._ranges)
        return self._build(self._body, recipe)

    def rescue(self, limit: float) -> Rescued:
        """int8 with as few operators in float as an agreement of `limit` with the float model needs.

        Looks at calibration frames only, so that the verdict stays one on frames that nothing was fitted to.
        """
        chosen = [self._samples[i] for i in evenly(len(self._samples), FRAMES)]
        trials = Trials(self._form, self._ranges, list(Tensors(chosen, self._norm)))
        aim = 1 - AIM * (1 - limit)
        costs = costly(trials, aim, self._track)
        kept = keep_in_float(trials, costs, aim, self._track)
        if not kept:
            return Rescued(self.make(RECIPES["int8"]), [], costs)
        model = self._build(for_integers(self._body, kept), RECIPES["float32"])
        names = {first(name): name for name in operators(model)}  # what several made in int8 may be one in float
        ranges = self._ranges | {names[first(n)]: r for n, r in self._ranges.items() if first(n) in names}
        kept = [names[first(name)] for name in kept if first(name) in names]
        return Rescued(tflite.integers(model, ranges, kept), kept, costs)

    @cached_property
    def _form(self) -> bytes:
        """The float model in its integer form."""
        return self._build(for_integers(self._body), RECIPES["float32"])

    @cached_property
    def _ranges(self) -> dict[str, Range]:
        return measure_ranges(self._form, Tensors(self._samples, self._norm, self._track), pixel_range(self._norm))

    def _build(self, body: Body, recipe: Recipe) -> bytes:
        with TemporaryDirectory(dir=self._folder) as saved:
            self._place(tflite.export, body, Path(saved), track=self._track)
            return self._place(tflite.convert, Path(saved), recipe, track=self._track)


def first(name: str) -> str:
    """The converter joins the names of all that it fused; the first one is that of the result."""
    return name.split(";", maxsplit=1)[0]


def pixel_range(norm: Normalisation) -> Range:
    """What a normalised picture can hold."""
    return Range((0 - norm.mean) / norm.std, (255 - norm.mean) / norm.std)
