"""Prepares the pictures that every candidate gets, and what is known of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge.address import public
from edge.classes import CITYSCAPES, ClassSet
from edge.compare.clips import clip_of
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

MOST_MOVED = 16  # frames of which one is labelled: there are no more pictures, so that each age has one
FARTHEST = 30  # frames of a video between two that are taken: looking further costs decoding


@dataclass(slots=True)
class Frames:
    """Pictures as .npy files in `folder`, uint8 (H, W, 3) each, so that no two candidates read other pixels."""

    folder: Path
    label_every: tuple[int, ...] = (1,)  # what is asked for; above 1 pictures have the frames before them (`clip_of`)
    strict: bool = False  # a picture that cannot be read is an error, instead of being left out
    left_out: LeftOut = field(default_factory=LeftOut)
    names: list[str] = field(default_factory=list)
    _drawn: dict[str, Ids] = field(default_factory=dict)  # truth in Cityscapes' ids
    _labelled: dict[str, Path] = field(default_factory=dict)  # truth in files
    _labelling: Labelling | None = None

    def add(self, pixels: Pixels, before: Sequence[Pixels] = ()) -> str:
        """Takes a picture; `before` are the frames before it, of which as many are kept as it needs."""
        name, needed = f"{len(self.names):05}.npy", self._needed(len(self.names))
        np.save(self.folder / name, pixels)
        if needed:
            clip = clip_of(self.folder / name)
            clip.mkdir(parents=True)
            for place, frame in enumerate(list(before)[-needed:]):
                np.save(clip / f"{place:03}.npy", frame)
        self.names.append(name)
        return name

    @property
    def sample(self) -> Path:
        """The file of the picture that stands for all in a report: about the middle one, over which labels are moved
        where any are.
        """
        return self.folder / self.names[min(len(self.names) - 1, ((len(self.names) - 1) // 2) | 1)]

    def _needed(self, place: int) -> int:
        """How many frames before the picture at this place are moved over: the pictures are of all ages in turn."""
        return max(place % every for every in self.label_every)

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
        chosen = evenly(DEMO_FRAMES, count)
        drawn = sorted({index - back for place, index in enumerate(chosen) for back in range(self._needed(place) + 1)})
        before: deque[Pixels] = deque(maxlen=max(self.label_every))
        for index, sample in zip(drawn, track(demo(tuple(drawn)).each(), "drawing the demo", len(drawn)), strict=True):
            pixels, label = sample.read()
            if index in chosen:
                name = self.add(pixels, before)
                if label is not None and label.ids is not None:
                    self._drawn[name] = label.ids
            before.append(pixels)

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
        before: deque[Pixels] = deque(maxlen=max(self.label_every))
        with closing(open_source(source, SourceOptions(strict=self.strict), health=health, say=say)) as opened:
            step = max(1, min((opened.info.frame_count or count) // count, FARTHEST))
            for frame in track(opened, f"reading {opened.info.name}", opened.info.frame_count):
                if frame.index >= next_index:  # one that was left out gives its place to the next
                    self.add(frame.pixels, before)
                    next_index = (frame.index // step + 1) * step
                if len(self.names) == count:
                    return
                if max(self.label_every) > 1:
                    before.append(frame.pixels)


def prepare(
    source: str,
    folder: Path,
    count: int,
    labels_dir: Path | None = None,
    track: Track = silent,
    *,
    say: Callable[[str], None] = quiet,
    strict: bool = False,
    label_every: Sequence[int] = (1,),
) -> Frames:
    """Prepares at most `count` pictures of a source, evenly spread; what cannot be read is left out, unless `strict`.
    `say` gets a line where a video is cut off.

    Raises SourceError, and UsageError for labels of what is no folder of pictures, and where labels are to be moved
    over what is no film.
    """
    frames = Frames(folder, tuple(label_every), strict)
    if max(label_every) > 1 and source != "demo" and (labels_dir or pictures_or_folder(source, LeftOut()) is not None):
        raise UsageError(f"expected a film, whose frames follow each other, got {public(source)}", "label_every")
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
