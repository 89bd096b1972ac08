"""Labels frames: each in its turn, or the newest beside a view that does not wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from numpy.typing import NDArray

from edge.data import Deferred, Frame, LabelledFrame, LabelMap, Logits, Pixels
from edge.errors import RoadliteError
from edge.motion.mover import Mover, followed
from edge.motion.planes import moving_hw
from edge.preprocess import Preprocess
from edge.sources.base import Source
from edge.threads import POLL_S, Beside, ReadAhead
from edge.timing import Timing

Smooth = Callable[[Logits, Frame], Logits]
STOPPING_S = 1.0  # what the threads get to end what they are at


class Model(Protocol):
    """What labels a frame in three steps: a `Segmenter`."""

    @property
    def preprocess(self) -> Preprocess: ...

    @property
    def postprocess(self) -> Callable[[Logits, tuple[int, int]], LabelMap]: ...

    def score(self, x: NDArray[Any]) -> Logits: ...


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps from a frame to its labels, timed."""

    model: Model
    timing: Timing
    smooth: Smooth | None
    pause: Callable[[], None]  # called before a frame is taken, and may wait
    hold: Callable[[], None]  # the same before a frame is labelled

    def score(self, frame: Frame) -> Logits:
        with self.timing.stage("preprocess"):
            x = self.model.preprocess(fitting(frame, self.model.preprocess))
        with self.timing.stage("invoke"):
            return self.model.score(x)

    def labels(self, frame: Frame, scores: Logits, *, to_move: bool = False) -> LabelMap:
        """At the frame's size, or as small as labels that are moved anyway need to be."""
        with self.timing.stage("postprocess"):
            smoothed = scores if self.smooth is None else self.smooth(scores, frame)
            size_hw = frame.pixels.shape[0], frame.pixels.shape[1]
            return self.model.postprocess(smoothed, moving_hw(size_hw) if to_move else size_hw)


class InTurn:
    """Every frame with its labels, in order; with `every` above 1 each so many are the model's, the others moved.

    Reading and inference have a thread each, so that they overlap with the rest, which stays in the thread that
    iterates. A frame of a live source is taken only when the model is free for it.
    """

    def __init__(
        self, source: Source, steps: Steps, every: int, until: threading.Event, idle: Callable[[], None]
    ) -> None:
        self._source, self._steps, self._every, self._until = source, steps, every, until
        self._read = None if source.info.live else ReadAhead(reading(source, steps.timing), "read")
        self._scored = ReadAhead(scoring(self._read or source, steps, every), "score", until, idle)

    def __iter__(self) -> Iterator[LabelledFrame]:
        mover = Mover(remembered=1) if self._every > 1 else None
        for frames, scores in self._scored:
            labels: LabelMap | None = self._steps.labels(frames[0], scores)
            while frames and not self._until.is_set():
                yield self._one(frames.pop(0), labels, mover)
                labels = None

    def _one(self, frame: Frame, labels: LabelMap | None, mover: Mover | None) -> LabelledFrame:
        if mover is None:
            assert labels is not None
            return LabelledFrame(frame, labels)
        with self._steps.timing.stage("move"):
            return followed(mover, frame, None if labels is None else (frame, labels))

    def stop(self, within_s: float = STOPPING_S) -> None:
        """Ends the source and the threads, which get so long for what they are at."""
        end(self._source, self._scored, self._read, within_s)


class Ahead:
    """Every frame as soon as it comes, with the newest labels moved to where things are in it.

    The model labels beside it, every so many frames and each time the newest; the first one alone is waited for.
    """

    def __init__(
        self, source: Source, steps: Steps, every: int, until: threading.Event, idle: Callable[[], None]
    ) -> None:
        self._source, self._steps, self._every = source, steps, every
        self._until, self._idle = until, idle
        self._read = ReadAhead(taking(source, steps.pause), "read", until, self._waiting, ahead=False)
        self._taken: int | None = None  # index of the last frame that the model took; the first is shown as it is
        self._beside = Beside(self._label, "score")

    def __iter__(self) -> Iterator[LabelledFrame]:
        mover = Mover(remembered=2 * self._every + 2)  # a frame that was offered waits until the next is
        for count, frame in enumerate(self._read):
            if count % self._every == 0:
                self._beside.offer(frame)
            new = self._first() if count == 0 else self._beside.newest()
            if count == 0 and new is None:
                return
            with self._steps.timing.stage("move"):
                labelled = followed(mover, frame, new)
                if self._taken is not None:
                    mover.begin(self._taken)
            yield labelled
        self._beside.check()

    def _first(self) -> tuple[Frame, LabelMap] | None:
        """The labels of the first frame; None where the end is wanted before."""
        while not self._until.is_set():
            if (new := self._beside.newest(POLL_S)) is not None:
                return new
            self._idle()
        return None

    def _waiting(self) -> None:
        self._beside.check()  # a model that fails while no frame comes
        self._idle()

    def _label(self, take: Callable[[], Frame]) -> tuple[Frame, LabelMap]:
        self._steps.hold()
        frame, is_first = take(), self._taken is None
        self._taken = frame.index
        return frame, self._steps.labels(frame, self._steps.score(frame), to_move=not is_first)

    def stop(self, within_s: float = STOPPING_S) -> None:
        """Ends the source and the threads, which get so long for what they are at."""
        end(self._source, self._beside, self._read, within_s)


def reading(frames: Iterable[Frame], timing: Timing) -> Iterator[Frame]:
    """Yields the frames, and adds to `timing` how long each took to be read."""
    source = iter(frames)
    while True:
        start_s = time.perf_counter()
        frame = next(source, None)
        if frame is None:
            return
        timing.add("decode", time.perf_counter() - start_s)
        yield frame


def taking(frames: Iterable[Frame], pause: Callable[[], None]) -> Iterator[Frame]:
    """Yields the frames, each taken after a call of `pause`."""
    source = iter(frames)
    while True:
        pause()
        frame = next(source, None)
        if frame is None:
            return
        yield frame


def scoring(frames: Iterable[Frame], steps: Steps, every: int) -> Iterator[tuple[list[Frame], Logits]]:
    """Yields `every` frames at a time with the scores that the model gives the first; at the end fewer."""
    source = taking(frames, steps.pause)
    while True:
        steps.hold()
        first = next(source, None)
        if first is None:
            return
        scores, together = steps.score(first), [first]
        try:
            together += islice(source, every - 1)
        except RoadliteError:
            yield together, scores
            raise
        yield together, scores


def fitting(frame: Frame, preprocess: Preprocess) -> Pixels | Deferred:
    """Returns the picture that the model gets: the camera's own small one where that has the model's size."""
    fits = frame.small is not None and frame.small.shape[:2] == preprocess.size_hw and preprocess.fit == "stretch"
    return frame.small if fits and frame.small is not None else frame.pixels


def end(
    source: Source,
    labels: ReadAhead[tuple[list[Frame], Logits]] | Beside[Frame, tuple[Frame, LabelMap]],
    read: ReadAhead[Frame] | None,
    within_s: float,
) -> None:
    """Ends the threads; all are told to end before one is waited for, since they wait for each other."""
    labels.close()
    if read is not None:
        read.close()
    source.close()
    end_s = time.monotonic() + within_s
    labels.join(within_s)
    if read is not None:
        read.join(max(0.0, end_s - time.monotonic()))
