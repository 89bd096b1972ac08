"""What a 720p frame costs beside the network, on one core: preprocessing, smoothing, postprocessing, rendering.

Ways take turns. What is compared with: the same resize without align_corners (cv2.resize), and copying the same bytes.
With `--model` the whole loop is measured too, with and without smoothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from scenes import FRAME_HW, scene_logits
from scoreboard import benchmark, row, say

from edge.classes import CITYSCAPES
from edge.controls import Controls
from edge.data import TensorSpec
from edge.postprocess import Postprocess
from edge.preprocess import DEEPLAB, Preprocess
from edge.renderer import Renderer
from edge.scene import demo_clip
from edge.segmenter import Segmenter
from edge.smooth import Smoother

FRAMES = 8
Ways = dict[str, Callable[[int], object]]


def preprocessing(pictures: list[np.ndarray]) -> Ways:
    ways: Ways = {}
    for size_hw in ((257, 513), (513, 1025)):
        for dtype, scale, zero_point in (("int8", 1 / 127.5, -1), ("uint8", 1 / 127.5, 128), ("float32", 0.0, 0)):
            spec = TensorSpec("picture", (1, *size_hw, 3), np.dtype(dtype), scale, zero_point)
            preprocess = Preprocess(spec, DEEPLAB)
            ways[f"preprocess {size_hw[0]}x{size_hw[1]} {dtype}"] = lambda i, p=preprocess: p(pictures[i])  # type: ignore[misc]
        wh = size_hw[::-1]
        small = np.zeros((*size_hw, 3), np.uint8)
        ways[f"  cv2.resize alone {size_hw[0]}x{size_hw[1]}"] = lambda i, wh=wh: cv2.resize(pictures[i], wh)  # type: ignore[misc]
        ways[f"  copying {size_hw[0]}x{size_hw[1]}"] = lambda i, s=small: s.copy()  # type: ignore[misc]
    return ways


def labelling(labels: list[np.ndarray], size_hw: tuple[int, int]) -> Ways:
    logits = [scene_logits(ids, size_hw, seed) for seed, ids in enumerate(labels)]
    name = f"{size_hw[0]}x{size_hw[1]}"
    plain = Postprocess()
    ways: Ways = {f"postprocess {name}": lambda i: plain(logits[i], FRAME_HW)}
    for kind in ("two", "0.5"):
        smoother, after = Smoother(kind), Postprocess()
        ways[f"smooth {kind} and postprocess {name}"] = lambda i, s=smoother, p=after: p(s(logits[i]), FRAME_HW)  # type: ignore[misc]
    return ways


def rendering(pictures: list[np.ndarray], labels: list[np.ndarray]) -> Ways:
    kinds = {
        "overlay, legend, HUD": Renderer(CITYSCAPES, Controls()),
        "overlay alone": Renderer(CITYSCAPES, Controls(), legend=False, hud=False),
        "mask": Renderer(CITYSCAPES, Controls("mask")),
        "side by side": Renderer(CITYSCAPES, Controls("side-by-side")),
        "outlines, two classes hidden": Renderer(CITYSCAPES, Controls(boundaries=True, hidden=frozenset({2, 8}))),
    }
    lines = (f"invoke {n / 7:.1f} ms   {n % 31:.1f} fps   {n} dropped" for n in range(1 << 30))
    return {
        f"render {name}": lambda i, r=renderer: r(pictures[i], labels[i], next(lines))  # type: ignore[misc]
        for name, renderer in kinds.items()
    }


def measure(ways: Ways, rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """Milliseconds of each way in each round, by the clock and of processor time."""
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in ways}
    for turn in range(rounds):
        for name, way in ways.items():
            start, start_busy = time.perf_counter(), time.thread_time()
            way(turn % FRAMES)
            found[name][0].append((time.perf_counter() - start) * 1e3)
            found[name][1].append((time.thread_time() - start_busy) * 1e3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=81)
    parser.add_argument("--model", type=Path, help="a .tflite for the whole loop")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with benchmark("stages", "Stages of a 720p frame") as entry:
        entry.about = "One core. By the clock; processor time, which neighbours disturb less, and the least beside it."
        pictures, labels = (list(column) for column in zip(*demo_clip(FRAMES, FRAME_HW), strict=True))
        ways = {**preprocessing(pictures), **rendering(pictures, labels)}
        for size_hw in ((17, 33), (33, 65), (65, 129)):
            ways |= labelling(labels, size_hw)
        if options.model:
            for kind in (None, "two", "0.5"):
                ways |= loop(options.model, pictures, kind)
        say(f"{options.rounds} rounds of {len(ways)} ways")
        for name, (wall, busy) in measure(ways, options.rounds).items():
            more = {"processor": f"{np.median(busy):.2f}", "least": f"{min(wall):.2f}"}
            entry.rows.append(row(name.strip(), wall, **more))


def loop(model: Path, pictures: list[np.ndarray], smooth: str | None) -> Ways:
    """All stages of a frame but decoding and encoding, with one thread for the network."""
    segmenter = Segmenter(model, threads=1)
    renderer = Renderer(segmenter.card.classes, Controls())
    smoother = Smoother(smooth) if smooth else None

    def frame(turn: int) -> None:
        output = segmenter.engine.invoke(segmenter.preprocess(pictures[turn]))
        labels = segmenter.postprocess(smoother(output) if smoother else output, FRAME_HW)
        renderer(pictures[turn], labels.ids, "invoke 12.3 ms")

    return {f"loop, smooth {smooth}" if smooth else "loop": frame}


if __name__ == "__main__":
    main()
