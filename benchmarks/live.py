"""A camera at a fixed rate through the whole pipeline: does it keep up, and how old is a frame when it is shown?

Plays generated 720p scenes from memory as a camera would, newest frame first, through `pipeline.run` into nowhere.
Wanted: frames per second >= 0.9 x min(rate, 1 / median invoke), age of a frame from capture to shown, 90th percentile,
<= 2 x median invoke + one frame interval.

    python benchmarks/live.py --rate 30 --rate 60 --rate 200
    python benchmarks/live.py --model demo-257x513-os16-int8.tflite --output web
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path

from scoreboard import Row, aimed, benchmark, row, say

from edge import pipeline
from edge.controls import Controls
from edge.data import Frame, Pixels, SourceInfo
from edge.renderer import Renderer
from edge.scene import demo_clip
from edge.segmenter import Segmenter
from edge.sinks.open import open_sink
from edge.sources.options import SourceHealth
from edge.sources.reconnect import ReconnectingSource
from edge.timing import Timing


class FixedRate:
    """Pictures from memory, one every 1 / rate seconds by the clock, late or not."""

    def __init__(self, pictures: Sequence[Pixels], rate: float) -> None:
        self._pictures, self._rate = pictures, rate
        height, width = pictures[0].shape[:2]
        self.info = SourceInfo("camera", (width, height), Fraction(rate), None, live=True)

    def __iter__(self) -> Iterator[Frame]:
        begin, index = time.perf_counter(), 0
        while True:
            time.sleep(max(0.0, begin + index / self._rate - time.perf_counter()))
            index = max(index, int((time.perf_counter() - begin) * self._rate))
            yield Frame(self._pictures[index % len(self._pictures)].copy(), index, time.perf_counter())
            index += 1

    def close(self) -> None:
        pass


def measure(segmenter: Segmenter, pictures: Sequence[Pixels], rate: float, seconds: float, output: str) -> list[Row]:
    timing, health, until = Timing(), SourceHealth(), threading.Event()
    camera = ReconnectingSource(lambda: FixedRate(pictures, rate), timeout_s=5, health=health)
    renderer = Renderer(segmenter.card.classes, Controls())
    threading.Timer(seconds, until.set).start()
    with closing(camera), closing(open_sink(output, camera.info)) as sink:
        pipeline.run(camera, segmenter, renderer, [sink], timing, until=until)
    found = timing.summary()
    invoke_s = found.stages_ms["invoke"].median / 1e3
    name = f"camera at {rate:g} frames/s, {segmenter.engine.threads} threads, into {output}"
    stages = ", ".join(f"{stage} {times.median:.1f}" for stage, times in found.stages_ms.items())
    shown = row(name, [found.fps], "frames/s", dropped=str(health.drops), stages_ms=stages)
    age = row(f"{name}: age when shown, p90", [found.frame_age_ms.p90])
    return [
        aimed(shown, at_least=round(0.9 * min(rate, 1 / invoke_s), 1)),
        aimed(age, at_most=round((2 * invoke_s + 1 / rate) * 1e3, 1)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="default: the demo, int8 257x513")
    parser.add_argument("--rate", type=float, action="append")
    parser.add_argument("--threads", type=int, action="append")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--output", default="null")
    options = parser.parse_args()
    with benchmark("live", "A camera at a fixed rate") as entry:
        model = options.model or demo()
        entry.about = f"720p, {model.name}, newest frame first, {options.seconds:g} s each."
        pictures = [pixels for pixels, _ in demo_clip(50)]
        for rate in options.rate or [30.0, 60.0]:
            for threads in options.threads or [None]:
                segmenter = Segmenter(model, threads=threads)
                entry.rows += measure(segmenter, pictures, rate, options.seconds, options.output)


def demo(size_hw: tuple[int, int] = (257, 513)) -> Path:
    from convert.model_grid import convert_missing

    (path, why), *_ = convert_missing("demo", [size_hw], ["16"], ["int8"], notice=say)
    assert not why, why
    return path


if __name__ == "__main__":
    main()
