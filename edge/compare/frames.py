"""Prepares the pictures that every candidate gets, and what is known of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge.address import public
from edge.classes import CITYSCAPES, ClassSet
from edge.data import Ids, Pixels
from edge.errors import UnreadableFile, UsageError
from edge.evaluation.labelling import Labelling, decode, read_truth
from edge.evaluation.pairing import pair
from edge.evaluation.samples import DEMO_FRAMES, demo, evenly, labelling_of
from edge.progress import Track, silent
from edge.sources.folders import name_in, pictures_or_folder
from edge.sources.images import read_picture
from edge.sources.left_out import LeftOut
from edge.sources.open import open_source
from edge.sources.options import SourceHealth, SourceOptions
from edge.text import quiet

FARTHEST = 30  # frames of a video between two that are taken: looking further costs decoding


@dataclass(slots=True)
class Frames:
    """Pictures as .npy files in `folder`, uint8 (H, W, 3) each, so that no two candidates read other pixels."""

    folder: Path
    strict: bool = False  # a picture that cannot be read is an error, instead of being left out
    left_out: LeftOut = field(default_factory=LeftOut)
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
        """Adds pictures that have label files. Raises UsageError where the source is none of pictures."""
        pictures = None if source == "demo" else pictures_or_folder(source, self.left_out)
        if pictures is None:
            expected = "expected a folder of pictures, a picture or a pattern with it"
            raise UsageError(f"{expected}, got {public(source)}", "labels_dir")
        pairs = pair(pictures, labels_dir, left_out=self.left_out)
        self._labelling = labelling_of("auto", [one.label for one in pairs])
        places = evenly(len(pairs), count)
        self.left_out.asked = len(places)
        for place in track(places, "reading pictures", len(places)):
            image, label = pairs[place].image, pairs[place].label
            try:
                pixels = read_picture(image)
                if self.strict:
                    decode(label)
                self._labelled[self.add(pixels)] = label
            except UnreadableFile as exc:
                if self.strict or len(pairs) == 1:
                    raise
                self.left_out.add(name_in(source, image), exc)

    def read(self, source: str, count: int, track: Track, say: Callable[[str], None]) -> None:
        health, next_index = SourceHealth(left_out=self.left_out), 0
        with closing(open_source(source, SourceOptions(strict=self.strict), health=health, say=say)) as opened:
            step = max(1, min((opened.info.frame_count or count) // count, FARTHEST))
            for frame in track(opened, f"reading {opened.info.name}", opened.info.frame_count):
                if frame.index >= next_index:  # one that was left out gives its place to the next
                    self.add(frame.pixels)
                    next_index = (frame.index // step + 1) * step
                if len(self.names) == count:
                    return


def prepare(
    source: str,
    folder: Path,
    count: int,
    labels_dir: Path | None = None,
    track: Track = silent,
    *,
    say: Callable[[str], None] = quiet,
    strict: bool = False,
) -> Frames:
    """Prepares at most `count` pictures of a source, evenly spread; what cannot be read is left out, unless `strict`.
    `say` gets a line where a video is cut off.

    Raises SourceError, and UsageError for labels of what is no folder of pictures.
    """
    frames = Frames(folder, strict)
    if labels_dir is not None:
        frames.read_labelled(source, labels_dir, count, track)
    elif source == "demo":
        frames.draw(count, track)
    else:
        frames.read(source, count, track, say)
    if not frames.names:
        raise frames.left_out.nothing_left(public(source))
    return frames


def _plain(classes: Sequence[str]) -> ClassSet:
    return ClassSet(tuple(classes), ((0, 0, 0),) * len(classes))
