"""Says where a film is cut into pieces that can be decoded without the others: at key frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from edge.archive.storage import is_local, told
from edge.errors import SourceError
from edge.sources.clock import MOST_GAP_S
from edge.sources.declared_end import declared_end
from edge.sources.ffmpeg import ANY_TITLE, video_stream

PIECE_S = 30.0  # of a film, at least, in a piece
_RANGE = 1 << 20  # bytes that are read at once from storage elsewhere
_SEEKABLE = ("mov", "matroska")  # FFmpeg's names of the containers that lead exactly to a key frame


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a film, from one key frame up to another, in ticks of the film's own clock; None is the film's end."""

    number: int  # from 0
    begin: int | None
    end: int | None

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole film."""
        return self.begin is None and self.end is None


WHOLE = (Piece(0, None, None),)


@dataclass(frozen=True, slots=True)
class Plan:
    """The pieces of a film, and how many frames it has; None where nothing tells that before they are read."""

    pieces: tuple[Piece, ...]
    frames: int | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """The key frames of a film in order, in ticks of its clock, and how many frames it has."""

    keys: Sequence[int]
    frames: int


def pieces_of(keys: Sequence[int], least: int) -> tuple[Piece, ...]:
    """Cuts a film at key frames, ascending, into pieces of at least so many ticks, and the last of what is left."""
    cuts: list[int] = []
    for key in keys[1:]:
        if key - (cuts[-1] if cuts else keys[0]) >= least:
            cuts.append(key)
    if not cuts:
        return WHOLE
    return tuple(Piece(number, *ends) for number, ends in enumerate(zip([None, *cuts], [*cuts, None], strict=True)))


def plan(address: str, piece_s: float = PIECE_S) -> Plan:
    """Returns how a film is cut. It stays whole where its container leads to no key frame, or where its clock jumps.

    It depends on the film alone, so that every cluster makes the same films. Raises SourceError where it is no film.
    """
    with opened(address) as (container, stream):
        tick = stream.time_base
        told_frames = stream.frames or None
        if tick is None or not container.format.name.startswith(_SEEKABLE) or _is_cut(address):
            return Plan(WHOLE, told_frames)
        with suppress(av.error.FFmpegError):
            found = _indexed(container, stream, piece_s)
            if found is None:  # which reads all of it, so that a film is cut in the same places wherever it is
                with opened(address) as (again, from_its_beginning):
                    found = _gone_through(again, from_its_beginning)
            if found is not None and found.keys:
                return Plan(pieces_of(found.keys, round(piece_s / tick)), found.frames)
        return Plan(WHOLE, told_frames)


@contextmanager
def opened(address: str) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    """Opens a film where it is: of other storage only the ranges are read that are wanted. Raises SourceError."""
    try:
        if is_local(address):
            with av.open(f"file:{address}", **ANY_TITLE) as container:
                yield container, video_stream(address, container)
            return
        with (
            told(address, SourceError) as (system, path),
            system.open(path, "rb", block_size=_RANGE) as file,
            av.open(file, **ANY_TITLE) as container,
        ):
            yield container, video_stream(address, container)
    except av.error.FFmpegError as exc:
        said = f"expected a video, found something else or a damaged file ({exc.strerror})"
        raise SourceError(f"{address}: {said}") from exc


def _is_cut(address: str) -> bool:
    """Whether the end of a file of this machine is missing."""
    if not is_local(address):
        return False
    with suppress(OSError):
        end = declared_end(Path(address))
        return end is not None and Path(address).stat().st_size < end.size
    return False


def _indexed(container: InputContainer, stream: Any, piece_s: float) -> Timeline | None:
    """By an index that has every frame; only the key frames at which pieces may begin are looked at."""
    entries = list(stream.index_entries)
    if not entries or len(entries) != stream.frames:
        return None
    if _jumps([entry.timestamp for entry in entries], stream):
        return None
    least, keys, delay = round(piece_s / stream.time_base), [], 0
    last: int | None = None
    for entry in entries:
        if entry.is_keyframe and (last is None or entry.timestamp - last >= least):
            last = entry.timestamp  # when it is decoded; it is found by when it is shown
            container.seek(last + delay, stream=stream)
            packet = next(iter(container.demux(stream)), None)
            if packet is None or packet.pts is None or packet.dts != last or not packet.is_keyframe:
                return None
            keys.append(packet.pts)
            delay = packet.pts - last
    return Timeline(keys, len(entries)) if keys == sorted(set(keys)) else None


def _gone_through(container: InputContainer, stream: av.VideoStream) -> Timeline | None:
    """By reading all packets without decoding them."""
    keys, shown = [], []
    for packet in container.demux(stream):
        if not packet.size:
            continue
        if packet.pts is None or packet.is_corrupt:
            return None
        shown.append(packet.pts)
        if packet.is_keyframe:
            keys.append(packet.pts)
    rises = keys == sorted(set(keys)) and len(set(shown)) == len(shown) and not _jumps(sorted(shown), stream)
    return Timeline(keys, len(shown)) if rises and keys and keys[0] == min(shown) else None


def _jumps(stamps: Sequence[int], stream: Any) -> bool:
    """Whether the clock of frames may jump: `sources.clock` closes such gaps, which no piece by itself could."""
    most = MOST_GAP_S / float(stream.time_base)
    return any(not 0 < after - before <= most for before, after in pairwise(stamps))
