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

from edge.classes import ClassSet
from edge.data import Ids, Pixels
from edge.errors import SinkError, SourceError, UsageError
from edge.evaluation.datasets import labelling_for
from edge.evaluation.labelling import read_truth
from edge.evaluation.pairing import pair, pictures_in
from edge.preprocess import Normalisation, resize
from edge.progress import Track, silent
from edge.sources.demo import DEMO_HW
from edge.sources.images import SUFFIXES, in_folder, matching, read_picture
from edge.sources.open import open_source

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
    unreadable: list[str]  # pictures that were left out, each with the reason

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


class Truths:
    """Label files of the pictures in folders. Raises SourceError, UsageError for labels that fit nothing."""

    def __init__(self, folder: Path, specs: list[str], classes: ClassSet) -> None:
        pictures = [path for spec in specs for path in pictures_of(spec, deep=True) or []]
        if not pictures:
            raise UsageError(f"--labels-dir {folder}: labels need pictures, name some with --calibrate")
        pairs = pair(pictures, folder)
        self._labels = {p.image: p.label for p in pairs}
        self._labelling, self._classes = labelling_for("auto", pairs[0].label), classes

    def of(self, picture: Path) -> Ids | None:
        label = self._labels.get(picture)
        return None if label is None else read_truth(label, self._labelling, self._classes)


def collect(
    specs: list[str],
    input_hw: tuple[int, int],
    *,
    calibrate: int,
    verify: int,
    truths: Truths | None = None,
    track: Track = silent,
) -> Samples:
    """Takes `calibrate` and `verify` frames from the sources together, evenly over each.

    Calibration frames come at the model's input size, held-out ones as they are. Where the sources hold fewer
    frames than asked for, a third of them is held out. Pictures that cannot be read are left out.

    Raises SourceError when there is no frame for one of the purposes, SinkError when the disk is full.
    """
    held_out, held, kept = [], set(), []
    sources = [Frames(spec, truths) for spec in dict.fromkeys(specs)]
    with tempfile.TemporaryFile(buffering=0) as file:
        for source, roles in zip(sources, _plan(sources, calibrate, verify, track), strict=True):
            for index, sample in track(source.read(roles), f"reading {source.spec}", len(roles)):
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
        Sample(np.asarray(small[row]), None, name, index)
        for row, (digest, name, index) in enumerate(kept)
        if small is not None and digest not in held
    ]
    unreadable = [reason for source in sources for reason in source.unreadable]
    if not held_out or (calibrate and not calibration):
        found = len(held | {digest for digest, *_ in kept})
        why = f"; {len(unreadable)} could not be read, the first: {unreadable[0]}" if unreadable else ""
        raise SourceError(
            f"{', '.join(specs)}: expected a frame to calibrate and another one to verify, found {found}{why}"
        )
    return Samples(calibration, held_out, unreadable)


def _plan(sources: list[Frames], calibrate: int, verify: int, track: Track) -> list[dict[int, bool]]:
    """Of each source the indexes of the frames to read, and whether they are held out."""
    share = -(-(calibrate + verify) // len(sources))
    chosen = [(which, index) for which, source in enumerate(sources) for index in evenly(source.length(track), share)]
    order = np.random.default_rng(SEED).permutation(len(chosen))
    held = max(1, min(verify, max(len(chosen) // 3, len(chosen) - calibrate)))
    plan: list[dict[int, bool]] = [{} for _ in sources]
    for place, at in enumerate(order[: held + calibrate]):
        which, index = chosen[at]
        plan[which][index] = place < held
    return plan


class Frames:
    """One source that frames are picked from."""

    def __init__(self, spec: str, truths: Truths | None) -> None:
        self.spec, self._truths = spec, truths
        self._paths = pictures_of(spec, deep=truths is not None)
        self.unreadable: list[str] = []

    def length(self, track: Track) -> int:
        if self._paths is not None:
            return len(self._paths)
        with closing(open_source(self.spec)) as source:
            if source.info.live:
                raise UsageError(f"{source.info.name}: a camera or stream has no end to choose from; record it first")
            return source.info.frame_count or sum(1 for _ in track(source, f"counting the frames of {self.spec}"))

    def read(self, roles: dict[int, bool]) -> Iterator[tuple[int, Sample]]:
        """The frames with these indexes; held-out ones (True) with their truth, where it is known."""
        if self.spec == "demo":
            return _draw(sorted(roles))
        return self._decode(sorted(roles)) if self._paths is None else self._open(self._paths, roles)

    def _open(self, paths: list[Path], roles: dict[int, bool]) -> Iterator[tuple[int, Sample]]:
        for index in sorted(roles):
            try:
                pixels = read_picture(paths[index])
            except SourceError as exc:
                self.unreadable.append(str(exc))
                continue
            truth = self._truths.of(paths[index]) if self._truths and roles[index] else None
            yield (
                index,
                Sample(pixels, truth, Path(self.spec).name or self.spec, index),
            )  # a card tells no one's folders

    def _decode(self, wanted: list[int]) -> Iterator[tuple[int, Sample]]:
        """Where a frame of a video cannot be decoded, the next one."""
        with closing(open_source(self.spec)) as source:
            name = Path(source.info.name).name or self.spec
            todo = iter(wanted)
            index = next(todo, None)
            for frame in source:
                if index is None:
                    return
                if frame.index >= index:
                    yield index, Sample(frame.pixels, None, name, frame.index)
                    index = next(todo, None)


def pictures_of(spec: str, *, deep: bool) -> list[Path] | None:
    """The picture files of a folder (`deep`: and those within), a pattern or a picture; None for other sources."""
    path = Path(spec)
    if path.is_dir():
        return pictures_in(path) if deep else in_folder(path)
    if path.is_file():
        return [path] if path.suffix.lower() in SUFFIXES else None
    return matching(spec) if any(char in spec for char in "*?[") else None


def evenly(length: int, count: int) -> list[int]:
    """`count` indexes from the first to the last of `length` frames, all of them where there are no more."""
    return [round(i) for i in np.linspace(0, length - 1, min(count, length))]


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
