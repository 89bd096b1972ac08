"""Makes a model file a function from picture to label map."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge import card as cards
from edge.classes import ClassSet
from edge.data import Ids, LabelMap, Logits, Pixels
from edge.engine.base import ChooseOutput, Engine
from edge.engine.delegates import Delegate
from edge.engine.open import open_engine
from edge.errors import ModelError, UsageError
from edge.model_description import Chooser, Told, describe
from edge.model_outputs import reader
from edge.postprocess import Postprocess, nearest
from edge.preprocess import Fit, Normalisation, Preprocess
from edge.smooth import Smoother
from edge.sources.base import Source
from edge.streaming import Stream

MAX_FILE = 1 << 30  # bytes; far above any model that could run on a Pi


class Segmenter:
    """A .tflite that labels pictures.

    >>> segment = Segmenter("mobilenetv2-513x1025-os16-int8.tflite")  # doctest: +SKIP
    >>> labels = segment(rgb)  # uint8 (H, W, 3) -> LabelMap, ids uint8 (H, W)  # doctest: +SKIP

    A file without a model card runs too: what its tensors do not say, `norm`, `classes` and `output_tensor`, a name,
    must. They override the card as well. What was assumed nevertheless is in `assumed`, a sentence each.

    With `trial` a file that never ran on this machine is run first in a process of its own, which native code may end
    (`edge.trial`).

    A `delegate` runs what it takes of the model. Where it is missing, refuses the model or, with `trial`, crashes, the
    CPU runs the model if `delegate_fallback` allows that, and `assumed` says so.

    Raises ModelError (or its kin) for a file that cannot be used.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        runtime: str = "auto",
        threads: int | None = None,
        norm: Normalisation | None = None,
        classes: ClassSet | None = None,
        output_tensor: str | None = None,
        fit: Fit = "stretch",
        trial: bool = False,
        delegate: Delegate | None = None,
        delegate_fallback: bool = False,
    ) -> None:
        self.path = Path(path)
        data = read_model(self.path)
        card = cards.read(data, self.path.name)  # first: it tells a damaged file before native code sees it
        told = Told(norm, classes, output_tensor)
        opening = _Opening(data, self.path.name, runtime, threads, Chooser(card, self.path.name, told), trial)
        self.engine, instead = opening.engine(delegate, delegate_fallback)
        outputs, output = self.engine.outputs, self.engine.output
        described = describe(self.engine.input, outputs, outputs.index(output), card, self.path.name, told)
        self.card, self.names_known = described.card, described.names_known
        self.assumed = tuple(filter(None, (*described.assumed, described.guess, self.engine.notice, instead)))
        self.preprocess = Preprocess(described.input, self.card.norm, fit)
        self._read = reader(described.reading, output, self.path.name, len(self.card.classes), not self.names_known)
        self.postprocess = Postprocess(self.preprocess.size_hw, pads=fit == "pad", rule=self.card.upsampling)

    def __call__(self, pixels: Pixels) -> LabelMap:
        """Labels RGB uint8 (H, W, 3) at the same height and width. Raises UsageError for any other array."""
        _check_pixels(pixels)
        return LabelMap(self.label(pixels, (pixels.shape[0], pixels.shape[1])))

    @property
    def classes(self) -> ClassSet:
        """The names and RGB colours of its classes, index = id."""
        return self.card.classes

    def stream(self, source: Source | str, *, smooth: str | None = None) -> Stream:
        """Yields every frame of `source` with labels of its own size, in order; of a live one the newest, whenever the
        model is free.

        A text is opened as `open_source` does it. Reading, inference and the caller's own work overlap. `smooth`
        steadies labels: `two`, or the weight of the newest frame such as `0.4` (`edge.smooth`). The source is closed
        where the frames end, the loop is left or the stream is closed; until then the model labels nothing else.

        Raises SourceError where the source fails, ModelError where the model does, UsageError for `smooth`.
        """
        smoother = None if smooth is None else Smoother(smooth)
        if isinstance(source, str):
            from edge.sources.open import open_source  # needs more than a candidate's interpreter has

            source = open_source(source)
        return Stream(source, self, smoother)

    def label(self, pixels: Pixels, size_hw: tuple[int, int]) -> Ids:
        """Returns the labels, uint8 (H, W), of a picture at another size than its own. Raises ModelError."""
        own_hw = pixels.shape[0], pixels.shape[1]
        # How much of the output belongs to a padded picture depends on the picture's own size.
        at_hw = own_hw if self.preprocess.fit == "pad" else size_hw
        ids = self.postprocess(self.score(self.preprocess(pixels)), at_hw).ids
        return ids if at_hw == size_hw else nearest(ids, size_hw)

    def score(self, x: NDArray[Any]) -> Logits:
        """Returns what the model gives for what `preprocess` made, as `postprocess` takes it: scores (1, h, w, classes)
        of any dtype, or labels (1, h, w). Raises ModelError.
        """
        return self._read(self.engine.invoke(x))


@dataclass(frozen=True, slots=True)
class _Opening:
    """How a model is opened."""

    data: bytes
    where: str
    runtime: str
    threads: int | None
    choose: ChooseOutput
    trial: bool

    def engine(self, delegate: Delegate | None, may_do_without: bool) -> tuple[Engine, str]:
        """Returns the engine, and why it runs without the delegate, where it does."""
        try:
            return self._on(delegate), ""
        except ModelError as exc:
            if delegate is None or not may_do_without:
                raise
            why = str(exc).removeprefix(f"{self.where}: ")
            return self._on(None), f"{why}; the CPU runs it instead"  # what the model's own fault is is raised here

    def _on(self, delegate: Delegate | None) -> Engine:
        if self.trial:
            from edge.trial import try_out  # needs more than a candidate's interpreter has

            try_out(self.data, self.where, runtime=self.runtime, threads=self.threads, delegate=delegate)
        return open_engine(
            self.data, self.where, runtime=self.runtime, threads=self.threads, choose=self.choose, delegate=delegate
        )


def read_model(path: Path) -> bytes:
    """Returns the bytes of a model file: a copy, so that replacing the file later does not touch a running model."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{path}: expected a .tflite file, this is no regular file")
        if status.st_size > MAX_FILE:
            size_mb = status.st_size >> 20
            raise ModelError(f"{path}: {size_mb} MiB is no model for a small device, expected at most 1024 MiB")
        return path.read_bytes()
    except FileNotFoundError as exc:
        raise ModelError(f"{path}: no such file; make one with `convert-model`") from exc
    except OSError as exc:
        raise ModelError(f"{path}: cannot be read ({exc.strerror})") from exc


def _check_pixels(pixels: Pixels) -> None:
    if not isinstance(pixels, np.ndarray):
        raise UsageError(f"expected a picture as a uint8 array (H, W, 3) in RGB order, got {type(pixels).__name__}")
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        found = f"{pixels.dtype} {pixels.shape}"
        raise UsageError(f"expected a picture as a uint8 array (H, W, 3) in RGB order, got {found}")
