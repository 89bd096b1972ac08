"""Asks a camera on the network for one picture after the other."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from fractions import Fraction

import av

from edge.data import MAX_PIXELS, Frame, Pixels, SourceInfo
from edge.errors import SourceError
from edge.sources.ffmpeg import ANY_TITLE, MAX_BAD_IN_A_ROW, ToRgb, video_stream
from edge.sources.http_files import HttpFile, HttpFiles
from edge.sources.options import SourceHealth

USUAL_RATE = Fraction(2)  # cameras make a snapshot in 0.1 to 0.5 s
_MAX_BYTES = MAX_PIXELS  # JPEG takes less than a byte for a pixel
_READ_BYTES = 1 << 16
_OPTIONS = {
    "format_whitelist": "jpeg_pipe,png_pipe,webp_pipe,bmp_pipe",
    "protocol_whitelist": "none",
    "max_pixels": str(MAX_PIXELS),
    "err_detect": "explode",
}
_BEGIN, _END = b"\xff\xd8", b"\xff\xd9"  # of a JPEG


class Snapshots:
    """A live source of the pictures that come one by one from the address `first` was opened at, `rate` of them a
    second.

    A damaged one is left out and counted; more than 30 in a row end the source with an error.

    Raises SourceError where the first is no picture, or too large.
    """

    def __init__(self, files: HttpFiles, first: HttpFile, rate: Fraction, health: SourceHealth) -> None:
        self._files, self._name, self._rate, self._health = files, files.address.shown, rate, health
        self._closed = threading.Event()
        self._first = _decoded(self._name, _whole(self._name, first))
        height, width = self._first.shape[:2]
        self.info = SourceInfo(self._name, (width, height), rate, frame_count=None, live=True)

    def __iter__(self) -> Iterator[Frame]:
        pixels, index, bad_in_a_row = self._first, 0, 0
        due_s = time.perf_counter()
        while True:
            yield Frame(pixels, index, time.perf_counter())
            index += 1
            while True:
                due_s = max(due_s + float(1 / self._rate), time.perf_counter())
                if self._closed.wait(due_s - time.perf_counter()):
                    return
                self._files.renew()
                file = self._files.open(self._files.address.plain_url)
                data = _whole(self._name, file)
                try:
                    pixels, bad_in_a_row = _decoded(self._name, data), 0
                    break
                except SourceError:
                    self._health.skipped, bad_in_a_row = self._health.skipped + 1, bad_in_a_row + 1
                    if bad_in_a_row > MAX_BAD_IN_A_ROW:
                        raise

    def close(self) -> None:
        self._closed.set()


def _whole(name: str, file: HttpFile) -> bytes:
    """Reads a picture file to its end, and closes it. Raises SourceError where it is too large."""
    data = bytearray()
    try:
        while piece := file.read(_READ_BYTES):
            data += piece
            if len(data) > _MAX_BYTES:
                raise SourceError(f"{name}: expected a picture of at most {_MAX_BYTES // 1_000_000} MB")
    finally:
        file.close()
    return bytes(data)


def _decoded(name: str, data: bytes) -> Pixels:
    if data.startswith(_BEGIN) and _END not in data[len(data) // 2 :]:
        raise SourceError(f"{name}: the picture is cut off")
    try:
        with av.open(io.BytesIO(data), "r", options=_OPTIONS, **ANY_TITLE) as container:
            stream = video_stream(name, container)
            for frame in container.decode(stream):
                return ToRgb(name, stream)(frame)
    except av.error.FFmpegError as exc:
        raise SourceError(f"{name}: expected a picture, it is damaged or something else ({exc.strerror})") from None
    raise SourceError(f"{name}: expected a picture, found none")
