"""Prepares the pictures that every candidate gets, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge.address import public
from edge.classes import CITYSCAPES, ClassSet
from edge.data import Ids, Pixels
from edge.errors import SourceError, UsageError
from edge.evaluation.labelling import Labelling, read_truth
from edge.evaluation.pairing import pair
from edge.evaluation.samples import DEMO_FRAMES, demo, evenly, labelling_of
from edge.progress import Track, silent
from edge.sources.images import picture_files, read_picture
from edge.sources.open import open_source

FARTHEST = 30  # frames of a video between two that are taken: looking further costs decoding


@dataclass(slots=True)
class Frames:
    """Pictures as .npy files in `folder`, uint8 (H, W, 3) each, so that no two candidates read other pixels."""

    folder: Path
    names: list[str] = field(default_factory=list)
    _drawn: dict[str, Ids] = field(default_factory=dict)  # truth in Cityscapes' ids
    _labelled: dict[str, Path] = field(default_factory=dict)  # truth in files
    _labelling: Labelling | None = None

    def add(self, pixels: Pixels) -> str:
        name = f"{len(self.names):05}.npy"
        np.save(self.folder / name, pixels)
        self.names.append(name)
        return name

    def truth(self, name: str, classes: Sequence[str]) -> Ids | None:
        """Returns the labels of a picture in ids of a model with these classes; None where they are not known.

        Raises SourceError for a label file that cannot be used.
        """
        if name in self._drawn and tuple(classes) == CITYSCAPES.names:
            return self._drawn[name]
        if name in self._labelled and self._labelling is not None:
            return read_truth(self._labelled[name], self._labelling, _plain(classes))
        return None

    def draw(self, count: int, track: Track) -> None:
        """Adds frames of the demo clip, whose truth is drawn with it."""
        chosen = tuple(evenly(DEMO_FRAMES, count))
        for sample in track(demo(chosen).each(), "drawing the demo", len(chosen)):
            pixels, label = sample.read()
            name = self.add(pixels)
            if label is not None and label.ids is not None:
                self._drawn[name] = label.ids

    def read_labelled(self, source: str, labels_dir: Path, count: int, track: Track) -> None:
        """Adds pictures that have label files."""
        pairs = pair(_pictures(source), labels_dir)
        self._labelling = labelling_of("auto", [one.label for one in pairs])
        for place in track(evenly(len(pairs), count), "reading pictures", min(count, len(pairs))):
            self._labelled[self.add(read_picture(pairs[place].image))] = pairs[place].label

    def read(self, source: str, count: int, track: Track) -> None:
        with closing(open_source(source)) as opened:
            step = max(1, min((opened.info.frame_count or count) // count, FARTHEST))
            for frame in track(opened, f"reading {opened.info.name}", opened.info.frame_count):
                if frame.index % step == 0:
                    self.add(frame.pixels)
                if len(self.names) == count:
                    return


def prepare(source: str, folder: Path, count: int, labels_dir: Path | None = None, track: Track = silent) -> Frames:
    """Prepares at most `count` pictures of a source, evenly spread.

    Raises SourceError, and UsageError for labels of what is no folder of pictures.
    """
    frames = Frames(folder)
    if labels_dir is not None:
        frames.read_labelled(source, labels_dir, count, track)
    elif source == "demo":
        frames.draw(count, track)
    else:
        frames.read(source, count, track)
    if not frames.names:
        raise SourceError(f"{public(source)}: expected pictures, found none")
    return frames


def _pictures(source: str) -> Path | list[Path]:
    """Returns the folder or the files that a source names. Raises UsageError where it names no pictures."""
    if Path(source).is_dir():
        return Path(source)
    pictures = None if source == "demo" else picture_files(source)
    if pictures is None:
        raise UsageError(
            f"expected a folder of pictures, a picture or a pattern with it, got {public(source)}", "labels_dir"
        )
    return pictures


def _plain(classes: Sequence[str]) -> ClassSet:
    return ClassSet(tuple(classes), ((0, 0, 0),) * len(classes))
