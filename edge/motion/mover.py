"""Follows frames from one that was labelled to the newest, and moves its labels along."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edge.data import Frame, Ids, LabelledFrame, LabelMap
from edge.motion.flow import Flow, Grey, Places, moved, pixel_places, small_grey
from edge.motion.planes import HW, Planes, ids_of, moved_planes, snapped, split
from edge.postprocess import nearest

REMEMBERED = 64  # frames before the newest that may be labelled without the mover being told when that is begun


@dataclass(frozen=True, slots=True)
class _Step:
    """One frame as the next one saw it."""

    index: int
    flow: Places | None  # to the frame before, in pixels; None where it cannot be believed


class _Chain:
    """Where in one frame the things are that the newest frame shows."""

    def __init__(self, index: int, steps: Iterable[_Step] = (), *, lost: bool = False) -> None:
        """`steps` are those of the frames after that one, the newest last; `lost` ones are not all known."""
        self.index, self.lost = index, lost
        self.places: Places | None = None  # None: each at its own
        for step in steps:
            self.follow(step)

    def follow(self, step: _Step) -> None:
        """Takes the next frame."""
        if step.index <= self.index:
            return
        self.lost = self.lost or step.flow is None
        if step.flow is not None and not self.lost:
            before = pixel_places((step.flow.shape[0], step.flow.shape[1])) + step.flow
            self.places = before if self.places is None else moved(self.places, before)


class Mover:
    """Moves the newest labels to where things are in the newest frame.

    Every frame is seen, in order; labels come when they are ready, of a frame that was seen. From frame to frame motion
    is small, so that it is followed over each of them. Where it is lost, labels stay where they are in their own frame
    until newer ones come, which were made after that.
    """

    def __init__(self, *, snap: bool = True, remembered: int = REMEMBERED) -> None:
        """`snap` moves the edges of moved labels to those of the frame. Labels may come, or be told to be `begun`, of
        the newest frame and of `remembered` ones before it, less one.
        """
        self._flow, self._snap = Flow(), snap
        self._steps: deque[_Step] = deque(maxlen=remembered)
        self._newest: Frame | None = None
        self._grey: Grey = np.zeros((0, 0), np.uint8)  # of the newest frame
        self._labelled: LabelledFrame | None = None
        self._planes: Planes | None = None  # of its labels
        self._chain: _Chain | None = None  # from it
        self._begun: list[_Chain] = []  # from the frames that are being labelled: one, or two where one is done

    def see(self, frame: Frame) -> None:
        """Takes the next frame."""
        grey = small_grey(frame.pixels)
        step = _Step(frame.index, self._flow(grey, self._grey))
        self._newest, self._grey = frame, grey
        self._steps.append(step)
        for chain in (self._chain, *self._begun):
            if chain is not None:
                chain.follow(step)

    def begin(self, index: int) -> None:
        """Takes that the frame of this index is being labelled: it is followed from now on, however long that takes."""
        is_done = self._labelled is not None and self._labelled.frame.index >= index
        if not is_done and not any(chain.index >= index for chain in self._begun):
            self._begun = [*self._begun[-1:], self._from(index)]

    def label(self, frame: Frame, labels: LabelMap) -> None:
        """Takes the labels, at any size, of a frame that was seen."""
        self._labelled, self._planes = LabelledFrame(frame, labels), None
        known = (chain for chain in self._begun if chain.index == frame.index)
        self._chain = next(known, None) or self._from(frame.index)
        self._begun = [chain for chain in self._begun if chain.index > frame.index]

    def _from(self, index: int) -> _Chain:
        lost = not any(step.index == index for step in self._steps)
        return _Chain(index, () if lost else self._steps, lost=lost)

    def now(self) -> LabelledFrame | None:
        """Returns the newest frame with its labels; None before the first of either."""
        newest, labelled = self._newest, self._labelled
        if newest is None or labelled is None:
            return None
        behind_s = _between_s(labelled.frame, newest)
        size_hw = newest.pixels.shape[0], newest.pixels.shape[1]
        is_own = newest.index == labelled.frame.index
        chain = self._chain
        if is_own or chain is None or chain.lost or chain.places is None:
            ids = _fitting(labelled.labels.ids, size_hw)
            return LabelledFrame(newest, LabelMap(ids), behind_s, "own" if is_own else "held")
        if self._planes is None:
            self._planes = split(labelled.labels.ids, (self._grey.shape[0], self._grey.shape[1]))
        planes = moved_planes(self._planes, chain.places)
        ids = ids_of(snapped(planes, self._grey) if self._snap else planes, size_hw)
        return LabelledFrame(newest, LabelMap(ids), behind_s, "moved")


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
