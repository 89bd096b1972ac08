"""The ancestors' way against the kit, end to end on the same 720p clip, in turns in one run.

Ancestors: OpenCV reads a frame, it is resized to the frozen graph's size, a TensorFlow session runs the stock
graph (MobileNetV2, 1025x2049, output stride 8), and the label map is coloured and blended over the frame.
Kit: `run-model`'s own loop with the int8 model at 513x1025, H.264 decoding and overlay included.

The graph has the official layout and size; its weights are random, which changes no side's work in the network. They
are made so that label maps have areas, with borders in 15 to 26 % of the cells; in street scenes it is 7 to 12 %.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from convert import job as jobs
from convert.demo.architecture import Architecture
from convert.demo.builder import build, random_weights
from convert.graph import parse, running
from convert.models import FrozenGraph
from convert.recipes import RECIPES
from edge import pipeline
from edge.classes import CITYSCAPES
from edge.data import Frame, LabelMap, Result, SourceInfo
from edge.live import Controls
from edge.render import Renderer
from edge.scene import DEMO_RATE, demo_clip
from edge.segmenter import Segmenter
from edge.sinks import open_sink
from edge.sources import open_source
from edge.timing import Timing

CROP_HW = (1025, 2049)


def full_size_graph() -> bytes:
    """MobileNetV2 DeepLab as officially exported for Cityscapes: width 1.0, 1025x2049, output stride 8."""
    architecture = Architecture(width=1.0, classes=19, crop_hw=CROP_HW, output_stride=8)
    data: bytes = build(architecture, random_weights(architecture, seed=1, smooth=True)).SerializeToString()
    return data


def to_int8(graph: bytes, stride: int, folder: Path) -> Path:
    frozen = FrozenGraph("mobilenetv2", graph, "random weights", "built for the benchmark")
    recipes = [RECIPES["int8"]]
    job = jobs.Job(recipes, (513, 1025), str(stride), folder, ["demo"], 4, 1, 0.0, CITYSCAPES)
    return jobs.run(frozen, job)[0].path


def ancestors_way(session: Callable[..., list[np.ndarray]], clip: Path, frames: int) -> float:
    """Seconds per frame: read, resize, session, colour, blend."""
    table = CITYSCAPES.table()
    video = cv2.VideoCapture(str(clip))
    start = time.perf_counter()
    for _ in range(frames):
        bgr = video.read()[1]
        rgb = cv2.resize(bgr[..., ::-1], CROP_HW[::-1], interpolation=cv2.INTER_AREA)
        labels = session({"ImageTensor": rgb[None]})[0][0]
        colours = cv2.resize(table[labels], bgr.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        cv2.addWeighted(bgr, 0.5, colours[..., ::-1], 0.5, 0)
    return (time.perf_counter() - start) / frames


def kits_way(segmenter: Segmenter, clip: Path) -> tuple[float, Timing]:
    """Seconds per frame over the whole clip: opening, decoding, labelling and overlay."""
    timing = Timing()
    with closing(open_source(str(clip))) as source, closing(open_sink("null", source.info)) as sink:
        pipeline.run(source, segmenter, Renderer(segmenter.card.classes, Controls()), [sink], timing)
    return timing.seconds / timing.frames, timing


def write_clip(path: Path, frames: int) -> None:
    """A 720p H.264 clip of generated scenes."""
    info = SourceInfo("demo", (1280, 720), DEMO_RATE, frames)
    with closing(open_sink(str(path), info)) as sink:
        for index, (pixels, ids) in enumerate(demo_clip(frames, (720, 1280))):
            sink.write(Result(Frame(pixels, index, 0.0), LabelMap(ids), pixels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clip", type=Path, help="a 720p video instead of generated scenes")
    parser.add_argument("--graph", type=Path, help="a frozen graph of 1025x2049 instead of random weights")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip = options.clip or Path(folder, "clip.mp4")
        if not options.clip:
            write_clip(clip, 50)
        graph = options.graph.read_bytes() if options.graph else full_size_graph()
        kit = {f"kit int8 513x1025 stride {s}": Segmenter(to_int8(graph, s, Path(folder))) for s in (8, 16)}
        report(measure(graph, clip, kit, options.rounds))


def measure(graph: bytes, clip: Path, kit: dict[str, Segmenter], rounds: int) -> dict[str, list[float]]:
    """Seconds per frame of each way in each round, the ways taking turns."""
    seconds: dict[str, list[float]] = {"ancestors 1025x2049 stride 8": [], **{name: [] for name in kit}}
    with running(parse(graph, "graph"), ["SemanticPredictions"]) as session:
        ancestors_way(session, clip, 2)  # warm-up
        for segmenter in kit.values():
            kits_way(segmenter, clip)
        for _ in range(rounds):
            seconds["ancestors 1025x2049 stride 8"].append(ancestors_way(session, clip, 3))
            for name, segmenter in kit.items():
                per_frame, timing = kits_way(segmenter, clip)
                seconds[name].append(per_frame)
                print(name, {stage: t["median"] for stage, t in timing.summary()["stages_ms"].items()})
    return seconds


def report(seconds: dict[str, list[float]]) -> None:
    base = next(iter(seconds.values()))
    print("\n| way | ms per frame | frames/s | times as fast (lowest - highest round) |\n|---|---|---|---|")
    for name, times in seconds.items():
        ratios = np.array(base) / np.array(times)
        median = float(np.median(times))
        print(
            f"| {name} | {median * 1e3:.1f} | {1 / median:.2f} | "
            f"{np.median(ratios):.1f} ({ratios.min():.1f} - {ratios.max():.1f}) |"
        )


if __name__ == "__main__":
    main()
