"""The way of a frame: source -> preprocess -> engine -> postprocess -> render -> sinks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from edge.data import Deferred, Frame, Logits, Pixels, Result
from edge.preprocess import Preprocess
from edge.renderer import Renderer
from edge.segmenter import Segmenter
from edge.sinks.base import Sink
from edge.sources.base import Source
from edge.threads import ReadAhead
from edge.timing import Timing

Smooth = Callable[[Logits, Frame], Logits]
STOPPING_S = 1.0  # what the threads get to end what they are at


def run(
    source: Source,
    segmenter: Segmenter,
    renderer: Renderer,
    sinks: Sequence[Sink],
    timing: Timing,
    *,
    smooth: Smooth | None = None,
    hold: Callable[[], None] = lambda: None,
    status: Callable[[], str] | None = None,
    until: threading.Event | None = None,
) -> None:
    """Takes every frame through every stage, in order, until the frames end or `until` is set.

    Reading and inference have a thread each, so that they overlap with the rest, which stays in the caller's thread;
    what is raised anywhere is raised here. A frame of a live source is taken only when the model is free for it. The
    source is closed in the end. `smooth` filters the scores of successive frames, `hold` is called before each frame
    and may wait, `status` gives the line on the picture.
    """
    read = None if source.info.live else ReadAhead(reading(source, timing), "read")
    scored = ReadAhead(scoring(read or source, segmenter, timing, hold), "score", until, lambda: idle(sinks))
    try:
        for frame, scores in scored:
            with timing.stage("postprocess"):
                smoothed = scores if smooth is None else smooth(scores, frame)
                labels = segmenter.postprocess(smoothed, (frame.pixels.shape[0], frame.pixels.shape[1]))
            with timing.stage("render"):
                picture = renderer(frame.pixels, labels.ids, (status or timing.line)())
            with timing.stage("encode"):
                for sink in sinks:
                    sink.write(Result(frame, labels, picture))
            timing.shown(frame.t_capture_s)
    finally:
        stop(scored, read, source)


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


def scoring(
    frames: Iterable[Frame], segmenter: Segmenter, timing: Timing, hold: Callable[[], None]
) -> Iterator[tuple[Frame, Logits]]:
    """Yields each frame with the scores that the model gives it."""
    source = iter(frames)
    while True:
        hold()
        frame = next(source, None)
        if frame is None:
            return
        with timing.stage("preprocess"):
            x = segmenter.preprocess(fitting(frame, segmenter.preprocess))
        with timing.stage("invoke"):
            scores = segmenter.score(x)
        yield frame, scores


def fitting(frame: Frame, preprocess: Preprocess) -> Pixels | Deferred:
    """Returns the picture that the model gets: the camera's own small one where that has the model's size."""
    fits = frame.small is not None and frame.small.shape[:2] == preprocess.size_hw and preprocess.fit == "stretch"
    return frame.small if fits and frame.small is not None else frame.pixels


def idle(sinks: Sequence[Sink]) -> None:
    """Lets sinks that live between frames too, such as a window, do what they must."""
    for sink in sinks:
        sink.idle()


def stop(scored: ReadAhead[tuple[Frame, Logits]], read: ReadAhead[Frame] | None, source: Source) -> None:
    """Ends the threads; all are told to end before one is waited for, since they wait for each other."""
    scored.close()
    if read is not None:
        read.close()
    source.close()
    end_s = time.monotonic() + STOPPING_S
    scored.join(STOPPING_S)
    if read is not None:
        read.join(max(0.0, end_s - time.monotonic()))
