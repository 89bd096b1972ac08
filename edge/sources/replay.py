"""Plays files again and again, or at their own rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from edge.data import Frame

if TYPE_CHECKING:
    from edge.sources.base import Source


class Replay:
    """A source of at most `limit` frames, from the beginning again at the end if `loop`, each at its time if
    `realtime`.

    Indices and times go on rising when the file begins again. Nothing is dropped: where frames are taken more slowly
    than their rate, they come later.
    """

    def __init__(self, source: Source, *, loop: bool = False, realtime: bool = False, limit: int | None = None) -> None:
        self._source, self._loop, self._realtime, self._limit = source, loop, realtime, limit
        self._closed = threading.Event()
        endless = loop or source.info.live
        self.info = replace(source.info, frame_count=limit) if endless else source.info

    def __iter__(self) -> Iterator[Frame]:
        frames = self._again_and_again() if self._loop else iter(self._source)
        frames = islice(frames, self._limit)
        return self._in_time(frames) if self._realtime else frames

    def close(self) -> None:
        self._closed.set()
        self._source.close()

    def _again_and_again(self) -> Iterator[Frame]:
        shift, shift_s = 0, 0.0  # what is added in the present turn
        while True:
            first: tuple[int, float] | None = None
            last = (0, 0.0)
            for frame in self._source:
                last = frame.index, self._time_s(frame)
                first = first or last
                time_s = None if frame.time_s is None else frame.time_s + shift_s
                # A name would be that of every turn.
                yield replace(frame, index=frame.index + shift, time_s=time_s, name=None)
            if first is None:
                return
            shift += last[0] - first[0] + 1
            length_s, steps = last[1] - first[1], last[0] - first[0]
            # The rate of a film whose clock jumps may be nonsense: the frames over the hours that never were.
            shift_s += length_s + (min(self._step_s, length_s / steps) if steps else self._step_s)

    def _in_time(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        begin_s: float | None = None
        for frame in frames:
            if begin_s is None:
                begin_s = time.perf_counter() - self._time_s(frame)
            wait_s = begin_s + self._time_s(frame) - time.perf_counter()
            if wait_s > 0 and self._closed.wait(wait_s):
                return
            yield replace(frame, t_capture_s=time.perf_counter())

    @property
    def _step_s(self) -> float:
        return float(1 / self.info.rate) if self.info.rate else 0.0

    def _time_s(self, frame: Frame) -> float:
        return frame.index * self._step_s if frame.time_s is None else frame.time_s
