"""Finds out how much there is of a film before its first frame is wanted: frames, seconds, and what is missing."""

from __future__ import annotations

from array import array
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer

from edge.sources.clock import Clock
from edge.sources.declared_end import DeclaredEnd, declared_end
from edge.sources.ffmpeg import rate_of, whole_packets
from edge.sources.options import SourceHealth

_CLOCKS_MAY_JUMP = 0x200  # AVFMT_TS_DISCONT in FFmpeg's avformat.h
_EXACT_S = 1e-3  # times are as exact as this


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is of a film."""

    frame_count: int | None  # from where it is to begin; None where nothing tells
    length_s: float | None  # of what can be read, without the jumps of its clock
    jumps: bool = False  # of its clock, so that time stamps tell no place in it
    cut: str = ""  # how much is missing of a film that was cut off; empty for a whole one


def measure(
    path: Path, container: InputContainer, stream: av.VideoStream, start_s: float = 0.0, limit: int | None = None
) -> Extent:
    """Returns how much there is of the film in `container`, which is used up by it.

    Where the container cannot tell, since it has no index or was cut off, the film is gone through without decoding
    it; of a whole film from its beginning on no farther than to frame `limit`. Raises OSError.
    """
    end, size = _end(path, stream), path.stat().st_size
    is_cut = end is not None and size < end.size
    has_clocks = bool(container.format.flags & _CLOCKS_MAY_JUMP)
    told_s = None if has_clocks else _told_length_s(container, stream)
    if not is_cut and not has_clocks:
        return Extent(_told_count(stream, told_s, start_s), told_s)
    count, length_s, jumps = _gone_through(container, stream, start_s, None if is_cut or start_s else limit)
    return Extent(count, length_s, jumps, _missing(end, size, length_s, told_s) if is_cut and end else "")


def _told_count(stream: av.VideoStream, told_s: float | None, start_s: float) -> int | None:
    """As the container says, else what its length and rate make likely."""
    rate = rate_of(stream)
    if rate is None:
        return stream.frames or None
    count = stream.frames or (None if told_s is None else max(1, round(Fraction(told_s) * rate)))
    return None if count is None else max(1, count - round(start_s * rate))


def _end(path: Path, stream: av.VideoStream) -> DeclaredEnd | None:
    """By what the file says of itself, or where the last frame is that its index has."""
    end = declared_end(path)
    indexed = max((entry.pos + entry.size for entry in stream.index_entries), default=0)
    return end if end is not None and end.size >= indexed else DeclaredEnd(indexed) if indexed else end


def _told_length_s(container: InputContainer, stream: av.VideoStream) -> float | None:
    """The longest that the container promises: of a film that is cut off, FFmpeg's own estimate is of what is left."""
    rate = rate_of(stream)
    told = [0.0 if container.duration is None else container.duration / av.time_base]
    if stream.frames and rate is not None:
        told.append(float(stream.frames / rate))
    return max(told) or None


def _gone_through(
    container: InputContainer, stream: av.VideoStream, start_s: float, limit: int | None
) -> tuple[int, float, bool]:
    """Counts the frames from `start_s` on; tells how long all of them last, and whether the clock jumps."""
    health, rate = SourceHealth(), rate_of(stream)
    clock = Clock(None, rate, health)  # of the time stamps of decoding, which rise from packet to packet
    count_in_clock = 0
    clock_s: float | None = None
    shown_at = array("d")
    with suppress(av.error.FFmpegError):  # it is raised when the frames are read
        for packet in whole_packets(container, stream):
            if packet is not None and packet.size:
                clock_s = clock.time_s(_seconds(packet.dts, packet.time_base))
                count_in_clock += (clock_s or 0.0) >= start_s - _EXACT_S
                stamp = packet.dts if packet.pts is None else packet.pts
                shown_at.append(_seconds(stamp, packet.time_base) or 0.0)
            if len(shown_at) == limit:
                break
    period_s = float(1 / rate) if rate is not None else 0.0
    if health.jumps or not shown_at:
        return count_in_clock, (clock_s or 0.0) + period_s, bool(health.jumps)
    begin_s = min(shown_at)
    count = sum(at_s - begin_s >= start_s - _EXACT_S for at_s in shown_at)
    return count, max(shown_at) - begin_s + period_s, False


def _seconds(stamp: int | None, time_base: Fraction | None) -> float | None:
    return None if stamp is None or time_base is None else float(stamp * time_base)


def _missing(end: DeclaredEnd, size: int, length_s: float, told_s: float | None) -> str:
    at_least = "at least " if end.at_least else ""
    seconds = ""
    if told_s is not None and told_s - length_s > 0.05:
        seconds = f", {told_s - length_s:.1f} of {told_s:.1f} s"
    return f"{at_least}{end.size - size:,} of {end.size:,} bytes are missing{seconds}"
