"""The way of a frame: source -> preprocess -> engine -> postprocess -> render -> sinks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from edge.data import Frame, LabelMap, Logits, Pixels, Result
from edge.newest import Ahead
from edge.render import Renderer
from edge.segmenter import Segmenter
from edge.sinks import Sink
from edge.timing import Timing

Smooth = Callable[[Logits, Frame], Logits]
STOPPING_S = 1.0  # what the threads get to end what they are at


def run(
    frames: Iterable[Frame], segmenter: Segmenter, renderer: Renderer, sinks: Sequence[Sink], timing: Timing, *,
    live: bool = False, smooth: Smooth | None = None, hold: Callable[[], None] = lambda: None,
    status: Callable[[], str] | None = None, until: threading.Event | None = None,
) -> None:  # fmt: skip
    """Takes every frame through every stage, in order, until the frames end or `until` is set.

    Reading and labelling have a thread each, so that they overlap with drawing and writing, which stay in the caller's
    thread; what is raised anywhere is raised here. A frame of a `live` source is read only when it can be labelled at
    once. `frames` may be a source, which is closed in the end, or a list. `smooth` filters the scores of successive
    frames, `hold` is called before each frame and may wait, `status` gives the line on the picture.
    """
    read = None if live else Ahead(reading(frames, timing), "read")
    label = labelling(read or frames, segmenter, timing, smooth, hold)
    labelled = Ahead(label, "label", until, lambda: idle(sinks))
    try:
        for frame, labels in labelled:
            with timing.stage("render"):
                picture = renderer(frame.pixels, labels.ids, (status or timing.line)())
            with timing.stage("encode"):
                for sink in sinks:
                    sink.write(Result(frame, labels, picture))
            timing.shown(frame.t_capture_s)
    finally:
        stop(labelled, read, frames)


def reading(frames: Iterable[Frame], timing: Timing) -> Iterator[Frame]:
    source = iter(frames)
    while True:
        start_s = time.perf_counter()
        frame = next(source, None)
        if frame is None:
            return
        timing.add("decode", time.perf_counter() - start_s)
        yield frame


def labelling(
    frames: Iterable[Frame], segmenter: Segmenter, timing: Timing, smooth: Smooth | None,
    hold: Callable[[], None],
) -> Iterator[tuple[Frame, LabelMap]]:  # fmt: skip
    source = iter(frames)
    while True:
        hold()
        frame = next(source, None)
        if frame is None:
            return
        height, width = frame.pixels.shape[:2]
        with timing.stage("preprocess"):
            x = segmenter.preprocess(fitting(frame, segmenter.preprocess.size_hw))
        with timing.stage("invoke"):
            output = segmenter.engine.invoke(x)
        with timing.stage("postprocess"):
            output = output if smooth is None else smooth(output, frame)
            labels = segmenter.postprocess(output, (height, width))
        yield frame, labels


def fitting(frame: Frame, size_hw: tuple[int, int]) -> Pixels:
    """The picture that the model gets: the camera's own small one where that has the model's size."""
    return frame.pixels if frame.small is None or frame.small.shape[:2] != size_hw else frame.small


def idle(sinks: Sequence[Sink]) -> None:
    """Lets those sinks live that do so between frames too, such as a window."""
    for sink in sinks:
        if hasattr(sink, "idle"):
            sink.idle()


def stop(labelled: Ahead[tuple[Frame, LabelMap]], read: Ahead[Frame] | None, frames: Iterable[Frame]) -> None:
    """Ends the threads; all are told to before one is waited for, since they wait for each other."""
    labelled.close()
    if read is not None:
        read.close()
    if hasattr(frames, "close"):
        frames.close()
    end_s = time.monotonic() + STOPPING_S
    labelled.join(STOPPING_S)
    if read is not None:
        read.join(max(0.0, end_s - time.monotonic()))
