"""The pictures that every candidate gets, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge.classes import CITYSCAPES, ClassSet
from edge.data import Ids, Pixels
from edge.errors import SourceError, UsageError
from edge.evaluation.datasets import labelling_for
from edge.evaluation.labelling import Labelling, read_truth
from edge.evaluation.pairing import pair
from edge.progress import Track, silent
from edge.sources.images import in_folder, matching, read_picture
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
        """Of a picture, in ids of a model with these classes; None where it is not known.

        Raises SourceError for a label file that cannot be used.
        """
        if name in self._drawn and tuple(classes) == CITYSCAPES.names:
            return self._drawn[name]
        if name in self._labelled and self._labelling is not None:
            return read_truth(self._labelled[name], self._labelling, _plain(classes))
        return None

    def draw(self, count: int, track: Track) -> None:
        """Of the demo clip, whose truth is drawn with it."""
        from edge.scene import DEMO_RATE, DEMO_SEED, Scene
        from edge.sources.demo import DEMO_HW, DEMO_SECONDS

        scene = Scene(DEMO_SEED)
        for t_s in track(np.linspace(0, DEMO_SECONDS - 1 / float(DEMO_RATE), count), "drawing the demo", count):
            pixels, truth = scene.draw(float(t_s), DEMO_HW)
            self._drawn[self.add(pixels)] = truth

    def read_labelled(self, source: str, labels_dir: Path, count: int, track: Track) -> None:
        pairs = pair(_pictures(source), labels_dir)
        self._labelling = labelling_for("auto", pairs[0].label)
        for which in track(_evenly(pairs, count), "reading pictures", min(count, len(pairs))):
            self._labelled[self.add(read_picture(which.image))] = which.label

    def read(self, source: str, count: int, track: Track) -> None:
        with closing(open_source(source)) as opened:
            step = max(1, min((opened.info.frame_count or count) // count, FARTHEST))
            for frame in track(opened, f"reading {source}", opened.info.frame_count):
                if frame.index % step == 0:
                    self.add(frame.pixels)
                if len(self.names) == count:
                    return


def prepare(source: str, folder: Path, count: int, labels_dir: Path | None = None, track: Track = silent) -> Frames:
    """At most `count` pictures of a source, evenly spread.

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
        raise SourceError(f"{source}: expected pictures, found none")
    return frames


def _pictures(source: str) -> Path | list[Path]:
    if Path(source).is_dir():
        return Path(source)
    if any(char in source for char in "*?["):
        return matching(source)
    if source == "demo" or not Path(source).exists():
        raise UsageError(f"--labels-dir: expected --source to be a folder of pictures or a pattern, got {source}")
    return [path for path in in_folder(Path(source).parent) if path == Path(source)] or _refuse(source)


def _refuse(source: str) -> Any:
    raise UsageError(f"--labels-dir: expected --source to be pictures, got {source}; see evaluate-model for videos")


def _evenly(pairs: Sequence[Any], count: int) -> list[Any]:
    return [pairs[round(i)] for i in np.linspace(0, len(pairs) - 1, min(count, len(pairs)))]


def _plain(classes: Sequence[str]) -> ClassSet:
    return ClassSet(tuple(classes), ((0, 0, 0),) * len(classes))
