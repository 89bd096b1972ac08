"""Collects frames to calibrate and to verify with: real ones, evenly spread, never the same for both."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.suspicious_frames import Look, look
from edge.classes import ClassSet
from edge.data import Ids, Pixels
from edge.errors import SinkError, SourceError, UsageError
from edge.evaluation.labelling import read_truth
from edge.evaluation.pairing import pair
from edge.evaluation.samples import demo, evenly, labelling_of
from edge.preprocess import Normalisation, resize
from edge.progress import Track, silent
from edge.sources.folders import name_in, picture_files
from edge.sources.images import read_picture
from edge.sources.left_out import LeftOut
from edge.sources.open import open_source
from edge.text import counted, quiet

SEED = 2018


@dataclass(frozen=True, slots=True)
class Sample:
    """A frame, and its labels where they are known."""

    pixels: Pixels
    truth: Ids | None  # same height and width; where the source knows it
    source: str
    index: int


@dataclass(frozen=True, slots=True)
class Samples:
    """The frames of one conversion."""

    calibration: list[Sample]  # pixels are mapped from a file: they take no memory until they are looked at
    held_out: list[Sample]
    left_out: LeftOut  # files of the sources
    looks: tuple[Look, ...] = ()  # of all frames, as they came from their sources


def places_in_sources(samples: list[Sample]) -> dict[str, tuple[int, ...]]:
    """Returns the places of samples in their sources, which a card tells."""
    places_of: dict[str, list[int]] = {}
    for sample in samples:
        places_of.setdefault(sample.source, []).append(sample.index)
    return {source: tuple(places) for source, places in places_of.items()}


class Truths:
    """The label files of the pictures in folders. Raises SourceError, UsageError for labels that fit nothing."""

    def __init__(self, folder: Path, specs: list[str], classes: ClassSet) -> None:
        pictures = [path for spec in specs for path in picture_files(spec, deep=True) or []]
        if not pictures:
            raise UsageError(f"{folder}: labels need pictures, name some with `calibrate`", "labels_dir")
        pairs = pair(pictures, folder)
        self._labels = {p.image: p.label for p in pairs}
        self._labelling, self._classes = labelling_of("auto", [p.label for p in pairs]), classes

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
    say: Callable[[str], None] = quiet,
    strict: bool = False,
) -> Samples:
    """Takes `calibrate` and `verify` frames from the sources together, evenly over each.

    Calibration frames come at the model's input size, held-out ones as they are. Where the sources hold fewer
    frames than asked for, a third of them is held out. Pictures that cannot be read are left out, unless `strict`.
    `say` gets a line where a video is cut off.

    Raises SourceError when there is no frame for one of the purposes, SinkError when the disk is full.
    """
    held_out, held, kept, looks, left_out = [], set(), [], list[Look](), LeftOut()
    sources = [FrameSource(spec, truths, left_out, strict, say) for spec in dict.fromkeys(specs)]
    with tempfile.TemporaryFile(buffering=0) as file:
        for source, roles in zip(sources, _plan(sources, calibrate, verify, track), strict=True):
            for index, sample in track(source.read(roles), f"reading {source.spec}", len(roles)):
                looks.append(look(sample.pixels, sample.source))
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
    if not held_out or (calibrate and not calibration):
        found = len(held | {digest for digest, *_ in kept})
        again, unread = len(held_out) + len(kept) - found, left_out.unreadable
        why = f"; {len(unread)} could not be read, the first: {': '.join(unread[0])}" if unread else ""
        copies = f" and {counted(again, 'duplicate')}, which cannot serve for both" if again else ""
        raise SourceError(
            f"{', '.join(specs)}: expected a frame to calibrate and another one to verify, found {found}{copies}{why}"
        )
    return Samples(calibration, held_out, left_out, tuple(looks))


def _plan(sources: list[FrameSource], calibrate: int, verify: int, track: Track) -> list[dict[int, bool]]:
    """Returns of each source the indexes of the frames to read, and whether they are held out."""
    share = -(-(calibrate + verify) // len(sources))
    chosen = [(which, index) for which, source in enumerate(sources) for index in evenly(source.length(track), share)]
    order = np.random.default_rng(SEED).permutation(len(chosen))
    held = max(1, min(verify, max(len(chosen) // 3, len(chosen) - calibrate)))
    plan: list[dict[int, bool]] = [{} for _ in sources]
    for place, at in enumerate(order[: held + calibrate]):
        which, index = chosen[at]
        plan[which][index] = place < held
    return plan


class FrameSource:
    """One source that frames are picked from."""

    def __init__(
        self, spec: str, truths: Truths | None, left_out: LeftOut, strict: bool, say: Callable[[str], None] = quiet
    ) -> None:
        self.spec, self._truths, self._say = spec, truths, say
        self._paths = picture_files(spec, deep=truths is not None, left_out=left_out)
        self._left_out, self._strict = left_out, strict

    def length(self, track: Track) -> int:
        if self._paths is not None:
            return len(self._paths)
        with closing(open_source(self.spec, say=self._say)) as source:
            if source.info.live:
                raise UsageError(f"{source.info.name}: a camera or stream has no end to choose from; record it first")
            return source.info.frame_count or sum(1 for _ in track(source, f"counting the frames of {self.spec}"))

    def read(self, roles: dict[int, bool]) -> Iterator[tuple[int, Sample]]:
        """Yields the frames with these indexes; held-out ones (True) with their truth, where it is known."""
        if self.spec == "demo":
            return self._draw(sorted(roles))
        return self._decode(sorted(roles)) if self._paths is None else self._open(self._paths, roles)

    def _draw(self, chosen: list[int]) -> Iterator[tuple[int, Sample]]:
        """Yields frames of the demo clip with their labels, which a source of frames does not tell."""
        for index, sample in zip(chosen, demo(tuple(chosen)).each(), strict=True):
            pixels, label = sample.read()
            yield index, Sample(pixels, None if label is None else label.ids, "demo", index)

    def _open(self, paths: list[Path], roles: dict[int, bool]) -> Iterator[tuple[int, Sample]]:
        for index in sorted(roles):
            try:
                pixels = read_picture(paths[index])
                truth = self._truths.of(paths[index]) if self._truths and roles[index] else None
            except SourceError as exc:
                if self._strict or Path(self.spec).is_file():
                    raise
                self._left_out.add(name_in(self.spec, paths[index]), exc)
                continue
            name = Path(self.spec).name or self.spec  # a card tells no one's folders
            yield index, Sample(pixels, truth, name, index)

    def _decode(self, chosen: list[int]) -> Iterator[tuple[int, Sample]]:
        """Yields frames of a video; where one cannot be decoded, the next one."""
        with closing(open_source(self.spec)) as source:
            name = Path(source.info.name).name or self.spec
            todo = iter(chosen)
            index = next(todo, None)
            for frame in source:
                if index is None:
                    return
                if frame.index >= index:
                    yield index, Sample(frame.pixels, None, name, frame.index)
                    index = next(todo, None)


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
    """Returns (H, W, 3) uint8 as (1, H, W, 3) float32, which is what the network was trained on."""
    return norm.real(pixels.astype(np.float32))[None]


class CalibrationTensors:
    """The input to calibrate with, float32 (1, H, W, 3), one tensor at a time and as often as it is gone through."""

    def __init__(
        self, samples: list[Sample], norm: Normalisation, track: Track = silent, what: str = "calibrating"
    ) -> None:
        self._samples, self._norm, self._track, self._what = samples, norm, track, what

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for sample in self._track(self._samples, self._what, len(self._samples)):
            yield normalised(sample.pixels, self._norm)
