"""The ancestors' way against the kit, end to end on the same 720p clip, in turns in one run.

Ancestors: OpenCV reads a frame, it is resized to the frozen graph's size, a TensorFlow session runs the stock
graph (1025x2049, output stride 8), and the label map is coloured and blended over the frame.
Kit: `run-model`'s own loop with the int8 model at 513x1025, H.264 decoding and overlay included.

The graphs have the official layouts and sizes; their weights are random, which changes no side's work in the network.
They are made so that label maps have areas: the kit does more where there are more borders.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import cv2
import networks
import numpy as np
from scenes import write_clip
from scoreboard import Entry, aimed, benchmark, row, say

from convert.graph.graphdef import parse, running
from edge import pipeline
from edge.classes import CITYSCAPES
from edge.controls import Controls
from edge.renderer import Renderer
from edge.requirements import install_extra
from edge.segmenter import Segmenter
from edge.sinks.open import open_sink
from edge.sources.open import open_source
from edge.timing import Timing

ON_OPENVINO = "kit, int8 513x1025, stride 16, on OpenVINO"  # what run-model --runtime fastest may choose
ANCESTORS = "TensorFlow session, stock graph 1025x2049, stride 8"
PLANS = {networks.MOBILENET: (7, 3, 50), networks.XCEPTION: (3, 1, 12)}  # rounds, ancestors' and kit's frames of each
TARGET = {(networks.MOBILENET, 16): 30.0}  # times as fast, by network and stride


def ancestors_way(session: Callable[..., list[np.ndarray]], clip: Path, frames: int) -> float:
    """Seconds per frame: read, resize, session, colour, blend."""
    table = CITYSCAPES.table()
    video = cv2.VideoCapture(str(clip))
    start = time.perf_counter()
    for _ in range(frames):
        bgr = video.read()[1]
        rgb = cv2.resize(bgr[..., ::-1], networks.CROP_HW[::-1], interpolation=cv2.INTER_AREA)
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


def measure(
    graph: bytes, clip: Path, kit: dict[str, Segmenter], rounds: int, frames: int
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Milliseconds per frame of each way in each round, the ways taking turns, and the median stages of the kit's."""
    found: dict[str, list[float]] = {ANCESTORS: [], **{name: [] for name in kit}}
    stages: dict[str, str] = {}
    with running(parse(graph, "graph"), ["SemanticPredictions"]) as session:
        ancestors_way(session, clip, 1)  # warm-up
        for segmenter in kit.values():
            kits_way(segmenter, clip)
        for turn in range(rounds):
            say(f"round {turn + 1} of {rounds}")
            found[ANCESTORS].append(ancestors_way(session, clip, frames) * 1e3)
            for name, segmenter in kit.items():
                seconds, timing = kits_way(segmenter, clip)
                found[name].append(seconds * 1e3)
                taken = timing.summary().stages_ms
                stages[name] = ", ".join(f"{stage} {times.median:.1f}" for stage, times in taken.items())
    return found, stages


def compare(network: str, rounds: int | None, clip: Path | None, entry: Entry) -> None:
    usual, frames, kits_frames = PLANS[network]
    files = {stride: networks.files(network, (513, 1025), stride)["int8"] for stride in (8, 16)}
    ways = {f"kit, int8 513x1025, stride {stride}": (stride, "litert") for stride in files}
    if importlib.util.find_spec("openvino") is None:
        say(f"without OpenVINO: {install_extra('openvino')}")
    else:
        ways[ON_OPENVINO] = (16, "openvino")
    with tempfile.TemporaryDirectory() as folder:
        clip = clip or write_clip(Path(folder, "clip.mp4"), kits_frames)
        kit = {name: Segmenter(files[stride], runtime=runtime) for name, (stride, runtime) in ways.items()}
        found, stages = measure(networks.graph(network).read_bytes(), clip, kit, rounds or usual, frames)
    for name, times in found.items():
        made = row(
            name,
            times,
            base=found[ANCESTORS],
            frames_a_second=f"{1e3 / np.median(times):.3g}",
            stages_ms=stages.get(name, ""),
        )
        target = TARGET.get((network, ways[name][0])) if name in ways else None
        entry.rows.append(aimed(made, at_least=target, of="ratio") if target else made)
    entry.about = (
        f"From the video file to the blended picture. A round of the ancestors' way is {frames} of its frames, one of "
        f"the kit's the whole clip of {kits_frames}, opening it included; the kit's stages overlap."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=PLANS, action="append", help="default: both")
    parser.add_argument("--rounds", type=int, help="default: 7, and 3 for Xception65, which is slow")
    parser.add_argument("--clip", type=Path, help="a 720p video instead of generated scenes")
    options = parser.parse_args()
    for network in options.network or PLANS:
        title = f"End to end on a 720p clip, {network}"
        with benchmark(f"end-to-end {network}", title, "times as fast") as entry:
            compare(network, options.rounds, options.clip, entry)


if __name__ == "__main__":
    main()
