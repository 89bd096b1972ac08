"""Follows frames from one that was labelled to the newest, and moves its labels along."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from edge.data import Frame, Ids, LabelledFrame, LabelMap
from edge.motion.flow import Flow, Grey, Places, moved, pixel_places, small_grey
from edge.motion.planes import HW, Planes, ids_of, moved_planes, snapped, split
from edge.postprocess import nearest

REMEMBERED = 64  # frames between one that is being labelled and the newest; what takes longer is held


@dataclass(frozen=True, slots=True)
class _Step:
    """One frame as the next one saw it."""

    index: int
    flow: Places | None  # to the frame before, in pixels; None where it cannot be believed


class Mover:
    """Moves the newest labels to where things are in the newest frame.

    Every frame is seen, in order; labels come when they are ready, of a frame that was seen. From frame to frame motion
    is small, so that it is followed over each of them. Where it is lost, labels stay where they are in their own frame
    until newer ones come, which were made after that.
    """

    def __init__(self, *, snap: bool = True) -> None:
        """`snap` moves the edges of moved labels to those of the frame."""
        self._flow, self._snap = Flow(), snap
        self._steps: deque[_Step] = deque(maxlen=REMEMBERED)
        self._newest: Frame | None = None
        self._grey: Grey = np.zeros((0, 0), np.uint8)  # of the newest frame
        self._labelled: LabelledFrame | None = None
        self._planes: Planes | None = None  # of its labels
        self._places: Places | None = None  # in the labelled frame, of what the newest one shows; None: the same
        self._lost = False

    def see(self, frame: Frame) -> None:
        """Takes the next frame."""
        grey = small_grey(frame.pixels)
        step = _Step(frame.index, self._flow(grey, self._grey))
        self._newest, self._grey = frame, grey
        self._steps.append(step)
        if self._labelled is not None:
            self._follow(step)

    def label(self, frame: Frame, labels: LabelMap) -> None:
        """Takes the labels, at any size, of a frame that was seen."""
        known = any(step.index == frame.index for step in self._steps)
        self._steps = deque((step for step in self._steps if step.index >= frame.index), maxlen=REMEMBERED)
        self._labelled, self._planes, self._places, self._lost = LabelledFrame(frame, labels), None, None, not known
        for step in self._steps:
            if step.index > frame.index:
                self._follow(step)

    def now(self) -> LabelledFrame | None:
        """Returns the newest frame with its labels; None before the first of either."""
        newest, labelled = self._newest, self._labelled
        if newest is None or labelled is None:
            return None
        behind_s = _between_s(labelled.frame, newest)
        size_hw = newest.pixels.shape[0], newest.pixels.shape[1]
        is_own = newest.index == labelled.frame.index
        if is_own or self._lost or self._places is None:
            ids = _fitting(labelled.labels.ids, size_hw)
            return LabelledFrame(newest, LabelMap(ids), behind_s, "own" if is_own else "held")
        if self._planes is None:
            self._planes = split(labelled.labels.ids, (self._grey.shape[0], self._grey.shape[1]))
        planes = moved_planes(self._planes, self._places)
        ids = ids_of(snapped(planes, self._grey) if self._snap else planes, size_hw)
        return LabelledFrame(newest, LabelMap(ids), behind_s, "moved")

    def _follow(self, step: _Step) -> None:
        self._lost = self._lost or step.flow is None
        if step.flow is not None and not self._lost:
            before = pixel_places((step.flow.shape[0], step.flow.shape[1])) + step.flow
            self._places = before if self._places is None else moved(self._places, before)


def followed(mover: Mover, frame: Frame, new: tuple[Frame, LabelMap] | None) -> LabelledFrame:
    """Returns the next frame with the newest labels; `new` are those that came since the last one."""
    mover.see(frame)
    if new is not None:
        mover.label(*new)
    labelled = mover.now()
    assert labelled is not None, "the first frame has labels"
    return labelled


def _between_s(first: Frame, second: Frame) -> float:
    if first.time_s is None or second.time_s is None:
        return second.t_capture_s - first.t_capture_s
    return second.time_s - first.time_s


def _fitting(ids: Ids, size_hw: HW) -> Ids:
    return ids if ids.shape == size_hw else nearest(ids, size_hw)
