"""Reads raw frames from standard input."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from edge.data import Frame, SourceInfo
from edge.errors import SourceError, UsageError

_POLL_S = 0.2  # how soon a wait for input notices that the source was closed


class StdinSource:
    """A source of frames of `size_wh` from a descriptor: rgb24, one after the other with nothing between.

    Nothing is dropped.

    Raises UsageError where the size is not given, SourceError where there is nothing to read from. Later, where the
    input ends within a frame, or before the first.
    """

    def __init__(
        self,
        size_wh: tuple[int, int] | None,
        rate: Fraction | None = None,
        limit: int | None = None,
        descriptor: int | None = None,
    ) -> None:
        if size_wh is None:
            raise UsageError("raw frames do not tell their size; give it (format rgb24, no padding)", "size_wh")
        if descriptor is None and sys.stdin is None:
            raise SourceError("source -: standard input is closed; pipe raw rgb24 frames into it")
        self._descriptor = sys.stdin.fileno() if descriptor is None else descriptor
        self._limit = limit
        self._closed = threading.Event()
        self.info = SourceInfo(name="stdin", size_wh=size_wh, rate=rate, frame_count=limit)

    def __iter__(self) -> Iterator[Frame]:
        assert self.info.size_wh is not None
        width, height = self.info.size_wh
        index = 0
        while self._limit is None or index < self._limit:
            pixels = np.empty((height, width, 3), np.uint8)
            if not self._fill(pixels.data.cast("B"), index):
                break
            yield Frame(pixels, index, time.perf_counter())
            index += 1
        if not index and not self._closed.is_set():
            frames = f"frames of {width}x{height} (rgb24, {3 * width * height} bytes each)"
            raise SourceError(f"source -: expected {frames}, found none: standard input ended without a byte")

    def close(self) -> None:
        self._closed.set()

    def _fill(self, room: memoryview, index: int) -> bool:
        """Reads one frame; False at the end of the input, or when the source is closed."""
        filled = 0
        while filled < len(room):
            while not select.select([self._descriptor], [], [], _POLL_S)[0]:
                if self._closed.is_set():
                    return False
            if self._closed.is_set():
                return False
            try:
                read = os.readv(self._descriptor, [room[filled:]])
            except OSError as exc:
                raise SourceError(f"source -: cannot be read ({exc.strerror})") from exc
            if not read and filled:
                found = f"expected {len(room)} bytes, found {filled}"
                raise SourceError(f"source -: ends within frame {index} ({found}); is `size_wh` right?")
            if not read:
                return False
            filled += read
        return True
