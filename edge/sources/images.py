"""Reads pictures from files: one, a folder of them, or those that match a pattern."""

from __future__ import annotations

import glob
import io
import time
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from natsort import natsorted

from edge.data import Frame, Pixels, SourceInfo
from edge.errors import SourceError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
MAX_PIXELS = 64_000_000
_MAX_BYTES = 8 * MAX_PIXELS  # four channels of 16 bits
_ENDS = {b"\x89PNG": b"IEND", b"\xff\xd8": b"\xff\xd9"}  # how PNG and JPEG begin, and what comes last in them
_logging: Any = getattr(cv2.utils, "logging", cv2)  # where OpenCV keeps it differs between versions


class Images:
    """A source of the pictures at `paths`, in that order, turned upright as their EXIF data says.

    Grey, 16-bit and transparent pictures come out as RGB too. One that cannot be read ends the source with an error.
    `rate` is what they have as a video.
    """

    def __init__(self, name: str, paths: list[Path], limit: int | None = None, rate: Fraction | None = None) -> None:
        self._paths = paths[:limit]
        self.info = SourceInfo(name=name, size_wh=None, rate=rate, frame_count=len(self._paths))

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self._paths):
            yield Frame(read_picture(path), index, time.perf_counter())

    def close(self) -> None:
        """Holds nothing between frames."""


def picture_files(spec: str, *, deep: bool = False) -> list[Path] | None:
    """Returns the picture files that a text names: those of a folder, a picture, or those that a pattern matches.

    `deep` takes the folders within a folder, too. What is none of these, such as a video, gives None. Raises
    SourceError where a folder or a pattern has no pictures.
    """
    path = Path(spec)
    if "://" in spec:
        return None  # an address may hold what looks like a pattern
    if path.is_dir():
        return pictures_in(path) if deep else in_folder(path)
    if path.is_file():
        return [path] if path.suffix.lower() in SUFFIXES else None
    return matching(spec) if any(char in spec for char in "*?[") else None


def in_folder(folder: Path) -> list[Path]:
    """Returns the pictures directly in `folder`: hidden files and other suffixes left out, `2.png` before `10.png`."""
    return _pictures(folder.iterdir(), f"{folder}: expected pictures in this folder")


def pictures_in(folder: Path) -> list[Path]:
    """Returns the pictures in `folder`, to any depth, ordered. Raises SourceError where there is none."""
    return files_in(folder, SUFFIXES, "pictures")


def files_in(folder: Path, suffixes: frozenset[str], what: str) -> list[Path]:
    """Returns the files in `folder`, to any depth, that have one of the suffixes, ordered; hidden ones are left out.

    Raises SourceError, which calls them `what`, where there is none.
    """
    try:
        if not folder.is_dir():
            raise SourceError(f"{folder}: expected a folder of {what}, found {'a file' if folder.exists() else 'none'}")
        files = [path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file()]
    except OSError as exc:
        raise SourceError(f"{exc.filename}: cannot be read ({exc.strerror})") from exc
    files = [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if not files:
        raise SourceError(f"{folder}: expected {what} ({', '.join(sorted(suffixes))}), found none")
    return natsorted(files, key=str)


def matching(pattern: str) -> list[Path]:
    """Returns the pictures that `pattern` matches, ordered as in a folder; `**` stands for any depth of folders."""
    return _pictures(
        map(Path, glob.iglob(pattern, recursive=True)), f"{pattern}: expected a pattern that matches pictures"
    )


def _pictures(candidates: Iterable[Path], expected: str) -> list[Path]:
    files = [path for path in candidates if path.is_file() and not path.name.startswith(".")]
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not pictures:
        raise SourceError(f"{expected} ({', '.join(sorted(SUFFIXES))}), found none among {len(files)} files")
    return natsorted(pictures, key=str)


def read_picture(path: Path) -> Pixels:
    """Decodes one picture file, and returns it in RGB.

    Raises SourceError where it is missing, no picture, damaged, or has more than 64 megapixels.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise SourceError(f"{path}: expected a picture file of at most {_MAX_BYTES // 1_000_000} MB")
        data = path.read_bytes()
    except OSError as exc:
        raise SourceError(f"{path}: cannot be read ({exc.strerror})") from exc
    _check_header(path, data)
    loudness = _logging.getLogLevel()
    _logging.setLogLevel(0)  # OpenCV would say on stderr what is raised here
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as exc:
        raise SourceError(f"{path}: the picture is damaged ({exc.err})") from exc
    finally:
        _logging.setLogLevel(loudness)
    if bgr is None:
        raise SourceError(f"{path}: the picture is damaged or cut off")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr)  # type: ignore[return-value]


def _check_header(path: Path, data: bytes) -> None:
    """Refuses what is no picture, and what would unpack to more than it should, before anything is unpacked."""
    import av

    try:
        with av.open(io.BytesIO(data), options={"max_pixels": str(MAX_PIXELS)}) as header:
            picture = header.streams.video[0]
            known = picture.width * picture.height > 0
    except (av.error.FFmpegError, IndexError) as exc:
        raise SourceError(f"{path}: expected a picture, found something else or an empty file") from exc
    if not known:
        raise SourceError(
            f"{path}: expected a picture of at most {MAX_PIXELS // 1_000_000} megapixels, found a larger "
            "or a damaged one"
        )
    for start, end in _ENDS.items():  # libpng would complain on stderr, libjpeg fill up with grey
        if data.startswith(start) and end not in data[len(data) // 2 :]:
            raise SourceError(f"{path}: the picture is cut off")
