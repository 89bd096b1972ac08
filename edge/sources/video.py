"""Reads frames of a video file, whatever container and codec FFmpeg reads."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
from av.container import InputContainer

from edge.data import Frame, SourceInfo
from edge.errors import SourceError
from edge.sources.ffmpeg import packets, rate_of, rgb, video_stream
from edge.sources.options import SourceHealth

DECODERS = 2  # threads: each more takes memory for its frames and time from the network


class Video:
    """A source of the frames of the video at `path`, upright and in order; sound is ignored.

    Frames that are damaged beyond decoding are left out and the indices of the others stay what they would have been;
    more than 30 of them in a row end the source with an error. `time_s` is the frame's own, at any spacing. From
    `start_s` on, indices are those in the whole video.

    Raises SourceError where it is no video, has no picture, is cut off, or ends before `start_s`.
    """

    def __init__(
        self, path: Path, limit: int | None = None, start_s: float = 0.0, health: SourceHealth | None = None
    ) -> None:
        self._path, self._limit, self._start_s = path, limit, start_s
        with _opened(path) as (container, stream):
            _check_whole(path, container, stream)
            rate, count, length_s = rate_of(stream), _frame_count(container, stream), _length_s(container)
        with closing(_decoded(path, start_s, SourceHealth(), ahead=False)) as frames:
            first = next(frames, None)
            if first is None and start_s:
                raise SourceError(f"{path}: has no frame after {start_s:g} s{length_s}")
            if first is None:
                raise SourceError(f"{path}: the video has no frame that can be decoded")
            height, width = rgb(str(path), first[1]).shape[:2]
        self._health = health or SourceHealth()
        if count is not None and rate is not None:
            count = max(1, count - round(start_s * rate))
        if limit is not None:
            count = min(count or limit, limit)
        self.info = SourceInfo(name=str(path), size_wh=(width, height), rate=rate, frame_count=count)

    def __iter__(self) -> Iterator[Frame]:
        with closing(_decoded(self._path, self._start_s, self._health)) as frames:
            for index, frame, time_s in islice(frames, self._limit):
                yield Frame(rgb(str(self._path), frame), index, time.perf_counter(), time_s)

    def close(self) -> None:
        """Does nothing, since the file is open only while it is iterated."""


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    try:  # as a file, so that playlists in disguise reach no network and names with a colon are no addresses
        container = av.open(f"file:{path}", metadata_errors="replace")
    except av.error.FFmpegError as exc:
        raise SourceError(f"{path}: expected a video, found something else or a damaged file ({exc.strerror})") from exc
    with container:
        stream = video_stream(str(path), container)
        yield container, stream


def _check_whole(path: Path, container: InputContainer, stream: av.VideoStream) -> None:
    """Refuses a file that ends before its own index does: a copy or download that broke off."""
    end = max((entry.pos + entry.size for entry in stream.index_entries), default=0)
    if 0 < container.size < end:
        raise SourceError(f"{path}: the video is cut off at {container.size} of {end} bytes; copy it here again")


Decoded = Generator[tuple[int, av.VideoFrame, float | None], None, None]


def _decoded(path: Path, start_s: float, health: SourceHealth, seek: bool = True, ahead: bool = True) -> Decoded:
    """Decoded frames with their position in the video, which time stamps tell where frames before were lost.

    Without `ahead` no frames are decoded at the same time, which each thread would need memory for.
    """
    with _opened(path) as (container, stream):
        stream.thread_type, stream.codec_context.thread_count = "AUTO" if ahead else "SLICE", DECODERS
        rate, index, begin_s = rate_of(stream), -1, _begin_s(stream)
        last_s = None if begin_s is None or rate is None else begin_s - float(1 / rate)
        lost = start_s > 0
        sought = start_s > 0 and seek and _seek(container, (begin_s or 0.0) + start_s)
        for frames in packets(str(path), container, stream, health):
            lost = lost or frames is None
            for frame in frames or ():
                time_s = None if frame.time is None else frame.time - (begin_s or 0.0)
                if time_s is not None and time_s < start_s - 1e-3:
                    sought = False  # as it should be: from a key frame on towards the start
                    continue
                if sought and time_s is not None and time_s > start_s + 1e-3:  # containers without an index overshoot
                    yield from _decoded(path, start_s, health, seek=False, ahead=ahead)
                    return
                sought = False
                step = 1
                if lost and rate is not None and last_s is not None and frame.time is not None:
                    step = max(1, round((frame.time - last_s) * rate))
                index, last_s = index + step, frame.time
                yield index, frame, time_s


def _seek(container: InputContainer, to_s: float) -> bool:
    """Moves to the last key frame at or before `to_s`, or nowhere, where the container cannot."""
    try:
        container.seek(int(to_s * av.time_base))
    except av.error.FFmpegError:
        return False
    return True


def _begin_s(stream: av.VideoStream) -> float | None:
    if stream.start_time is None or stream.time_base is None:
        return None
    return float(stream.start_time * stream.time_base)


def _length_s(container: InputContainer) -> str:
    return "" if container.duration is None else f"; it is {container.duration / av.time_base:.1f} s long"


def _frame_count(container: InputContainer, stream: av.VideoStream) -> int | None:
    """As the container says, else what its duration and rate make likely."""
    rate = rate_of(stream)
    if stream.frames > 0:
        return stream.frames
    if container.duration is None or rate is None:
        return None
    return max(1, round(Fraction(container.duration, av.time_base) * rate))
