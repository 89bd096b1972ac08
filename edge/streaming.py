"""Labels the frames of a source one after the other, for programs: what comes out is data."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from edge.data import Frame, LabelMap, Logits
from edge.preprocess import Preprocess
from edge.sources.base import Source
from edge.threads import ReadAhead

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


class Model(Protocol):
    """What labels a frame in three steps: a `Segmenter`."""

    @property
    def preprocess(self) -> Preprocess: ...

    @property
    def postprocess(self) -> Callable[[Logits, tuple[int, int]], LabelMap]: ...

    def score(self, x: NDArray[Any]) -> Logits: ...


Smooth = Callable[[Logits, Frame], Logits]


@dataclass(frozen=True, slots=True)
class _Scored:
    frame: Frame
    scores: Logits
    decode_s: float
    preprocess_s: float
    invoke_s: float


def stream(source: Source, model: Model, smooth: Smooth | None = None) -> Generator[Labelled]:
    """Yields every frame of `source` with its labels, as `Segmenter.stream` says."""
    read = None if source.info.live else ReadAhead(_timed(source), "read")
    scored = ReadAhead(_scored(read or _untimed(source), model), "score")
    drops, expected = 0, None
    try:
        for one in scored:
            frame, start_s = one.frame, time.perf_counter()
            scores = one.scores if smooth is None else smooth(one.scores, frame)
            labels = model.postprocess(scores, (frame.pixels.shape[0], frame.pixels.shape[1]))
            end_s = time.perf_counter()
            if source.info.live and expected is not None:
                drops += max(0, frame.index - expected)
            expected = frame.index + 1
            times = StageTimes(one.decode_s, one.preprocess_s, one.invoke_s, end_s - start_s)
            yield Labelled(frame, labels, times, end_s - frame.t_capture_s, drops)
    finally:
        scored.close()
        if read is not None:
            read.close()
        source.close()
        scored.join(_STOPPING_S)
        if read is not None:
            read.join(_STOPPING_S)


def _timed(source: Source) -> Iterator[tuple[Frame, float]]:
    frames = iter(source)
    while True:
        start_s = time.perf_counter()
        frame = next(frames, None)
        if frame is None:
            return
        yield frame, time.perf_counter() - start_s


def _untimed(source: Source) -> Iterator[tuple[Frame, float]]:
    return ((frame, 0.0) for frame in source)


def _scored(frames: Iterable[tuple[Frame, float]], model: Model) -> Iterator[_Scored]:
    for frame, decode_s in frames:
        start_s = time.perf_counter()
        x = model.preprocess(frame.pixels)
        ready_s = time.perf_counter()
        scores = model.score(x)
        yield _Scored(frame, scores, decode_s, ready_s - start_s, time.perf_counter() - ready_s)
