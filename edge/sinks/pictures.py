"""Writes results as picture files, one per frame."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
from numpy.typing import NDArray

from edge.data import Ids, Result
from edge.errors import SinkError
from edge.files import whole_file, writable_folder
from edge.sinks.base import Sink

SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
_NUMBER = re.compile(r"%(0\d)?d")


class Pictures(Sink):
    """A sink that writes what is shown to `path`, in whose name `%05d` stands for the index of the frame.

    Raises SinkError where the folder cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        writable_folder(path.parent)
        self._path, self._full = path, False
        self.numbered = _NUMBER.search(path.name) is not None

    def write(self, result: Result) -> None:
        if self._full:
            raise SinkError(self.holds_one(None))
        self._full = not self.numbered
        index = result.frame.index
        name = _NUMBER.sub(lambda number: format(index, f"{number[1] or ''}d"), self._path.name)
        save(self._path.with_name(name), cv2.cvtColor(result.picture, cv2.COLOR_RGB2BGR))

    def holds_one(self, count: int | None) -> str:
        """Returns the sentence that a single picture cannot hold `count` frames, and which name can."""
        many = self._path.with_name(f"{self._path.stem}-%05d{self._path.suffix}")
        return f"{self._path}: one picture cannot hold {count or 'several'} frames; name them {many}, or take one frame"

    def close(self) -> None:
        """Does nothing, since every picture has its final name already."""


class LabelPictures(Sink):
    """A sink that writes the class of every pixel to `folder` as one-channel pictures.

    They hold what `stored`, uint8 (256,), has for each id; without it the ids themselves, 255 where a pixel is ignored.

    Raises SinkError where the folder cannot be written to.
    """

    def __init__(self, folder: Path, stored: Ids | None = None) -> None:
        self._folder, self._stored = writable_folder(folder), stored

    def write(self, result: Result) -> None:
        ids: NDArray[Any] = result.labels.ids if self._stored is None else cv2.LUT(result.labels.ids, self._stored)
        save(self._folder / f"{result.frame.index:06d}.png", ids)

    def close(self) -> None:
        """Does nothing, since every picture has its final name already."""


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
