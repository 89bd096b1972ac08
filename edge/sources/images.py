"""Reads pictures from files."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.data import MAX_PIXELS, Frame, Pixels, SourceInfo
from edge.errors import UnreadableFile
from edge.sources.folders import name_in, names_of_outputs
from edge.sources.heif import decode_heif, is_heif
from edge.sources.left_out import LeftOut
from edge.sources.webp import animated_size

_MAX_BYTES = 8 * MAX_PIXELS  # four channels of 16 bits
_ENDS = {b"\x89PNG": b"IEND", b"\xff\xd8": b"\xff\xd9"}  # how PNG and JPEG begin, and what comes last in them
_STILLS = ("apng", "gif", "image2", "mjpeg")  # formats of FFmpeg that pictures have, beside those that end in _pipe
_GIF = (b"GIF87a", b"GIF89a")
_logging: Any = getattr(cv2.utils, "logging", cv2)  # where OpenCV keeps it differs between versions


class Images:
    """A source of the pictures at `paths`, in that order, turned upright as their EXIF data says.

    Grey, 16-bit and transparent pictures come out as RGB too, of animated ones the first. One that cannot be read is
    added to `left_out`, and the indices of the others stay what they would have been; where it is the only one, or
    `strict`, it ends the source with an error. So does the end where no picture could be read. `rate` is what they have
    as a video. The source ends after `limit` pictures.
    """

    def __init__(
        self,
        name: str,
        paths: list[Path],
        limit: int | None = None,
        rate: Fraction | None = None,
        left_out: LeftOut | None = None,
        strict: bool = False,
    ) -> None:
        self._paths, self._limit, self._strict = paths, limit, strict or len(paths) == 1
        self._left_out = LeftOut() if left_out is None else left_out
        self._told: set[int] = set()  # the places in `paths` that `left_out` knows of already
        count = len(paths) if limit is None else min(limit, len(paths))
        self.info = SourceInfo(name=name, size_wh=None, rate=rate, frame_count=count)

    def __iter__(self) -> Iterator[Frame]:
        given = 0
        for index, (path, name) in enumerate(zip(self._paths, names_of_outputs(self._paths), strict=True)):
            if given == self._limit:
                return
            try:
                pixels = read_picture(path)
            except UnreadableFile as exc:
                if self._strict:
                    raise
                if index not in self._told:
                    self._told.add(index)
                    self._left_out.add(name_in(self.info.name, path), exc)
                continue
            yield Frame(pixels, index, time.perf_counter(), name=name)
            given += 1
        if not given:
            raise self._left_out.nothing_left(self.info.name)

    def close(self) -> None:
        """Holds nothing between frames."""


def read_picture(path: Path) -> Pixels:
    """Decodes one picture file, and returns it in RGB; of an animated one the first picture.

    Raises UnreadableFile where it is missing, no picture, damaged, or has more than 64 megapixels.
    """
    return decode_picture(path, picture_bytes(path))


def picture_bytes(path: Path) -> bytes:
    """Returns what is in a picture file. Raises UnreadableFile where it is missing or too large."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UnreadableFile(path, f"expected a picture file of at most {_MAX_BYTES // 1_000_000} MB")
        return path.read_bytes()
    except OSError as exc:
        raise UnreadableFile(path, f"cannot be read ({exc.strerror})") from exc


def decode_picture(path: Path, data: bytes) -> Pixels:
    """Decodes what `picture_bytes` read of a file, perhaps on another machine. Raises UnreadableFile, naming `path`."""
    if not data:
        raise UnreadableFile(path, "expected a picture, found an empty file")
    if is_heif(data):
        return decode_heif(path, data)
    kind = _check_header(path, data)
    picture = _first_of_gif(path, data) if data.startswith(_GIF) else _by_opencv(path, data)
    if picture is None:
        raise UnreadableFile(path, f"expected a picture, found {kind}" if kind else "the picture is damaged or cut off")
    return picture


def _by_opencv(path: Path, data: bytes) -> Pixels | None:
    try:
        with opencv_says_nothing():
            bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as exc:
        raise UnreadableFile(path, f"the picture is damaged ({exc.err})") from exc
    if bgr is None:
        return None
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr)  # type: ignore[return-value]


@contextmanager
def opencv_says_nothing() -> Iterator[None]:
    """OpenCV would say on stderr what is raised."""
    loudness = _logging.getLogLevel()
    _logging.setLogLevel(0)
    try:
        yield
    finally:
        _logging.setLogLevel(loudness)


def _first_of_gif(path: Path, data: bytes) -> Pixels | None:
    from edge.sources.ffmpeg import first_picture

    return first_picture(str(path), data)


def _check_header(path: Path, data: bytes) -> str:
    """Refuses what is no picture, and what would unpack to more than it should, before anything is unpacked.

    Returns what it is where that is a film or a sound with a cover, a text without words for pictures.
    """
    import av

    from edge.sources.ffmpeg import ANY_TITLE, can_be_decoded

    try:
        with av.open(io.BytesIO(data), options={"max_pixels": str(MAX_PIXELS)}, **ANY_TITLE) as header:
            picture, kind = header.streams.video[0], header.format
            decodable = can_be_decoded(picture)
            size_wh = (picture.width, picture.height) if decodable else (0, 0)
    except (av.error.FFmpegError, IndexError) as exc:
        raise UnreadableFile(path, "expected a picture, found something else") from exc
    if not decodable:
        what = kind.name.removesuffix("_pipe")
        raise UnreadableFile(path, f"expected a picture, found {what}, which cannot be decoded; save it as PNG or JPEG")
    for start, end in _ENDS.items():  # libpng would complain on stderr, libjpeg fill up with grey
        if data.startswith(start) and end not in data[len(data) // 2 :]:
            raise UnreadableFile(path, "the picture is cut off")
    size_wh = animated_size(data) or size_wh  # FFmpeg does not know that of an animation's canvas
    pixels, most = size_wh[0] * size_wh[1], MAX_PIXELS // 1_000_000
    if not 0 < pixels <= MAX_PIXELS:
        found = "got {}x{}".format(*size_wh) if pixels > 0 else "found a larger or a damaged one"
        raise UnreadableFile(path, f"expected a picture of at most {most} megapixels, {found}")
    return "" if kind.name.endswith("_pipe") or kind.name in _STILLS else kind.long_name
