"""Writes results as picture files, one per frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
from numpy.typing import NDArray

from edge.data import Frame, Ids, Result
from edge.destinations import NUMBER, numbered
from edge.errors import SinkError
from edge.files import whole_file, writable_folder
from edge.sinks.base import Sink

SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})


class Pictures(Sink):
    """A sink that writes what is shown to `path`, in whose name `%05d` stands for the index of the frame.

    `name` is how the user calls the output. Raises SinkError where the folder cannot be written to.
    """

    def __init__(self, path: Path, name: str = "") -> None:
        writable_folder(path.parent)
        self._path, self._name, self._full = path, name or str(path), False
        self.numbered = NUMBER.search(path.name) is not None

    def write(self, result: Result) -> None:
        if self._full:
            raise SinkError(self.holds_one(None))
        self._full = not self.numbered
        index = result.frame.index
        name = numbered(self._path.name, index)
        save(self._path.with_name(name), cv2.cvtColor(result.picture, cv2.COLOR_RGB2BGR))
        self.written = self._name

    def holds_one(self, count: int | None) -> str:
        """Returns the sentence that a single picture cannot hold `count` frames, and which name can."""
        many = self._path.with_name(f"{self._path.stem}-%05d{self._path.suffix}")
        return f"{self._path}: one picture cannot hold {count or 'several'} frames; name them {many}, or take one frame"

    def close(self) -> None:
        """Does nothing, since every picture has its final name already."""


class PictureFolder(Sink):
    """A sink that writes what is shown to `folder`: as NAME.png where a frame has a name, else by its index.

    Raises SinkError where the folder cannot be written to.
    """

    def __init__(self, folder: Path, name: str = "") -> None:
        """`name` is how the user calls the output."""
        self._folder, self._name = writable_folder(folder), name or str(folder)

    def write(self, result: Result) -> None:
        save(place_in(self._folder, result.frame), cv2.cvtColor(result.picture, cv2.COLOR_RGB2BGR))
        self.written = self._name

    def close(self) -> None:
        """Does nothing, since every picture has its final name already."""


class LabelPictures(Sink):
    """A sink that writes the class of every pixel to `folder` as one-channel pictures, named as in `PictureFolder`.

    They hold what `stored`, uint8 (256,), has for each id; without it the ids themselves, as `Ids` has them: in
    8 bits, in 16 for a model with more than 255 classes.

    Raises SinkError where the folder cannot be written to.
    """

    def __init__(self, folder: Path, stored: Ids | None = None) -> None:
        self._folder, self._stored = writable_folder(folder), stored

    def write(self, result: Result) -> None:
        ids: NDArray[Any] = result.labels.ids if self._stored is None else cv2.LUT(result.labels.ids, self._stored)
        save(place_in(self._folder, result.frame), ids)
        self.written = str(self._folder)

    def close(self) -> None:
        """Does nothing, since every picture has its final name already."""


def place_in(folder: Path, frame: Frame) -> Path:
    """Returns where in `folder` to keep what was made of a frame. Raises SinkError where a folder cannot be made."""
    if frame.name is None:
        return folder / f"{frame.index:06d}.png"
    path = folder / f"{frame.name}.png"
    if not path.parent.is_dir():
        writable_folder(path.parent)
    return path


def save(path: Path, picture: NDArray[Any]) -> None:
    """Writes a picture as OpenCV has it: BGR, or one channel. Raises SinkError."""
    height, width = picture.shape[:2]
    too_large = SinkError(f"{path}: a picture of {width}x{height} pixels does not fit this format; use another one")
    try:  # OpenCV says so in either way, depending on its version
        stored, data = cv2.imencode(path.suffix, picture)
    except cv2.error as exc:
        raise too_large from exc
    if not stored:
        raise too_large
    with whole_file(path) as part:
        part.write(data.data)
