"""Reads pictures with their truth, one after the other, from whatever holds them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import TypeVar

import numpy as np

from edge.data import Pixels
from edge.errors import SourceError, UsageError
from edge.evaluation.datasets import KNOWN, labelling_for
from edge.evaluation.labelling import Labelling, LabelPicture, decode_labels, label_bytes
from edge.evaluation.pairing import labels_in, pair
from edge.scene import DEMO_RATE, DEMO_SEED, Scene
from edge.sources.demo import DEMO_HW, DEMO_SECONDS
from edge.sources.folders import name_in, pictures_in, pictures_or_folder
from edge.sources.images import decode_picture, picture_bytes
from edge.sources.left_out import LeftOut
from edge.sources.open import open_source
from edge.text import quiet

T = TypeVar("T")
Indices = range | tuple[int, ...]
"""Which pictures of a set are taken, ascending; a range may reach beyond its end."""

ALL = range(sys.maxsize)
DEMO_FRAMES = DEMO_SECONDS * round(DEMO_RATE)
_ONE_AT_A_TIME = Lock()  # the demo's scene is drawn by one thread
ASK = Labelling("reference")  # the truth is not known; a reference will be asked


PictureAndTruth = tuple[Pixels, LabelPicture | None]
"""A picture and its labels; None where the set knows none."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture that is not read yet. `read` may be called by any thread, and raises SourceError.

    `pack`, where it has one, returns another `read`, which holds the bytes of its files.
    """

    name: str
    read: Callable[[], PictureAndTruth]
    pack: Callable[[], Callable[[], PictureAndTruth]] | None = None

    def packed(self) -> Sample:
        """Returns a sample that can be read on another machine; what cannot be read raises there what it would here."""
        return self if self.pack is None else Sample(self.name, self.pack())


@dataclass(frozen=True, slots=True)
class SampleSet:
    """A set of pictures with truth; `each` goes through it, in order. `left_out` is told of files not taken."""

    name: str
    labelling: Labelling
    count: int | None  # of the pictures that will come, None when unknown
    each: Callable[[], Iterator[Sample]]
    files: tuple[Path, ...] = ()  # pictures, videos and label files that are read
    left_out: LeftOut = field(default_factory=LeftOut)


def parse_indices(text: str) -> Indices:
    """Reads `10,35,60` or Python's `start:stop:step`, any of them left out. Raises UsageError."""
    parts = text.split(":")
    try:
        if len(parts) == 1:
            indices: Indices = tuple(sorted({int(part) for part in text.split(",")}))
        else:
            start, stop, step = ((*parts, "") if len(parts) == 2 else parts)[:3]
            indices = range(int(start or 0), int(stop or sys.maxsize), int(step or 1))
    except ValueError as exc:
        raise UsageError(f"expected 10,35,60 or start:stop:step, got {text!r}", "frames") from exc
    if len(parts) > 3 or not indices or indices[0] < 0 or indices[0] > indices[-1]:
        raise UsageError(f"expected 10,35,60 or start:stop:step, ascending from 0, got {text!r}", "frames")
    return indices


def open_samples(
    source: str,
    labels: Path | None,
    mapping: str = "auto",
    indices: Indices = ALL,
    say: Callable[[str], None] = quiet,
) -> SampleSet:
    """Opens the pictures of `source` (a folder, a pattern, a picture, a video or `demo`) with the label files in
    `labels`.

    Pictures have labels of the same name, see `edge.evaluation.pairing.pair`; the frames of a video have the label
    files in the order of their names. Without `labels` the demo knows its own truth, and nothing else does. `say` gets
    a line where a video is cut off.

    Raises SourceError where pictures or labels are not there, cannot be read, or do not belong together, UsageError
    where the mapping, or these options together, make no sense.
    """
    if source == "demo":
        if labels is not None:
            raise UsageError("the demo knows its own truth; leave one of them out", "labels")
        return demo(indices)
    left_out = LeftOut()
    pictures = pictures_or_folder(source, left_out)
    if labels is None:
        return _without_truth(source, pictures, indices, left_out, say)
    if pictures is None:
        return _video(source, labels, mapping, indices, say)
    pairs = pair(pictures, labels, mapping, left_out)
    chosen = [pairs[index] for index in _within(indices, len(pairs), "pictures with labels")]
    left_out.asked = len(chosen)
    samples = [_sample(name_in(source, found.image), found.image, found.label) for found in chosen]
    labelling = labelling_of(mapping, [one.label for one in pairs])
    files = tuple(path for found in chosen for path in (found.image, found.label))
    return SampleSet(source, labelling, len(chosen), lambda: iter(samples), files, left_out)


def demo(indices: Indices = ALL) -> SampleSet:
    """Returns the demo clip of 10 s, whose truth is drawn with it."""
    chosen = _within(indices, DEMO_FRAMES, "frames")
    samples = [Sample(f"demo {index}", partial(_drawn, index)) for index in chosen]
    return SampleSet("demo", KNOWN["cityscapes"], len(chosen), lambda: iter(samples))


def _drawn(index: int) -> PictureAndTruth:
    with _ONE_AT_A_TIME:
        pixels, ids = _scene().draw(float(index / DEMO_RATE), DEMO_HW)
    return pixels, LabelPicture(ids, None)


@lru_cache(maxsize=1)
def _scene() -> Scene:
    return Scene(DEMO_SEED)


def evenly(length: int, count: int) -> list[int]:
    """Returns `count` places from the first to the last of `length`, all of them where there are no more."""
    return [round(i) for i in np.linspace(0, length - 1, min(count, length))]


@dataclass(frozen=True, slots=True)
class _File:
    """A file that was read; what is wrong with it is told where it is decoded."""

    path: Path
    data: bytes | SourceError

    def decoded(self, decode: Callable[[Path, bytes], T]) -> T:
        if isinstance(self.data, SourceError):
            raise self.data
        return decode(self.path, self.data)


def _file(path: Path, read: Callable[[Path], bytes]) -> _File:
    try:
        return _File(path, read(path))
    except SourceError as exc:
        return _File(path, exc)


def _sample(name: str, image: Path | Pixels, label: Path | None) -> Sample:
    return Sample(name, partial(_read, image, label), partial(_packed, image, label))


def _read(image: Path | Pixels, label: Path | None) -> PictureAndTruth:
    return _packed(image, label)()


def _packed(image: Path | Pixels, label: Path | None) -> Callable[[], PictureAndTruth]:
    picture = _file(image, picture_bytes) if isinstance(image, Path) else image
    return partial(_decoded, picture, None if label is None else _file(label, label_bytes))


def _decoded(picture: _File | Pixels, label: _File | None) -> PictureAndTruth:
    pixels = picture.decoded(decode_picture) if isinstance(picture, _File) else picture
    return pixels, None if label is None else label.decoded(decode_labels)


def _video(source: str, folder: Path, mapping: str, indices: Indices, say: Callable[[str], None]) -> SampleSet:
    files = labels_in(folder)
    chosen = _within(indices, len(files), "label files")
    with closing(open_source(source, say=say)):  # complains now
        pass

    def each() -> Iterator[Sample]:
        for index, pixels in _frames(source, chosen):
            yield _sample(files[index].name, pixels, files[index])

    return SampleSet(source, labelling_of(mapping, files), len(chosen), each, (Path(source), *files))


def labelling_of(mapping: str, files: Sequence[Path]) -> Labelling:
    """Returns the labelling that the first file that can be read lets guess, where that is asked for."""
    for file in files[:-1]:
        with suppress(SourceError):
            return labelling_for(mapping, file)
    return labelling_for(mapping, files[-1])


def _without_truth(
    source: str,
    pictures: Path | list[Path] | None,
    indices: Indices,
    left_out: LeftOut,
    say: Callable[[str], None],
) -> SampleSet:
    if pictures is not None:
        files = pictures if isinstance(pictures, list) else pictures_in(pictures, left_out)
        chosen = [files[index] for index in _within(indices, len(files), "pictures")]
        left_out.asked = len(chosen)
        samples = [_sample(name_in(source, image), image, None) for image in chosen]
        return SampleSet(source, ASK, len(chosen), lambda: iter(samples), tuple(files), left_out)
    with closing(open_source(source, say=say)) as opened:
        count = opened.info.frame_count

    def each() -> Iterator[Sample]:
        for index, pixels in _frames(source, indices):
            yield _sample(f"{Path(source).name} {index}", pixels, None)

    chosen_count = None if count is None else len(_within(indices, count, "frames"))
    return SampleSet(source, ASK, chosen_count, each, (Path(source),))


def _frames(source: str, indices: Indices) -> Iterator[tuple[int, Pixels]]:
    with closing(open_source(source)) as opened:
        for frame in opened:
            if frame.index > indices[-1]:
                return
            if frame.index in indices:
                yield frame.index, frame.pixels


def _within(indices: Indices, count: int, what: str) -> tuple[int, ...]:
    chosen = tuple(i for i in range(count) if i in indices)
    if not chosen:
        raise UsageError(f"none of the {count} {what} is chosen", "frames")
    return chosen
