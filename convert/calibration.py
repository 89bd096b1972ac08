"""Frames to calibrate and to verify with: real ones, evenly spread, never the same for both."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.data import Ids, Pixels
from edge.errors import SinkError, SourceError
from edge.preprocess import Normalisation, resize
from edge.progress import Track, silent
from edge.sources import open_source
from edge.sources.demo import DEMO_HW

SEED = 2018


@dataclass(frozen=True, slots=True)
class Sample:
    pixels: Pixels
    truth: Ids | None  # same height and width; where the source knows it
    source: str
    index: int


@dataclass(frozen=True, slots=True)
class Samples:
    calibration: list[Sample]  # pixels are mapped from a file: they take no memory until they are looked at
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

    Calibration frames come at the model's input size, held-out ones as they are. Where the sources hold fewer
    frames than asked for, a third of them is held out.

    Raises SourceError when there is no frame for one of the purposes, SinkError when the disk is full.
    """
    held_out, held, kept = [], set(), []
    with tempfile.TemporaryFile(buffering=0) as file:
        for spec, roles in _plan(list(dict.fromkeys(specs)), calibrate, verify, track).items():
            for index, sample in track(_read(spec, sorted(roles)), f"reading {spec}", len(roles)):
                digest = sha256(np.ascontiguousarray(sample.pixels).data).digest()
                if roles[index]:
                    held_out.append(sample)
                    held.add(digest)
                else:
                    _write(file, np.ascontiguousarray(resize(sample.pixels, input_hw)))
                    kept.append((digest, sample.source, sample.index))
        small = np.memmap(file, np.uint8, "r", shape=(len(kept), *input_hw, 3)) if kept else None
    # A still, or a picture given twice, must not serve for both.
    calibration = [
        Sample(np.asarray(small[row]), None, source, index)
        for row, (digest, source, index) in enumerate(kept)
        if small is not None and digest not in held
    ]
    if not held_out or (calibrate and not calibration):
        found = len(held | {digest for digest, *_ in kept})
        raise SourceError(f"{', '.join(specs)}: expected a frame to calibrate and another one to verify, found {found}")
    return Samples(calibration, held_out)


def _plan(specs: list[str], calibrate: int, verify: int, track: Track) -> dict[str, dict[int, bool]]:
    """Of each source the indexes of the frames to read, and whether they are held out."""
    share = -(-(calibrate + verify) // len(specs))
    chosen = [(spec, index) for spec in specs for index in evenly(_length(spec, track), share)]
    order = np.random.default_rng(SEED).permutation(len(chosen))
    held = max(1, min(verify, max(len(chosen) // 3, len(chosen) - calibrate)))
    plan: dict[str, dict[int, bool]] = {spec: {} for spec in specs}
    for place, which in enumerate(order[: held + calibrate]):
        spec, index = chosen[which]
        plan[spec][index] = place < held
    return plan


def _length(spec: str, track: Track) -> int:
    with closing(open_source(spec)) as source:
        return source.info.frame_count or sum(1 for _ in track(source, f"counting the frames of {spec}"))


def evenly(length: int, count: int) -> list[int]:
    """`count` indexes from the first to the last of `length` frames, all of them where there are no more."""
    return [round(i) for i in np.linspace(0, length - 1, min(count, length))]


def _read(spec: str, wanted: list[int]) -> Iterator[tuple[int, Sample]]:
    """The frames with the ascending indexes `wanted`; where one cannot be decoded, the next one."""
    if spec == "demo":
        yield from _draw(wanted)
        return
    with closing(open_source(spec)) as source:
        name = Path(source.info.name).name or spec  # a card tells no one's folders
        todo = iter(wanted)
        index = next(todo, None)
        for frame in source:
            if index is None:
                return
            if frame.index >= index:
                yield index, Sample(frame.pixels, None, name, frame.index)
                index = next(todo, None)


def _draw(wanted: list[int]) -> Iterator[tuple[int, Sample]]:
    """Frames of the demo clip with their labels, which a source of frames does not tell."""
    from edge.scene import DEMO_RATE, DEMO_SEED, Scene

    scene = Scene(DEMO_SEED)
    for index in wanted:
        pixels, truth = scene.draw(float(index / DEMO_RATE), DEMO_HW)
        yield index, Sample(pixels, truth, "demo", index)


def _write(file: Any, pixels: Pixels) -> None:
    try:
        left = pixels.data.cast("B")
        while left:
            left = left[file.write(left) :]
    except OSError as exc:
        raise SinkError(
            f"{tempfile.gettempdir()}: cannot hold the calibration frames ({exc.strerror}); free some space, "
            "set TMPDIR or ask for fewer frames"
        ) from exc


def normalised(pixels: Pixels, norm: Normalisation) -> NDArray[np.float32]:
    """(H, W, 3) uint8 -> (1, H, W, 3) float32, what the network was trained on."""
    return ((pixels.astype(np.float32) - np.float32(norm.mean)) / np.float32(norm.std))[None]


class Tensors:
    """Calibration input, float32 (1, H, W, 3), one tensor at a time and as often as it is gone through."""

    def __init__(self, samples: list[Sample], norm: Normalisation, track: Track = silent) -> None:
        self._samples, self._norm, self._track = samples, norm, track

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for sample in self._track(self._samples, "calibrating", len(self._samples)):
            yield normalised(sample.pixels, self._norm)
