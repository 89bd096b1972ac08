"""The way of a frame: source -> preprocess -> engine -> postprocess -> render -> sinks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.data import Result
from edge.labeller import Ahead, InTurn, Smooth, Steps
from edge.renderer import Renderer
from edge.second_model import SecondModel
from edge.segmenter import Segmenter
from edge.sinks.base import Sink
from edge.sources.base import Source
from edge.timing import Timing

MOST_TOGETHER = (
    30  # frames of which one is labelled: twice as many are in memory together, and labels as old are worth little
)


@dataclass(frozen=True, slots=True)
class Pace:
    """Which frames the model labels, and whether the others wait for that."""

    every: int = 1  # each so many; the frames between show the labels of one before, moved with what they name
    ahead: bool = False  # frames are shown as they come, with the newest labels moved


def run(
    source: Source,
    segmenter: Segmenter,
    renderer: Renderer,
    sinks: Sequence[Sink],
    timing: Timing,
    *,
    pace: Pace | None = None,
    smooth: Smooth | None = None,
    second: SecondModel | None = None,
    pause: Callable[[], None] = lambda: None,
    hold: Callable[[], None] = lambda: None,
    status: Callable[[], str] | None = None,
    until: threading.Event | None = None,
) -> None:
    """Takes every frame through every stage, in order, until the frames end or `until` is set.

    Reading and inference have a thread each, so that they overlap with the rest, which stays in the caller's thread;
    what is raised anywhere is raised here. The way forks once: labels are made of each frame in its turn, or beside the
    frames, which go on (`pace`). The source is closed in the end.

    `smooth` filters the scores of successive frames that are labelled. `pause` is called before a frame is taken and
    `hold` before one is labelled; both may wait. `status` gives the line on the picture. A
    `second` model labels every frame too, and draws both.
    """
    pace = pace or Pace()
    line = (Ahead if pace.ahead else InTurn)(
        source,
        Steps(segmenter, timing, smooth, pause, hold),
        pace.every,
        until or threading.Event(),
        lambda: idle(sinks),
    )
    try:
        for labelled in line:
            frame, labels = labelled.frame, labelled.labels
            other = None if second is None else second.labels(frame)
            with timing.stage("render"):
                said = (status or timing.line)()
                if second is None or other is None:
                    result = Result(frame, labels, renderer(frame.pixels, labels.ids, said))
                else:
                    result = second.result(frame, labels, other, said)
            with timing.stage("encode"):
                for sink in sinks:
                    sink.write(result)
            timing.shown(frame.t_capture_s, None if pace == Pace() else labelled.behind_s, labelled.way)
    finally:
        line.stop()


def idle(sinks: Sequence[Sink]) -> None:
    """Lets sinks that live between frames too, such as a window, do what they must."""
    for sink in sinks:
        sink.idle()
