"""Plays pictures that move: FFmpeg plays them as it does videos, but for animated WebP, which OpenCV decodes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from statistics import median

import av
import cv2
import numpy as np

from edge.data import MAX_PIXELS, Frame, Pixels, SourceInfo
from edge.errors import SourceError
from edge.sources.ffmpeg import ANY_TITLE
from edge.sources.images import opencv_says_nothing
from edge.sources.webp import HEAD, animated_size

_ANIMATIONS = (b"GIF8", b"\x89PNG")  # what files begin with that may hold one picture or several
_AT_ONCE = 32_000_000  # pixels that are decoded at once, of 4 bytes
_LEAST_MS = 10  # for pictures that are to be shown for no time


def is_animation(path: Path) -> bool:
    """Tells whether a file is a WebP, GIF, PNG or AVIF of several pictures. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head.startswith(_ANIMATIONS) or head[4:12] == b"ftypavis":
        return _has_several(path)
    return animated_size(head) is not None


def _has_several(path: Path) -> bool:
    try:
        with av.open(f"file:{path}", options={"max_pixels": str(MAX_PIXELS)}, **ANY_TITLE) as container:
            stream = container.streams.best("video")
            packets = (packet for packet in container.demux(stream) if packet.size)
            return stream is not None and len(list(islice(packets, 2))) == 2
    except (av.error.FFmpegError, ValueError):
        return False


def is_animated_webp(path: Path) -> bool:
    """Raises OSError."""
    with path.open("rb") as file:
        return animated_size(file.read(HEAD)) is not None


class AnimatedWebP:
    """A source of the pictures of the animated WebP at `path`, each at its time. From `start_s` on, indices are those
    in the whole animation.

    Raises SourceError where it has no picture after `start_s`, too large ones, or is damaged.
    """

    def __init__(self, path: Path, limit: int | None = None, start_s: float = 0.0) -> None:
        self._path, self._limit, self._start_s = path, limit, start_s
        with path.open("rb") as file:
            width, height = animated_size(file.read(HEAD)) or (0, 0)
        if width * height > MAX_PIXELS:
            most = MAX_PIXELS // 1_000_000
            raise SourceError(f"{path}: expected pictures of at most {most} megapixels, got {width}x{height}")
        self._step = max(1, _AT_ONCE // (width * height))
        with opencv_says_nothing():
            self._count = cv2.imcount(str(path)) if hasattr(cv2, "imreadanimation") else 0
        _, durations_ms = self._decoded(0)
        first = next(iter(self), None)
        if first is None:
            raise SourceError(f"{path}: has no picture after {start_s:g} s")
        count = self._count - first.index
        self.info = SourceInfo(
            name=str(path),
            size_wh=(width, height),
            rate=Fraction(1000, round(median(durations_ms))),
            frame_count=count if limit is None else min(count, limit),
        )

    def __iter__(self) -> Iterator[Frame]:
        return islice(self._frames(), self._limit)

    def close(self) -> None:
        """Does nothing, since the file is open only while it is read."""

    def _frames(self) -> Iterator[Frame]:
        at_ms = 0
        for begin in range(0, self._count, self._step):
            pictures, durations_ms = self._decoded(begin)
            for number, (pixels, duration_ms) in enumerate(zip(pictures, durations_ms, strict=True), begin):
                if at_ms / 1000 >= self._start_s - 1e-3:
                    yield Frame(pixels, number, time.perf_counter(), at_ms / 1000)
                at_ms += duration_ms

    def _decoded(self, begin: int) -> tuple[list[Pixels], list[int]]:
        """Some pictures from `begin` on in RGB, and how many milliseconds each is shown."""
        count = min(self._step, self._count - begin)
        with opencv_says_nothing():
            try:
                whole, found = cv2.imreadanimation(str(self._path), begin, count) if count > 0 else (False, None)
            except cv2.error:
                whole = False
        if not whole or found is None or len(found.frames) != count:
            raise SourceError(
                f"{self._path}: cannot be decoded; expected an animated WebP that is whole, and OpenCV 4.11 or later"
            )
        codes = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}
        pictures = [np.asarray(cv2.cvtColor(frame, codes[frame.shape[2]]), np.uint8) for frame in found.frames]
        return pictures, [max(_LEAST_MS, int(ms)) for ms in found.durations]
