"""Frames to calibrate and to verify with: real ones, evenly spread, never the same for both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.data import Frame, Ids, Pixels
from edge.errors import SourceError
from edge.preprocess import Normalisation, resize
from edge.progress import Track, silent
from edge.scene import DEMO_RATE, DEMO_SEED, Scene
from edge.sources import open_source
from edge.sources.demo import DEMO_HW, DEMO_SECONDS

SEED = 2018


@dataclass(frozen=True, slots=True)
class Sample:
    pixels: Pixels
    truth: Ids | None  # same height and width; where the source knows it
    source: str
    index: int


@dataclass(frozen=True, slots=True)
class Samples:
    calibration: list[Sample]
    held_out: list[Sample]

    def provenance(self) -> dict[str, Any]:
        """For the card: which frames served for what."""
        return {
            "seed": SEED,
            "calibration": _indexes(self.calibration),
            "held_out": _indexes(self.held_out),
        }


def _indexes(samples: list[Sample]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for sample in samples:
        found.setdefault(sample.source, []).append(sample.index)
    return found


def collect(
    specs: list[str], input_hw: tuple[int, int], *, calibrate: int, verify: int, track: Track = silent
) -> Samples:  # fmt: skip
    """Takes `calibrate` and `verify` frames from the sources together, evenly over each.

    Calibration frames come at the model's input size, held-out ones as they are. Raises SourceError when the
    sources hold too few frames for both.
    """
    share = -(-(calibrate + verify) // len(specs))
    chosen = [sample for spec in specs for sample in _spread(spec, share, track)]
    if len(chosen) < 2:
        raise SourceError(
            f"{', '.join(specs)}: {len(chosen)} frame is too few to calibrate and verify with, give 2 or more"
        )
    order = np.random.default_rng(SEED).permutation(len(chosen))
    wanted = max(1, min(verify, len(chosen) // 3))
    held_out = [chosen[i] for i in sorted(order[:wanted])]
    rest = [chosen[i] for i in sorted(order[wanted : wanted + calibrate])]
    small = [Sample(np.ascontiguousarray(resize(s.pixels, input_hw)), None, s.source, s.index) for s in rest]
    return Samples(small, held_out)


def _spread(spec: str, count: int, track: Track) -> list[Sample]:
    if spec == "demo":
        return _demo(count, track)
    with closing(open_source(spec)) as source:
        name = Path(source.info.name).name  # a card tells no one's folders
        frames_read = track(source, f"reading {name}", source.info.frame_count)
        return [Sample(f.pixels, None, name, f.index) for f in evenly(frames_read, count)]


def _demo(count: int, track: Track) -> list[Sample]:
    """Frames of the demo clip with their truth, drawn one by one where they are wanted."""
    scene, frames = Scene(DEMO_SEED), int(DEMO_SECONDS * DEMO_RATE)
    indexes = np.unique(np.linspace(0, frames - 1, count).round().astype(int))
    samples = []
    for index in track(indexes.tolist(), "drawing demo frames", len(indexes)):
        pixels, truth = scene.draw(float(index / DEMO_RATE), DEMO_HW)
        samples.append(Sample(pixels, truth, "demo", index))
    return samples


def evenly(frames: Iterable[Frame], count: int) -> list[Frame]:
    """About `count` frames, evenly spaced, from a stream of unknown length in bounded memory.

    Keeps every k-th frame; when twice as many as wanted are held, drops every other one and doubles k.
    """
    kept: list[Frame] = []
    step = 1
    for position, frame in enumerate(frames):
        if position % step:
            continue
        kept.append(frame)
        if len(kept) == 2 * count:
            kept, step = kept[::2], step * 2
    if len(kept) <= count:
        return kept
    return [kept[i] for i in np.linspace(0, len(kept) - 1, count).round().astype(int)]


def normalised(pixels: Pixels, norm: Normalisation) -> NDArray[np.float32]:
    """(H, W, 3) uint8 -> (1, H, W, 3) float32, what the network was trained on."""
    return ((pixels.astype(np.float32) - np.float32(norm.mean)) / np.float32(norm.std))[None]


def tensors(samples: list[Sample], norm: Normalisation, track: Track = silent) -> Iterator[NDArray[np.float32]]:
    """Calibration input, one tensor at a time."""
    for sample in track(samples, "calibrating", len(samples)):
        yield normalised(sample.pixels, norm)
