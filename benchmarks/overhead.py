"""What a 720p frame costs beside the network, from RGB in memory to the overlay, on one core: the kit and other ways.

Every way gets the same pictures and the same scores of an int8 network of 513x1025 at output stride 16; ways that want
real numbers get the scores as such, made beforehand. Ways and pictures take turns in one run.

picamera2: what its segmentation example does, on the processor: labels where the scores are, coloured, enlarged to the
preview, RGBA over RGBA. In the example the preview's hardware blends. OpenCV and numpy: what one would write
first. supervision: its MaskAnnotator, on the labels of the way before. The floor copies what each stage leaves behind.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from scenes import FRAME_HW, scene_logits
from scoreboard import Row, aimed, benchmark, row, say

from edge.classes import CITYSCAPES
from edge.controls import Controls
from edge.data import Ids, TensorSpec
from edge.postprocess import Postprocess
from edge.preprocess import DEEPLAB, Preprocess
from edge.renderer import Renderer
from edge.scene import demo_clip

INPUT_HW, LOGITS_HW, FRAMES, MOST_MS, MOST_COPIES = (513, 1025), (33, 65), 8, 10.0, 10.0
COLUMNS = ("preprocess", "postprocess", "render", "by the clock")
Found = dict[str, list[list[float]]]  # milliseconds of processor time of each stage, and of all by the clock
KIT = "kit, as run-model draws it: legend and status line"
WH = FRAME_HW[::-1]


@dataclass(frozen=True, slots=True)
class Way:
    """The three stages: RGB picture -> input tensor; scores -> labels of any size; picture, labels -> picture."""

    preprocess: Callable[[Any], Any]
    postprocess: Callable[[Any], Ids]
    render: Callable[[Any, Ids], Any]
    real: bool = False  # wants float32 scores


def kit(legend: bool) -> Way:
    spec = TensorSpec("picture", (1, *INPUT_HW, 3), np.dtype("int8"), 1 / 127.5, -1)
    labels, renderer = Postprocess(), Renderer(CITYSCAPES, Controls(), legend=legend, hud=legend)
    line = "invoke 24.9 ms   28.9 fps"
    return Way(
        Preprocess(spec, DEEPLAB),
        lambda scores: labels(scores, FRAME_HW).ids,
        lambda picture, ids: renderer(picture, ids, line),
    )


def picamera2() -> Way:
    palette = np.dstack([CITYSCAPES.table().reshape(1, 256, 3), np.full((1, 256), 255, np.uint8)])[0]

    def preprocess(picture: Any) -> Any:
        small = cv2.resize(picture, INPUT_HW[::-1])
        return np.bitwise_xor(small, 128).view(np.int8)[None]

    def render(picture: Any, ids: Ids) -> Any:
        overlay = cv2.resize(palette[ids], WH, interpolation=cv2.INTER_NEAREST)
        return cv2.addWeighted(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA), 0.5, overlay, 0.5, 0)

    return Way(preprocess, lambda scores: scores[0].argmax(axis=-1).astype(np.uint8), render)


def naive() -> Way:
    table = CITYSCAPES.table()

    def preprocess(picture: Any) -> Any:
        return (cv2.resize(picture, INPUT_HW[::-1]).astype(np.float32) / 127.5 - 1)[None]

    def postprocess(scores: Any) -> Ids:
        planes = [cv2.resize(scores[0, ..., c], WH) for c in range(scores.shape[3])]
        return np.stack(planes).argmax(axis=0).astype(np.uint8)

    return Way(preprocess, postprocess, lambda p, ids: cv2.addWeighted(p, 0.5, table[ids], 0.5, 0), real=True)


def supervision() -> Way:
    import supervision as sv

    colours = [sv.Color(*reversed(colour)) for colour in CITYSCAPES.colours]  # it draws on BGR, pictures here are RGB
    annotator = sv.MaskAnnotator(sv.ColorPalette(colours), opacity=0.5, color_lookup=sv.ColorLookup.CLASS)

    def render(picture: Any, ids: Ids) -> Any:
        classes = np.flatnonzero(np.bincount(ids.ravel(), minlength=256))
        masks = ids == classes[:, None, None]
        found = sv.Detections(xyxy=sv.mask_to_xyxy(masks), mask=masks, class_id=classes)
        return annotator.annotate(picture.copy(), found)

    before = naive()
    return Way(before.preprocess, before.postprocess, render, real=True)


def floor() -> Way:
    """Copying as many bytes as a stage leaves behind."""

    def copying(shape: tuple[int, ...]) -> Callable[..., Any]:
        source, target = np.zeros(shape, np.uint8), np.ones(shape, np.uint8)
        return lambda *_: np.copyto(target, source)

    return Way(copying((*INPUT_HW, 3)), copying(FRAME_HW), copying((*FRAME_HW, 3)))


def all_ways() -> dict[str, Way]:
    ways = {
        KIT: kit(True),
        "kit, overlay alone": kit(False),
        "picamera2's example": picamera2(),
        "OpenCV and numpy": naive(),
    }
    if importlib.util.find_spec("supervision") is None:
        say("without supervision: pip install -r benchmarks/requirements-peers.txt")
    else:
        ways["supervision's MaskAnnotator, same labels"] = supervision()
    return {**ways, "floor: copying the results": floor()}


def equal(ids: Ids, exact: Ids) -> float:
    """Share of pixels labelled as the upsampled scores say."""
    return float(np.mean(cv2.resize(ids, exact.shape[::-1], interpolation=cv2.INTER_NEAREST) == exact))


def measure(ways: dict[str, Way], pictures: list[Any], scores: list[Any], rounds: int) -> Found:
    """By way and round; the order of the ways is drawn anew each round: what a way leaves in the caches hits all."""
    found: Found = {name: [] for name in ways}
    real, order = [each.astype(np.float32) for each in scores], np.random.default_rng(0)
    for turn in range(-3, rounds):  # the first are not counted
        which = turn % len(pictures)
        for name in order.permutation(list(ways)):
            taken = one_frame(ways[name], pictures[which], (real if ways[name].real else scores)[which])
            if turn >= 0:
                found[name].append(taken)
    return found


def one_frame(way: Way, picture: Any, scores: Any) -> list[float]:
    start, marks = time.perf_counter(), [time.process_time()]
    way.preprocess(picture)
    marks.append(time.process_time())
    ids = way.postprocess(scores)
    marks.append(time.process_time())
    way.render(picture, ids)
    marks.append(time.process_time())
    return [(after - before) * 1e3 for before, after in pairwise(marks)] + [(time.perf_counter() - start) * 1e3]


def rows(ways: dict[str, Way], found: Found, scores: list[Any]) -> list[Row]:
    exact = [ways[KIT].postprocess(each).copy() for each in scores]
    totals = {name: [sum(taken[:-1]) for taken in each] for name, each in found.items()}
    made = []
    for name, way in ways.items():
        stages = dict(zip(COLUMNS, (f"{value:.2f}" for value in np.median(found[name], axis=0)), strict=True))
        if not name.startswith("floor"):
            labels = [way.postprocess(each.astype(np.float32) if way.real else each) for each in scores]
            shares = [equal(ids, truth) for ids, truth in zip(labels, exact, strict=True)]
            stages["labels as exact"] = f"{np.mean(shares):.2%}"
        made.append(row(name, totals[name], base=totals[KIT], **stages))
    most = {"floor: copying the results": MOST_COPIES, "picamera2's example": 1.0}
    others = [aimed(each, at_most=most[each.way], of="ratio") if each.way in most else each for each in made[1:]]
    return [aimed(made[0], at_most=MOST_MS), *others]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=81)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    title, against = "Everything but the network, 720p frame", "the kit takes so many times as long"
    with benchmark("overhead", title, against) as entry:
        entry.about = (
            "Preprocessing to 513x1025, scores of 33x65x19 to labels, and the overlay, on one core; ms of processor "
            "time, which neighbours on the machine disturb less than the clock's. Exact labels are the argmax of the "
            "scores upsampled with align_corners, as in the graph; OpenCV's resize is not that, at the input either "
            "(3.7 grey levels off on average). picamera2's way leaves labels in blocks of 39x22 pixels."
        )
        pictures, truths = (list(column) for column in zip(*demo_clip(FRAMES, FRAME_HW), strict=True))
        scores = [scene_logits(ids, LOGITS_HW, seed) for seed, ids in enumerate(truths)]
        ways = all_ways()
        entry.rows += rows(ways, measure(ways, pictures, scores, options.rounds), scores)


if __name__ == "__main__":
    main()
