"""A camera at a fixed rate through the whole pipeline: does it keep up, and how old is a frame when it is shown?

Plays generated 720p scenes from memory as a camera would, newest frame first, through `pipeline.run` into nowhere.
Wanted: frames per second >= 0.9 x min(rate, 1 / median invoke), age of a frame from capture to shown, 90th percentile,
<= 2 x median invoke + one frame interval.

    python benchmarks/live.py demo-257x513-os16-int8.tflite --rate 30 --rate 60 --rate 200
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path

from edge import pipeline
from edge.data import Frame, Pixels, SourceInfo
from edge.live import Controls
from edge.render import Renderer
from edge.scene import demo_clip
from edge.segmenter import Segmenter
from edge.sinks import open_sink
from edge.sources import Health
from edge.sources.newest import Newest
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


def measure(segmenter: Segmenter, pictures: Sequence[Pixels], rate: float, seconds: float, output: str) -> None:
    timing, health, until = Timing(), Health(), threading.Event()
    camera = Newest(lambda: FixedRate(pictures, rate), timeout_s=5, health=health)
    renderer = Renderer(segmenter.card.classes, Controls())
    threading.Timer(seconds, until.set).start()
    with closing(camera), closing(open_sink(output, camera.info)) as sink:
        pipeline.run(camera, segmenter, renderer, [sink], timing, live=True, until=until)
    found = timing.summary()
    invoke_s = found["stages_ms"]["invoke"]["median"] / 1e3
    fps, most = found["fps"], min(rate, 1 / invoke_s)
    age_ms, age_limit_ms = found["frame_age_ms"]["p90"], (2 * invoke_s + 1 / rate) * 1e3
    stages = "  ".join(f"{name} {times['median']:.1f}" for name, times in found["stages_ms"].items())
    print(
        f"{rate:g} a second, {segmenter.engine.threads} threads, into {output}: {fps:.1f} fps = {fps / most:.2f} of "
        f"{most:.1f} {'ok' if fps >= 0.9 * most else 'MISSED'}; age p90 {age_ms:.1f} ms of {age_limit_ms:.1f} "
        f"{'ok' if age_ms <= age_limit_ms else 'MISSED'}; {health.drops} dropped; ms: {stages}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rate", type=float, action="append")
    parser.add_argument("--threads", type=int, action="append")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--output", default="null")
    options = parser.parse_args()
    pictures = [pixels for pixels, _ in demo_clip(50)]
    segmenters = [Segmenter(options.model, threads=threads) for threads in options.threads or [None]]
    for _ in range(options.rounds):
        for rate in options.rate or [30.0, 60.0]:
            for segmenter in segmenters:
                measure(segmenter, pictures, rate, options.seconds, options.output)


if __name__ == "__main__":
    main()
