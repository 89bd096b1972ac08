"""What labels are worth when they are some frames old: held in place, moved along, and of every frame.

Truth is that of the generated drives, or what the model says of every frame of a film (`--clip`), which counts where
that has its edges as an error. Ages are in frames at 30 a second. Wanted: moved labels at most 3 points of mIoU below
labelling every frame at an age of 4, 6 at 8; at most 5 ms for a 720p frame on one core.

    python benchmarks/motion.py
    python benchmarks/motion.py --clip drive.mp4 --model mobilenetv2-513x1025-os16-int8.tflite
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from live import demo
from scenes import FRAME_HW
from scoreboard import Entry, Row, aimed, benchmark, row, say

from edge.data import Frame, Ids, LabelMap
from edge.evaluation.metrics import Confusion
from edge.motion.mover import Mover
from edge.scene import Scene
from edge.segmenter import Segmenter
from edge.sources.open import open_source
from edge.sources.options import SourceOptions

AGES = (1, 2, 4, 8, 16)
RATE = 30
LENGTH = 41  # frames of a drive
STARTS = (0, 8, 16, 24)  # of its frames, those that are labelled
FAST_MPS = 15.0
SEEDS = (145, 1, 3, 6, 8, 10, 11, 2, 5, 7, 9, 12)  # city, suburb, rural and highway; 7 to 11 and 18 to 30 m/s
HELD, PLAIN, MOVED, EVERY = (
    "held",
    "moved, edges as they come",
    "moved, edges snapped to the frame",
    "every frame labelled",
)
MOST_BELOW = {4: 0.03, 8: 0.06}


@dataclass(frozen=True, slots=True)
class Film:
    """Frames in order, what is true of them and what the model says."""

    group: str
    frames: list[Frame]
    truth: list[Ids]
    labels: list[Ids]


@dataclass(frozen=True, slots=True)
class Found:
    """Sums over the films of a group."""

    confusions: dict[tuple[str, int], Confusion]  # by way and age
    moving_ms: list[float]  # a frame seen and its labels made


def drives(seeds: tuple[int, ...], segmenter: Segmenter) -> Iterator[Film]:
    for seed in seeds:
        scene = Scene(seed)
        speed = scene.plan.own.speed_mps
        say(f"drive {seed}: {scene.plan.kind}, {speed:.0f} m/s")
        drawn = [scene.draw(2 + index / RATE, FRAME_HW) for index in range(LENGTH)]
        frames = [Frame(pixels, index, index / RATE) for index, (pixels, _) in enumerate(drawn)]
        group = f"{'from' if speed >= FAST_MPS else 'below'} {FAST_MPS:g} m/s"
        yield Film(group, frames, [ids for _, ids in drawn], [segmenter(pixels).ids for pixels, _ in drawn])


def clip(path: str, segmenter: Segmenter, count: int) -> Iterator[Film]:
    """Parts of a film, as long as a drive."""
    with closing(open_source(path, SourceOptions(limit=count))) as source:
        part: list[Frame] = []
        for frame in source:
            pixels = np.asarray(cv2.resize(frame.pixels, FRAME_HW[::-1], interpolation=cv2.INTER_AREA), np.uint8)
            part.append(Frame(pixels, len(part), len(part) / RATE))
            if len(part) == LENGTH:
                labels = [segmenter(one.pixels).ids for one in part]
                yield Film("all", part, labels, labels)
                part = []


def measure(films: Iterator[Film], classes: int) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for film in films:
        for group in dict.fromkeys(("all", film.group)):
            found.setdefault(group, Found({(way, age): Confusion(classes) for way in WAYS for age in AGES}, []))
        for start in STARTS:
            for way, made in WAYS.items():
                for age, (ids, ms) in made(film, start).items():
                    for group in dict.fromkeys(("all", film.group)):
                        found[group].confusions[way, age].add(film.truth[start + age], ids)
                        if way == MOVED:
                            found[group].moving_ms.append(ms)
    return found


Ages = dict[int, tuple[Ids, float]]
"""The labels of the frame so many after the first, and the ms that they took."""


def held(film: Film, start: int) -> Ages:
    return dict.fromkeys(AGES, (film.labels[start], 0.0))


def labelled(film: Film, start: int) -> Ages:
    return {age: (film.labels[start + age], 0.0) for age in AGES}


def moved(film: Film, start: int, *, snap: bool) -> Ages:
    mover, first, made = Mover(snap=snap), film.frames[start], {}
    mover.see(first)
    mover.label(first, LabelMap(film.labels[start]))
    for age in range(1, max(AGES) + 1):
        begin_s = time.thread_time()  # neighbours disturb it less than the clock
        mover.see(film.frames[start + age])
        now = mover.now()
        ms = (time.thread_time() - begin_s) * 1e3
        assert now is not None
        if age in AGES:
            made[age] = now.labels.ids, ms
    return made


WAYS: dict[str, Callable[[Film, int], Ages]] = {
    EVERY: labelled,
    HELD: held,
    PLAIN: lambda film, start: moved(film, start, snap=False),
    MOVED: lambda film, start: moved(film, start, snap=True),
}


def fill(entry: Entry, found: dict[str, Found], *, with_targets: bool) -> None:
    miou = {
        (group, way, age): confusion.mean_iou()
        for group, one in found.items()
        for (way, age), confusion in one.confusions.items()
    }
    for group in found:
        for way in WAYS:
            name = f"{way}{'' if group == 'all' else f', {group}'}"
            entry.rows += [
                row(name, [miou[group, way, age]], "mIoU", column=f"{age} frame{'s' if age > 1 else ''}")
                for age in AGES
            ]
    if with_targets:
        entry.rows += [_below(miou["all", EVERY, age] - miou["all", MOVED, age], age) for age in MOST_BELOW]
        took = row("moving the labels of a 720p frame, one core", found["all"].moving_ms)
        entry.rows.append(aimed(took, at_most=5.0))


def _below(points: float, age: int) -> Row:
    return aimed(row(f"moved below every frame labelled, {age} frames", [points], "of mIoU"), at_most=MOST_BELOW[age])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="default: the demo, int8 513x1025")
    parser.add_argument("--clip", help="a film; what the model says of every frame counts as true")
    parser.add_argument("--frames", type=int, default=8 * LENGTH, help="of the film")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    segmenter = Segmenter(options.model or demo((513, 1025)))
    classes = len(segmenter.card.classes)
    if options.clip is None:
        with benchmark("motion", "Labels that are some frames old, on generated drives") as entry:
            entry.about = (
                f"mIoU against the exact labels of {len(SEEDS)} drives, {segmenter.path.name}, {RATE} frames a "
                f"second, {len(STARTS)} labelled frames of each drive; below {FAST_MPS:g} m/s are those in towns."
            )
            fill(entry, measure(drives(SEEDS, segmenter), classes), with_targets=True)
        return
    with benchmark("motion-film", "Labels that are some frames old, on a real film") as entry:
        entry.about = (
            f"mIoU against what {segmenter.path.name} says of every frame of {Path(options.clip).name}, at 720p. That "
            "is not the truth: where the network sees an edge beside that of the frame, snapping to it counts as wrong."
        )
        fill(entry, measure(clip(options.clip, segmenter, options.frames), classes), with_targets=False)


if __name__ == "__main__":
    main()
