"""The way of a frame: source -> preprocess -> engine -> postprocess -> render -> sinks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge.data import Frame, Result
from edge.render import Renderer
from edge.segmenter import Segmenter
from edge.sinks import Sink
from edge.timing import Timing


def run(
    frames: Iterable[Frame], segmenter: Segmenter, renderer: Renderer, sinks: Sequence[Sink], timing: Timing
) -> None:  # fmt: skip
    """Takes every frame through every stage, in order, until the frames end."""
    source = iter(frames)
    while True:
        with timing.stage("decode"):
            frame = next(source, None)
        if frame is None:
            timing.stages["decode"].pop()  # what it took to find out that there is no frame
            return
        height, width = frame.pixels.shape[:2]
        with timing.stage("preprocess"):
            x = segmenter.preprocess(frame.pixels)
        with timing.stage("invoke"):
            output = segmenter.engine.invoke(x)
        with timing.stage("postprocess"):
            labels = segmenter.postprocess(output, (height, width))
        with timing.stage("render"):
            picture = renderer(frame.pixels, labels.ids, timing.line())
        with timing.stage("encode"):
            for sink in sinks:
                sink.write(Result(frame, labels, picture))
