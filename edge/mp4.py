"""Walks through the boxes that MP4, QuickTime, HEIC and AVIF files are made of (ISO/IEC 14496-12, 4.2)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO, FileIO
from pathlib import Path

_MOST = 1_000_000  # boxes: a day of fragments of a second has 200,000, and a hostile file could have any number


@dataclass(frozen=True, slots=True)
class Box:
    """One box of a file. Its end lies beyond the end of a file that was cut off within it."""

    name: bytes  # four letters
    start: int  # bytes from the beginning of the file
    end: int


def boxes(path: Path) -> Iterator[Box]:
    """Yields the outermost boxes of a file, until it ends or goes on with something else. Raises OSError."""
    with path.open("rb", buffering=0) as file:
        yield from boxes_of(file)


def boxes_of(file: FileIO | BytesIO) -> Iterator[Box]:
    """Yields the outermost boxes of an open file, as `boxes` does."""
    size, at = file.seek(0, os.SEEK_END), 0
    for _ in range(_MOST):
        file.seek(at)
        head = file.read(16)
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:  # a longer one follows
            length = int.from_bytes(head[8:16], "big")
        if length == 0:  # to the end of the file
            length = size - at
        if length < 8 or len(name) < 4 or not (name.isascii() and name.decode("ascii").isprintable()):
            return
        yield Box(name, at, at + length)
        at += length


def last_whole_fragment(file: FileIO) -> int:
    """Returns the end of the last fragment (the boxes `moof` and `mdat`) that a file has whole; 0 where it has none.

    Raises OSError.
    """
    size = os.fstat(file.fileno()).st_size
    return max((box.end for box in boxes_of(file) if box.name == b"mdat" and box.end <= size), default=0)
