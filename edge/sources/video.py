"""Reads frames of a video file, whatever container and codec FFmpeg reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from io import FileIO
from itertools import islice
from pathlib import Path

import av
from av.container import InputContainer

from edge.data import Frame, Pixels, SourceInfo
from edge.errors import SourceError
from edge.mp4 import last_whole_fragment
from edge.sources.clock import Clock
from edge.sources.declared_end import declared_end, lacks_index
from edge.sources.extent import Extent, measure
from edge.sources.ffmpeg import ANY_TITLE, ToRgb, packets, rate_of, video_stream
from edge.sources.options import SourceHealth
from edge.text import quiet

_EARLIER_S = (0.0, 12.0)  # where a start is sought, one after the other; key frames are seldom farther apart
DECODERS = 2  # threads: each more takes memory for its frames and time from the network


class Video:
    """A source of the frames of the video at `path`, upright, in square pixels and in order; sound is ignored.

    Frames that are damaged beyond decoding are left out and the indices of the others stay what they would have been;
    more than 30 of them in a row end the source with an error. `time_s` is the frame's own, at any spacing; where the
    clock jumps, as in joined recordings, it goes on one frame later. From `start_s` on, indices are those in the whole
    video. A stream may change the size of its pictures. Of a video that is cut off what decodes is given, and `say`
    gets a line about how much is there.

    Raises SourceError where it is no video, has no picture, lacks its index, or ends before `start_s`.
    """

    def __init__(
        self,
        path: Path,
        limit: int | None = None,
        start_s: float = 0.0,
        health: SourceHealth | None = None,
        say: Callable[[str], None] = quiet,
    ) -> None:
        self._path, self._limit, self._start_s = path, limit, start_s
        with _opened(path) as (container, stream):
            rate = rate_of(stream)
            self._extent = measure(path, container, stream, start_s, limit)
        height, width = self._first_picture().shape[:2]
        if self._extent.cut:
            say(f"{path}: the video is cut off: {self._extent.cut}; what is there is read")
        self._health = health or SourceHealth()
        count = self._extent.frame_count
        if limit is not None:
            count = min(count or limit, limit)
        self.info = SourceInfo(name=str(path), size_wh=(width, height), rate=rate, frame_count=count)

    def __iter__(self) -> Iterator[Frame]:
        with closing(self._decoded(self._health, ahead=True)) as frames:
            for index, pixels, time_s in islice(frames, self._limit):
                yield Frame(pixels, index, time.perf_counter(), time_s)

    def close(self) -> None:
        """Does nothing, since the file is open only while it is iterated."""

    def _decoded(self, health: SourceHealth, ahead: bool) -> Decoded:
        return _decoded(self._path, self._start_s, self._extent, health, ahead)

    def _first_picture(self) -> Pixels:
        with closing(self._decoded(SourceHealth(), ahead=False)) as frames:
            first = next(frames, None)
        if first is not None:
            return first[1]
        cut = f"; it is cut off: {self._extent.cut}" if self._extent.cut else ""
        if self._start_s:
            length_s = self._extent.length_s
            length = "" if length_s is None else f"; it is {length_s:.1f} s long"
            raise SourceError(f"{self._path}: has no frame after {self._start_s:g} s{length}{cut}")
        raise SourceError(f"{self._path}: the video has no frame that can be decoded{cut}")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    with _container(path) as container:
        try:
            stream = video_stream(str(path), container)
        except SourceError as exc:
            raise _cut(path) or exc from exc
        yield container, stream


def _container(path: Path) -> InputContainer:
    """Opens it as a file, so that playlists in disguise reach no network and names with a colon are no addresses."""
    try:
        opened: InputContainer = av.open(f"file:{path}", **ANY_TITLE)
        return opened
    except av.error.FFmpegError as exc:
        whole = _whole_fragments(path)
        if whole:
            return whole
        damaged = f"{path}: expected a video, found something else or a damaged file ({exc.strerror})"
        raise _cut(path) or SourceError(damaged) from exc


def _whole_fragments(path: Path) -> InputContainer | None:
    """What is whole of an MP4 that is cut off within the head of a fragment: FFmpeg opens no such file."""
    with suppress(OSError, av.error.FFmpegError):
        with FileIO(path) as file:
            end = last_whole_fragment(file)
        return av.open(f"subfile,,start,0,end,{end},,:file:{path}", **ANY_TITLE) if end else None
    return None


def _cut(path: Path) -> SourceError | None:
    """What is to be said of a file that cannot be opened, where that is because it is cut off."""
    with suppress(OSError):
        if lacks_index(path):
            return SourceError(
                f"{path}: the video is cut off: its index (moov), which cameras write last, is missing or not whole, "
                "and without it nothing of an MP4 or MOV can be read; copy it here again, or mend it with untrunc"
            )
        end, size = declared_end(path), path.stat().st_size
        if end is not None and size < end.size:
            found = f"at {size:,} of {end.size:,} bytes"
            return SourceError(f"{path}: the video is cut off before its first frame, {found}; copy it here again")
    return None


Decoded = Generator[tuple[int, Pixels, float | None], None, None]


def _decoded(
    path: Path,
    start_s: float,
    extent: Extent,
    health: SourceHealth,
    ahead: bool,
    earlier_s: Sequence[float] = _EARLIER_S,
) -> Decoded:
    """Decoded frames with their position in the video, which time stamps tell where frames before were lost.

    Without `ahead` no frames are decoded at the same time, which each thread would need memory for.
    """
    with _opened(path) as (container, stream):
        stream.thread_type, stream.codec_context.thread_count = "AUTO" if ahead else "SLICE", DECODERS
        rate, begin_s = rate_of(stream), _begin_s(stream)
        seekable = start_s > 0 and bool(earlier_s) and not extent.jumps
        sought = seekable and _seek(container, (begin_s or 0.0) + start_s - earlier_s[0])
        to_rgb, clock = ToRgb(str(path), stream), Clock(begin_s, rate, health, sought)
        index, last_s, lost = -1, None if rate is None else -float(1 / rate), False
        for frames in packets(str(path), container, stream, health, bool(extent.cut)):
            lost = lost or frames is None
            for frame in frames or ():
                time_s = clock.time_s(frame.time)
                step = 1
                if (lost or (index < 0 and sought)) and rate is not None and last_s is not None and time_s is not None:
                    step = max(1, round((time_s - last_s) * rate))
                index, last_s = index + step, time_s
                if time_s is not None and time_s < start_s - 1e-3:
                    sought = False  # as it should be: from a key frame on towards the start
                    continue
                if sought and time_s is not None and time_s > start_s + 1e-3:  # containers without an index overshoot
                    yield from _decoded(path, start_s, extent, health, ahead, earlier_s[1:])
                    return
                sought = False
                yield index, to_rgb(frame), time_s


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
