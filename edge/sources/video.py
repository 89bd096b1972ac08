"""Frames of a video file, whatever container and codec FFmpeg reads."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
from av.container import InputContainer
from av.stream import Disposition
from av.video.reformatter import Colorspace

from edge.data import Frame, Pixels, SourceInfo
from edge.errors import SourceError
from edge.sources.images import MAX_PIXELS

_MAX_BAD_IN_A_ROW = 30
_MAX_RATE = 1000
_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
_HD_HEIGHT = 720  # from here on, players take a video that does not say its colour matrix for BT.709
_UPRIGHT = {
    -90: cv2.ROTATE_90_CLOCKWISE,
    90: cv2.ROTATE_90_COUNTERCLOCKWISE,
    180: cv2.ROTATE_180,
    -180: cv2.ROTATE_180,
}


class Video:
    """The frames of the video at `path`, upright and in order; sound is ignored.

    Frames that are damaged beyond decoding are left out and the indices of the others stay what they would have been;
    more than 30 of them in a row end the source with an error.

    Raises:
        SourceError: it is no video, has no picture, or is cut off.
    """

    def __init__(self, path: Path, limit: int | None = None) -> None:
        self._path, self._limit = path, limit
        with _opened(path) as (container, stream):
            _check_whole(path, container, stream)
            rate, count = _rate(stream), _frame_count(container, stream)
        with closing(_decoded(path)) as frames:
            first = next(frames, None)
            if first is None:
                raise SourceError(f"{path}: the video has no frame that can be decoded")
            height, width = _pixels(first[1], path).shape[:2]
        if limit is not None:
            count = min(count or limit, limit)
        self.info = SourceInfo(name=str(path), size_wh=(width, height), rate=rate, frame_count=count)

    def __iter__(self) -> Iterator[Frame]:
        with closing(_decoded(self._path)) as frames:
            for index, frame in islice(frames, self._limit):
                yield Frame(_pixels(frame, self._path), index, time.perf_counter())

    def close(self) -> None:
        """The file is open only while it is iterated."""


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    try:  # as a file, so that playlists in disguise reach no network and names with a colon are no addresses
        container = av.open(f"file:{path}")
    except av.error.FFmpegError as exc:
        raise SourceError(f"{path}: expected a video, found something else or a damaged file ({exc.strerror})") from exc
    with container:
        if container.format.name == "tty":
            raise SourceError(f"{path}: expected a video, found text")
        stream = container.streams.best("video")
        if not isinstance(stream, av.VideoStream) or stream.disposition & Disposition.attached_pic:
            raise SourceError(f"{path}: expected a video, found a file without a video stream")
        if stream.width * stream.height > MAX_PIXELS:
            raise SourceError(
                f"{path}: expected frames of at most {MAX_PIXELS // 1_000_000} megapixels, "
                f"got {stream.width}x{stream.height}"
            )
        stream.thread_type = "AUTO"
        yield container, stream


def _check_whole(path: Path, container: InputContainer, stream: av.VideoStream) -> None:
    """Refuses a file that ends before its own index does: a copy or download that broke off."""
    end = max((entry.pos + entry.size for entry in stream.index_entries), default=0)
    if 0 < container.size < end:
        raise SourceError(f"{path}: the video is cut off at {container.size} of {end} bytes; copy it here again")


def _decoded(path: Path) -> Generator[tuple[int, av.VideoFrame], None, None]:
    """Decoded frames with their position in the video, which time stamps tell where frames before were lost."""
    with _opened(path) as (container, stream):
        rate, index, lost = _rate(stream), -1, False
        last_s = _before_first_s(stream, rate)
        for frames in _packets(path, container, stream):
            lost = lost or frames is None
            for frame in frames or ():
                step = 1
                if lost and rate is not None and last_s is not None and frame.time is not None:
                    step = max(1, round((frame.time - last_s) * rate))
                index, last_s = index + step, frame.time
                yield index, frame


def _packets(path: Path, container: InputContainer, stream: av.VideoStream) -> Iterator[list[av.VideoFrame] | None]:
    """The frames that each packet completes, None for a damaged packet."""
    bad_in_a_row = 0
    try:
        for packet in container.demux(stream):
            frames = _decode(packet)
            bad_in_a_row = 0 if frames is not None else bad_in_a_row + 1
            if bad_in_a_row > _MAX_BAD_IN_A_ROW:
                raise SourceError(f"{path}: more than {_MAX_BAD_IN_A_ROW} damaged frames in a row {_at(packet)}")
            yield frames
    except av.error.FFmpegError as exc:
        raise SourceError(f"{path}: cannot be read to its end ({exc.strerror})") from exc


def _decode(packet: av.Packet[av.VideoStream]) -> list[av.VideoFrame] | None:
    try:
        return packet.decode()
    except av.error.FFmpegError:
        return None


def _at(packet: av.Packet[av.VideoStream]) -> str:
    if packet.pts is None or packet.time_base is None:
        return "at its end"
    return f"at {float(packet.pts * packet.time_base):.1f} s"


def _before_first_s(stream: av.VideoStream, rate: Fraction | None) -> float | None:
    """When the frame before the first one would have been shown."""
    if stream.start_time is None or stream.time_base is None or rate is None:
        return None
    return float(stream.start_time * stream.time_base - 1 / rate)


def _pixels(frame: av.VideoFrame, path: Path) -> Pixels:
    unnamed_hd = frame.colorspace == _UNSPECIFIED and frame.height >= _HD_HEIGHT
    try:  # one thread: FFmpeg's scaler slows down when its threads meet the decoder's
        rgb = frame.reformat(format="rgb24", src_colorspace=Colorspace.ITU709 if unnamed_hd else None, threads=1)
    except (av.error.FFmpegError, ValueError) as exc:
        raise SourceError(f"{path}: cannot convert {frame.format.name} frames to RGB ({exc})") from exc
    pixels: Pixels = rgb.to_ndarray()  # type: ignore[assignment]
    turn = _UPRIGHT.get(frame.rotation)
    return pixels if turn is None else cv2.rotate(pixels, turn)  # type: ignore[return-value]


def _rate(stream: av.VideoStream) -> Fraction | None:
    rate = stream.average_rate or stream.guessed_rate
    return rate if rate is not None and 0 < rate <= _MAX_RATE else None


def _frame_count(container: InputContainer, stream: av.VideoStream) -> int | None:
    """As the container says, else what its duration and rate make likely."""
    rate = _rate(stream)
    if stream.frames > 0:
        return stream.frames
    if container.duration is None or rate is None:
        return None
    return max(1, round(Fraction(container.duration, av.time_base) * rate))
