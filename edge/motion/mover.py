"""Follows frames from one that was labelled to the newest, and moves its labels along."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edge.data import Ids, LabelMap, Pixels
from edge.motion.flow import Flow, Grey, Places, moved, pixel_places, small_grey
from edge.motion.planes import HW, Planes, ids_of, moved_planes, snapped, split
from edge.postprocess import nearest

REMEMBERED = 64  # frames between one that is being labelled and the newest; what takes longer is held

Way = Literal["own", "moved", "held"]
"""Where the labels of a frame come from: from itself, from an earlier one and moved, or from there and left in place."""


@dataclass(frozen=True, slots=True)
class _Step:
    """One frame as the next one saw it."""

    index: int
    flow: Places | None  # to the frame before, in pixels; None where it cannot be believed


class Mover:
    """Moves the newest labels to where things are in the newest frame.

    Every frame is seen, in order; labels come when they are ready, of a frame that was seen. From frame to frame motion
    is small, so that it is followed over each of them. Where it is lost, labels stay where they were then until newer
    ones come, which were made after that.
    """

    def __init__(self, *, snap: bool = True) -> None:
        """`snap` moves the edges of moved labels to those of the frame."""
        self._flow, self._snap = Flow(), snap
        self._steps: deque[_Step] = deque(maxlen=REMEMBERED)
        self._grey: Grey | None = None
        self._size_hw: HW = (0, 0)
        self._labels: LabelMap | None = None
        self._planes: Planes | None = None
        self._from = self._index = -1  # indices of the frame with these labels, and of the newest
        self._places: Places | None = None  # in the labelled frame, of what the newest one shows
        self._lost = False

    def see(self, pixels: Pixels, index: int) -> None:
        """Takes the next frame, uint8 (H, W, 3), and its index."""
        grey = small_grey(pixels)
        flow = None if self._grey is None else self._flow(grey, self._grey)
        self._grey, self._size_hw, self._index = grey, (pixels.shape[0], pixels.shape[1]), index
        step = _Step(index, flow)
        self._steps.append(step)
        if self._labels is not None:
            self._follow(step)

    def label(self, labels: LabelMap, index: int) -> None:
        """Takes the labels, at any size, of the frame with this index."""
        assert self._grey is not None, "labels are those of a frame that was seen"
        since = [step for step in self._steps if step.index > index]
        complete = len(since) < len(self._steps)  # else the frame itself is forgotten
        self._steps = deque(since, maxlen=REMEMBERED)
        self._steps.appendleft(_Step(index, None))
        self._labels, self._from = labels, index
        self._planes, self._places, self._lost = None, None, not complete
        for step in since:
            self._follow(step)

    def now(self) -> tuple[LabelMap, Way] | None:
        """Returns the labels of the newest frame at its size, and where they come from; None before the first."""
        if self._labels is None or self._grey is None:
            return None
        if self._from == self._index or self._lost or self._places is None:
            return LabelMap(_fitting(self._labels.ids, self._size_hw)), "own" if self._from == self._index else "held"
        if self._planes is None:
            self._planes = split(self._labels.ids, (self._grey.shape[0], self._grey.shape[1]))
        planes = moved_planes(self._planes, self._places)
        return LabelMap(ids_of(snapped(planes, self._grey) if self._snap else planes, self._size_hw)), "moved"

    def _follow(self, step: _Step) -> None:
        if self._lost or step.flow is None:
            self._stay()
            return
        own = pixel_places((step.flow.shape[0], step.flow.shape[1]))
        before = own + step.flow
        self._places = before if self._places is None else np.asarray(moved(self._places, before), np.float32)

    def _stay(self) -> None:
        self._lost = True


def _fitting(ids: Ids, size_hw: HW) -> Ids:
    return ids if ids.shape == size_hw else nearest(ids, size_hw)
