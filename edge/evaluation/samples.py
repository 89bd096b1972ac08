"""Reads pictures with their truth, one after the other, from whatever holds them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np

from edge.address import public
from edge.data import Pixels
from edge.errors import SourceError, UsageError
from edge.evaluation.datasets import KNOWN, labelling_for
from edge.evaluation.labelling import Labelling, LabelPicture, decode
from edge.evaluation.pairing import labels_in, pair
from edge.scene import DEMO_RATE, DEMO_SEED, Scene
from edge.sources.demo import DEMO_HW, DEMO_SECONDS
from edge.sources.images import picture_files, pictures_in, read_picture
from edge.sources.open import open_source

Indices = range | tuple[int, ...]
"""Which pictures of a set are taken, ascending; a range may reach beyond its end."""

ALL = range(sys.maxsize)
DEMO_FRAMES = DEMO_SECONDS * round(DEMO_RATE)
ASK = Labelling("reference")  # the truth is not known; a reference will be asked


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture that is not read yet. `read` may be called by any thread, and raises SourceError."""

    name: str
    read: Callable[[], tuple[Pixels, LabelPicture | None]]  # truth None where the set knows none


@dataclass(frozen=True, slots=True)
class SampleSet:
    """A set of pictures with truth; `each` goes through it, in order."""

    name: str
    labelling: Labelling
    count: int | None  # of the pictures that will come, None when unknown
    each: Callable[[], Iterator[Sample]]


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


def open_samples(source: str, labels: Path | None, mapping: str = "auto", indices: Indices = ALL) -> SampleSet:
    """Opens the pictures of `source` (a folder, a pattern, a picture, a video or `demo`) with the label files in
    `labels`.

    Pictures have labels of the same name, see `edge.evaluation.pairing.pair`; the frames of a video have the label
    files in the order of their names. Without `labels` the demo knows its own truth, and nothing else does.

    Raises SourceError where pictures or labels are not there, cannot be read, or do not belong together, UsageError
    where the mapping, or these options together, make no sense.
    """
    if source == "demo":
        if labels is not None:
            raise UsageError("the demo knows its own truth; leave one of them out", "labels")
        return demo(indices)
    pictures = _pictures(source)
    if labels is None:
        return _without_truth(source, pictures, indices)
    if pictures is None:
        return _video(source, labels, mapping, indices)
    pairs = pair(pictures if isinstance(pictures, list) else Path(source), labels, mapping)
    chosen = [pairs[index] for index in _within(indices, len(pairs), "pictures with labels")]
    samples = [Sample(_name(source, found.image), partial(_read, found.image, found.label)) for found in chosen]
    return SampleSet(source, labelling_of(mapping, [p.label for p in pairs]), len(chosen), lambda: iter(samples))


def demo(indices: Indices = ALL) -> SampleSet:
    """Returns the demo clip of 10 s, whose truth is drawn with it."""
    scene, one_at_a_time = Scene(DEMO_SEED), Lock()

    def draw(index: int) -> tuple[Pixels, LabelPicture]:
        with one_at_a_time:
            pixels, ids = scene.draw(float(index / DEMO_RATE), DEMO_HW)
        return pixels, LabelPicture(ids, None)

    chosen = _within(indices, DEMO_FRAMES, "frames")
    samples = [Sample(f"demo {index}", partial(draw, index)) for index in chosen]
    return SampleSet("demo", KNOWN["cityscapes"], len(chosen), lambda: iter(samples))


def _pictures(source: str) -> Path | list[Path] | None:
    """Returns the folder or the files that `source` names; None for a video."""
    if Path(source).is_dir():
        return Path(source)
    pictures = picture_files(source)
    if pictures is None and not Path(source).is_file():
        expected = "a folder, a picture, a pattern like 'd/*.jpg', a video or demo"
        raise SourceError(f"{public(source)}: not found; expected {expected}")
    return pictures


def evenly(length: int, count: int) -> list[int]:
    """Returns `count` places from the first to the last of `length`, all of them where there are no more."""
    return [round(i) for i in np.linspace(0, length - 1, min(count, length))]


def _read(image: Path, label: Path | None) -> tuple[Pixels, LabelPicture | None]:
    return read_picture(image), None if label is None else decode(label)


def _name(source: str, image: Path) -> str:
    return str(image.relative_to(source)) if image.is_relative_to(source) and image != Path(source) else image.name


def _video(source: str, folder: Path, mapping: str, indices: Indices) -> SampleSet:
    files = labels_in(folder)
    chosen = _within(indices, len(files), "label files")
    with closing(open_source(source)):  # complains now
        pass

    def each() -> Iterator[Sample]:
        for index, pixels in _frames(source, chosen):
            yield Sample(files[index].name, partial(_decoded, pixels, files[index]))

    return SampleSet(source, labelling_of(mapping, files), len(chosen), each)


def labelling_of(mapping: str, files: Sequence[Path]) -> Labelling:
    """Returns the labelling that the first file that can be read lets guess, where that is asked for."""
    for file in files[:-1]:
        with suppress(SourceError):
            return labelling_for(mapping, file)
    return labelling_for(mapping, files[-1])


def _decoded(pixels: Pixels, label: Path | None) -> tuple[Pixels, LabelPicture | None]:
    return pixels, None if label is None else decode(label)


def _without_truth(source: str, pictures: Path | list[Path] | None, indices: Indices) -> SampleSet:
    if pictures is not None:
        files = pictures if isinstance(pictures, list) else pictures_in(pictures)
        chosen = [files[index] for index in _within(indices, len(files), "pictures")]
        samples = [Sample(_name(source, image), partial(_read, image, None)) for image in chosen]
        return SampleSet(source, ASK, len(chosen), lambda: iter(samples))
    with closing(open_source(source)) as opened:
        count = opened.info.frame_count

    def each() -> Iterator[Sample]:
        for index, pixels in _frames(source, indices):
            yield Sample(f"{Path(source).name} {index}", partial(_decoded, pixels, None))

    return SampleSet(source, ASK, None if count is None else len(_within(indices, count, "frames")), each)


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
