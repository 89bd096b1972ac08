"""Steadies labels: each frame's class scores are mixed with those of the frames before it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.data import Frame, Logits
from edge.errors import UsageError

GAP_S = 1.0  # a pause beyond this and four times the last one means that time was lost, not that the machine is slow


def parse_smooth(text: str) -> float | None:
    """Returns None for `two`, or the weight of the newest frame. Raises UsageError."""
    if text == "two":
        return None
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not 0.0 < weight < 1.0:
        raise UsageError(f"expected two, or a weight of the newest frame between 0 and 1, got {text!r}", "smooth")
    return weight


class Smoother:
    """Stands between the engine and postprocessing, which take what it gives like the model's own scores.

    `two` adds up the scores of this frame and the last one, as the video example of the DeepLab Cityscapes tutorials
    does. A number F keeps a running mean in which the newest frame weighs F and every older one 1 - F times as much as
    the one after it. Quantized scores need no conversion: all frames have one scale, and argmax asks for no more.

    It starts anew when the size changes, time went by unseen, or scores that are no numbers came in.

    Raises UsageError where the kind is unknown.
    """

    def __init__(self, kind: str) -> None:
        self._weight = parse_smooth(kind)
        self._before: NDArray[Any] | None = None  # the last frame's scores, or their running mean
        self._seen: tuple[Any, ...] = ()
        self._time_s = self._pause_s = math.nan

    def reset(self) -> None:
        """Forgets what came before."""
        self._before = None

    def __call__(self, logits: Logits, frame: Frame | None = None) -> Logits:
        """Scores (1, h, w, C) of any dtype, in order -> scores of the same shape, an array of its own.

        int16 from int8 and uint8 with `two`, float32 with a number. With `frame`, whose scores they are, pictures of
        another size and pauses in time are noticed.

        Raises UsageError where the model gives labels, which cannot be mixed.
        """
        if logits.ndim != 4:
            raise UsageError("expected a model that gives class scores, this one gives labels", "smooth")
        if self._starts_anew(logits, frame):
            self._before = None
        return self._sum(logits) if self._weight is None else self._mean(logits, self._weight)

    def _sum(self, logits: Logits) -> Logits:
        wide = np.int16 if logits.dtype.itemsize == 1 else logits.dtype
        before, self._before = self._before, logits.copy()  # the engine may use its array again
        return np.add(logits, logits if before is None else before, dtype=wide)

    def _mean(self, logits: Logits, weight: float) -> Logits:
        newest = logits * np.float32(weight)
        if self._before is None:
            self._before = logits.astype(np.float32)
        else:
            self._before *= np.float32(1 - weight)
            self._before += newest
            if not math.isfinite(float(self._before.sum())):
                self._before = logits.astype(np.float32)
        return self._before.copy()

    def _starts_anew(self, logits: Logits, frame: Frame | None) -> bool:
        seen = (logits.shape, logits.dtype, None if frame is None else frame.pixels.shape)
        changed, self._seen = seen != self._seen, seen
        if frame is None:
            return changed
        pause_s, last_s = frame.t_capture_s - self._time_s, self._pause_s
        self._time_s, self._pause_s = frame.t_capture_s, pause_s
        return changed or pause_s > max(GAP_S, 4 * last_s)
