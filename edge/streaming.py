"""Labels the frames of a source one after the other, for programs: what comes out is data."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from edge.data import Frame, LabelMap
from edge.labeller import InTurn, Model, Smooth, Steps
from edge.sources.base import Source
from edge.timing import Timing

_STOPPING_S = 5.0  # what an invoke gets to come to its end, so that the model is free again


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Seconds that the stages of one frame took."""

    decode_s: float  # reading it; 0 for live sources, which have it ready or not
    preprocess_s: float
    invoke_s: float
    postprocess_s: float


@dataclass(frozen=True, slots=True)
class Labelled:
    """A frame with its labels."""

    frame: Frame
    labels: LabelMap
    times: StageTimes
    age_s: float  # from when the frame was there until it was labelled
    drops: int  # frames of a live source, from the first one given out, that a newer one replaced


class FrameTimes(Timing):
    """The seconds of each stage, frame by frame: every frame goes through every stage in order."""

    def __init__(self) -> None:
        super().__init__()
        self._seconds: defaultdict[str, deque[float]] = defaultdict(deque)

    def add(self, name: str, seconds: float) -> None:
        self._seconds[name].append(seconds)

    def take(self) -> StageTimes:
        """Returns the times of the first frame whose times were not taken; it must have left the last stage."""
        first = (self._seconds[name].popleft() for name in ("preprocess", "invoke", "postprocess"))
        return StageTimes(self._seconds["decode"].popleft() if self._seconds["decode"] else 0.0, *first)


class Stream(Iterator[Labelled]):
    """Every frame of a source with its labels, as `Segmenter.stream` says. It closes the source when it goes, too."""

    def __init__(self, source: Source, model: Model, smooth: Smooth | None = None) -> None:
        self._source, self._frames, self._begun = source, _labelled(source, model, smooth), False

    def __next__(self) -> Labelled:
        self._begun = True  # from now on it closes the source by itself
        return next(self._frames)

    def close(self) -> None:
        """Ends the stream, and closes the source, also where no frame was asked for."""
        self._frames.close()
        if not self._begun:
            self._source.close()
            self._begun = True

    def __del__(self) -> None:
        self.close()


def _labelled(source: Source, model: Model, smooth: Smooth | None) -> Generator[Labelled]:
    times = FrameTimes()
    steps = Steps(model, times, smooth, pause=nothing, hold=nothing)
    line = InTurn(source, steps, 1, threading.Event(), nothing)
    drops, expected = 0, None
    try:
        for one in line:
            if source.info.live and expected is not None:
                drops += max(0, one.frame.index - expected)
            expected = one.frame.index + 1
            yield Labelled(one.frame, one.labels, times.take(), time.perf_counter() - one.frame.t_capture_s, drops)
    finally:
        line.stop(_STOPPING_S)


def nothing() -> None:
    """Neither waits nor works."""
