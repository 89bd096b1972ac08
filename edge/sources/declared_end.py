"""Tells where a film file says that it ends, so that one that was cut off is known by its size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edge.mp4 import boxes

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # Matroska and WebM: RFC 9559, 5.1; RFC 8794, 4 and 5
_MP4 = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"pnot"})  # what one begins with
_SYNC = b"\x47"  # the first byte of each packet of MPEG-TS: ISO/IEC 13818-1, 2.4.3.2
_MOST_CHUNKS = 1000
_UNKNOWN_LENGTHS = (0, 0xFFFFFFFF)  # of recordings that were not finished
_TS_PACKETS = ((188, 0), (192, 4))  # bytes, and where the first sync byte is; the second in M2TS of cameras


@dataclass(frozen=True, slots=True)
class DeclaredEnd:
    """Where a file ends as it says itself."""

    size: int  # bytes
    at_least: bool = False  # more may have followed, of which the file does not know


def declared_end(path: Path) -> DeclaredEnd | None:
    """Returns where the film at `path` ends as its container says; None where it does not. Raises OSError.

    An MP4 that is not in fragments tells it in its index only, which FFmpeg reads.
    """
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            return _riff(file)
        if head[:4] == _EBML:
            return _matroska(file)
    if head[4:8] in _MP4:
        return _fragments(path)
    return _transport_stream(path)


def lacks_index(path: Path) -> bool:
    """Tells whether an MP4 has no whole `moov`, without which nothing of it can be read. Raises OSError."""
    size, is_mp4 = path.stat().st_size, False
    for box in boxes(path):
        if box.name == b"moov":
            return box.end > size
        is_mp4 = is_mp4 or (box.start == 0 and box.name in _MP4)
    return is_mp4


def _fragments(path: Path) -> DeclaredEnd | None:
    in_fragments, end = False, 0
    for box in boxes(path):
        in_fragments, end = in_fragments or box.name == b"moof", box.end
    return DeclaredEnd(end, at_least=True) if in_fragments else None


def _riff(file: BinaryIO) -> DeclaredEnd | None:
    """Films of more than a gigabyte or two have several of these chunks in a row (OpenDML)."""
    end = 0
    for _ in range(_MOST_CHUNKS):
        file.seek(end + end % 2)
        head = file.read(8)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] != b"RIFF" or length in _UNKNOWN_LENGTHS:
            break
        end = file.tell() + length
    return DeclaredEnd(end) if end else None


def _matroska(file: BinaryIO) -> DeclaredEnd | None:
    at = 0
    for name in (_EBML, _SEGMENT):
        file.seek(at)
        head = file.read(12)
        if head[:4] != name or len(head) < 12 or not head[4]:
            return None
        width = 9 - head[4].bit_length()  # bytes; leading zeros count those after the first
        length = int.from_bytes(head[4 : 4 + width], "big") & ((1 << 7 * width) - 1)
        if length == (1 << 7 * width) - 1:  # not known when it was written
            return None
        at += 4 + width + length
    return DeclaredEnd(at)


def _transport_stream(path: Path) -> DeclaredEnd | None:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(1024)
    for packet, first in _TS_PACKETS:
        syncs = head[first::packet]
        if len(syncs) > 3 and syncs == _SYNC * len(syncs):
            return DeclaredEnd(-(-size // packet) * packet, at_least=True)
    return None
