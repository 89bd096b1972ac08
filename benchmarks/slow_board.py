"""A board as slow as a Pi 4 in the lab: is the picture still that of now, and how old are its labels?

The network takes 250 ms of one thread: it runs again and again until they are over. A camera gives 30 frames a second
of generated 720p scenes. Shown are the labelled frames alone, which is all there was before, and every frame with the
newest labels moved along. Wanted of these: at least 29 frames a second, nine of ten at most 50 ms old when shown, their
labels at most two invokes.

    python benchmarks/slow_board.py --output web
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from live import FixedRate, demo
from scoreboard import Row, aimed, benchmark, row

from edge import pipeline
from edge.controls import Controls
from edge.data import Pixels
from edge.engine.base import Engine
from edge.pipeline import Pace
from edge.renderer import Renderer
from edge.scene import demo_clip
from edge.segmenter import Segmenter
from edge.sinks.open import open_sink
from edge.sources.options import SourceHealth
from edge.sources.reconnect import ReconnectingSource
from edge.timing import Timing

RATE = 30.0
BEFORE, AFTER = "labelled frames alone", "every frame, labels moved"


class Slowed:
    """An engine that takes so long, at work all the while."""

    def __init__(self, engine: Engine, seconds: float) -> None:
        self._engine, self._seconds, self._own_s = engine, seconds, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def invoke(self, x: Any) -> Any:
        begin_s = time.perf_counter()
        y = self._engine.invoke(x)
        self._own_s = time.perf_counter() - begin_s
        while (left_s := begin_s + self._seconds - time.perf_counter()) > self._own_s:
            y = self._engine.invoke(x)
        time.sleep(max(0.0, left_s))
        return y


def measure(
    model: Path, pictures: Sequence[Pixels], pace: Pace, seconds: float, invoke_s: float, output: str
) -> Timing:
    segmenter, timing, until = Segmenter(model, threads=1), Timing(), threading.Event()
    segmenter.engine = Slowed(segmenter.engine, invoke_s)
    camera = ReconnectingSource(lambda: FixedRate(pictures, RATE), timeout_s=5, health=SourceHealth())
    renderer = Renderer(segmenter.card.classes, Controls())
    threading.Timer(seconds, until.set).start()
    with closing(camera), closing(open_sink(output, camera.info)) as sink:
        pipeline.run(camera, segmenter, renderer, [sink], timing, pace=pace, until=until)
    return timing


def rows(name: str, timing: Timing, *, wanted: bool) -> list[Row]:
    found = timing.summary()
    assert found.frame_age_ms is not None
    invoke_ms, labels = found.stages_ms["invoke"].median, found.label_age_ms or found.frame_age_ms
    stages = ", ".join(f"{stage} {times.median:.1f}" for stage, times in found.stages_ms.items())
    moved = f"{found.moved:.1%}" if found.moved is not None else ""
    made = [
        row(f"{name}: shown", [found.fps], "frames/s", moved=moved, stages_ms=stages),
        row(f"{name}: age of the picture, p90", [found.frame_age_ms.p90]),
        row(f"{name}: age of its labels, p90", [labels.p90]),
    ]
    if not wanted:
        return made
    shown, picture, label = made
    return [
        aimed(shown, at_least=29),
        aimed(picture, at_most=50),
        aimed(label, at_most=round(2 * invoke_ms)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="default: the demo, int8 257x513")
    parser.add_argument("--invoke-ms", type=float, default=250)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--output", default="null")
    options = parser.parse_args()
    with benchmark("slow-board", "A board on which the network takes long") as entry:
        model = options.model or demo()
        entry.about = (
            f"720p at {RATE:g} frames a second into {options.output}, {model.name} on one thread, made to take "
            f"{options.invoke_ms:g} ms, {options.seconds:g} s each."
        )
        there = [pixels for pixels, _ in demo_clip(50)]
        pictures = there + there[-2:0:-1]  # and back: no cut
        for name, pace in ((BEFORE, Pace()), (AFTER, Pace(ahead=True))):
            timing = measure(model, pictures, pace, options.seconds, options.invoke_ms / 1e3, options.output)
            entry.rows += rows(name, timing, wanted=pace.ahead)


if __name__ == "__main__":
    main()
