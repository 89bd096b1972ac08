"""Sets a second model beside the first: both overlays, and where they disagree."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.controls import Controls
from edge.data import Canvas, Frame, Ids, LabelMap, Pixels, Result, ignored
from edge.errors import UsageError
from edge.labeller import Smooth, fitting
from edge.renderer import Renderer
from edge.segmenter import Segmenter
from edge.timing import Samples, Timing

STAGE = "second model"
_RED = (230, 40, 40)
_DIM = 0.45  # what is left of the picture where the models agree


@dataclass(frozen=True, slots=True)
class Disagreement:
    """On which share of the pixels two models disagreed, 0..1."""

    median: float  # of the frames
    worst: float
    worst_index: int  # the frame of the worst


class SecondModel:
    """Labels each frame with a second model too, and draws both.

    The picture has four parts: the first model's labels and the second's above, the pixels on which they disagree, red
    on the dimmed picture, and the picture itself below. Pixels that both ignore are no disagreement. Of the views,
    `mask` is heeded, all others are overlays.

    Raises UsageError where the models have not the same classes.
    """

    def __init__(
        self,
        first: Segmenter,
        second: Segmenter,
        controls: Controls,
        timing: Timing,
        smooth: Smooth | None = None,
        *,
        legend: bool = True,
        hud: bool = True,
    ) -> None:
        if first.classes.names != second.classes.names:
            raise UsageError(
                f"{second.path.name}: expected the classes of {first.path.name}, to compare the two; got others"
            )
        self._names = first.path.name, second.path.name
        if self._names[0] == self._names[1]:
            self._names = str(first.path), str(second.path)
        self._second, self._controls, self._timing, self._smooth = second, controls, timing, smooth
        self._own = Controls()  # a view of two pictures side by side would not fit
        self._draw = [Renderer(first.classes, self._own, legend=legend and one == 0, hud=hud) for one in range(2)]
        self._caption = Renderer(first.classes, Controls(), legend=False, hud=hud)
        self._shares, self._worst = Samples(), (-1.0, 0)

    def labels(self, frame: Frame) -> LabelMap:
        """Labels a frame with the second model. Raises ModelError."""
        with self._timing.stage(STAGE):
            scores = self._second.score(self._second.preprocess(fitting(frame, self._second.preprocess)))
            smoothed = scores if self._smooth is None else self._smooth(scores, frame)
            return self._second.postprocess(smoothed, (frame.pixels.shape[0], frame.pixels.shape[1]))

    def result(self, frame: Frame, labels: LabelMap, other: LabelMap, line: str) -> Result:
        """Returns the result of a frame, with the labels of the first model and a picture of both."""
        differ = labels.ids != other.ids
        share = float(np.count_nonzero(differ)) / differ.size
        self._shares.add(share)
        self._worst = max(self._worst, (share, frame.index), key=lambda one: one[0])
        own, controls = self._own, self._controls
        own.view = "mask" if controls.view == "mask" else "overlay"
        own.alpha, own.hidden, own.boundaries = controls.alpha, controls.hidden, controls.boundaries
        captions = f"{self._names[0]}  {line}".rstrip(), self._names[1]
        above = [
            draw(frame.pixels, ids, caption)
            for draw, ids, caption in zip(self._draw, (labels.ids, other.ids), captions, strict=True)
        ]
        nothing = np.full_like(labels.ids, ignored(labels.ids))
        said = f"they disagree on {share:.1%}"
        below = [self._caption(_marked(frame.pixels, differ), nothing, said), frame.pixels]

        def canvas() -> Canvas:
            bare = [self._caption(frame.pixels, nothing, name) for name in self._names]
            return Canvas(_grid(bare, below), _grid([labels.ids, other.ids], [nothing, nothing]))

        return Result(frame, labels, _grid(above, below), canvas)

    def summary(self) -> Disagreement | None:
        """Returns how much the models disagreed; None where there was no frame."""
        shares = self._shares.kept()
        return Disagreement(float(np.median(shares)), *self._worst) if shares else None


def _marked(pixels: Pixels, where: NDArray[np.bool_]) -> Pixels:
    """A dimmed picture with these pixels red."""
    marked: Pixels = cv2.convertScaleAbs(pixels, alpha=_DIM)  # type: ignore[assignment]
    marked[where] = _RED
    return marked


def _grid(above: list[Pixels] | list[Ids], below: list[Pixels] | list[Ids]) -> NDArray[np.uint8]:
    return np.vstack([np.hstack(above), np.hstack(below)])
