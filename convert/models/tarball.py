"""The frozen graph inside a tarball: read as one member in memory; nothing is ever extracted."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar, cast

from edge.errors import GraphError

GRAPH_NAME = "frozen_inference_graph.pb"
GRAPH_BYTES = 1 << 30  # six times the biggest published graph, Xception65 with 166 MB
UNPACKED_BYTES = 4 << 30  # room for a graph and several checkpoints; a bomb ends after about 3 s of unpacking
HEADER_BYTES = 16 << 20  # about 30 000 members; tarfile would load a header of any size that the archive claims
LISTED = 5

T = TypeVar("T")


def read_graph(path: Path, where: str) -> bytes:
    """Returns the only `frozen_inference_graph.pb` of a .tar or .tar.gz, as serialized GraphDef; errors begin with
    `where`.

    Raises GraphError where the archive is broken, holds no such file, several, one that is too big, or one that is not
    a plain file under a plain name.
    """
    return _looked_through(path, where, _only_graph)


def read_small_files(
    path: Path, where: str, wanted: Callable[[str], bool], most_bytes: int, most_files: int
) -> list[tuple[str, bytes]]:
    """Returns name and content of the plain files whose own names are `wanted`; those with more bytes are left out.

    Raises GraphError where the archive is broken.
    """

    def small_files(archive: tarfile.TarFile, reader: _Forward) -> list[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = []
        for member in archive:
            plain = member.isreg() and not member.issparse() and 0 < member.size <= most_bytes
            if plain and wanted(PurePosixPath(member.name).name) and len(found) < most_files:
                found.append((member.name, reader.content(member.offset_data, member.size)))
        return found

    return _looked_through(path, where, small_files)


def _looked_through(path: Path, where: str, find: Callable[[tarfile.TarFile, _Forward], T]) -> T:
    """Returns what `find` finds in an archive, which is read to its end. Raises GraphError where it is broken."""
    try:
        with path.open("rb") as file, _unzipped(file) as raw:
            reader = _Forward(raw, where)
            with tarfile.open(fileobj=reader, mode="r:") as archive:
                found = find(archive, reader)
            reader.drain()
            return found
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, OverflowError, RecursionError) as exc:
        why = " ".join(str(getattr(exc, "strerror", None) or exc).split()) or type(exc).__name__
        raise GraphError(f"{where}: cannot be read as a whole .tar or .tar.gz: {why}") from exc


def _unzipped(file: IO[bytes]) -> IO[bytes]:
    """gzip is told by its first bytes (RFC 1952); `GzipFile`, unlike tarfile's stream mode, checks end and CRC."""
    magic = file.read(2)
    file.seek(0)
    return cast(IO[bytes], gzip.GzipFile(fileobj=file)) if magic == b"\x1f\x8b" else file


def _only_graph(archive: tarfile.TarFile, reader: _Forward) -> bytes:
    graphs: list[str] = []
    others: list[str] = []
    content = b""
    for member in archive:
        base = PurePosixPath(member.name).name
        if base != GRAPH_NAME:
            if not member.isdir():
                others.append(member.name)
            continue
        _refuse_unsafe(member, reader.where)
        if not graphs:
            content = reader.content(member.offset_data, member.size)
        graphs.append(member.name)
    if len(graphs) == 1:
        return content
    if graphs:
        raise GraphError(f"{reader.where}: expected one {GRAPH_NAME}, got {_listed(graphs)}; pass the .pb you want")
    models = [name for name in others if name.endswith(".pb")]
    if models:
        found = f"; its .pb files: {_listed(models)}; pass the right one itself"
    else:
        found = f" nor any other .pb file; it holds {_listed(others) or 'nothing'}"
    raise GraphError(f"{reader.where}: no {GRAPH_NAME} in this archive{found}")


def _refuse_unsafe(member: tarfile.TarInfo, where: str) -> None:
    named = f"{where}: member {member.name[-200:]!r}"
    if member.name.startswith("/") or ".." in PurePosixPath(member.name).parts:
        raise GraphError(f"{named} has a name that leaves the archive; expected a plain relative one")
    if not member.isreg() or member.issparse():
        raise GraphError(f"{named} is a link, a folder, a device or sparse; expected a plain file")
    if not 0 < member.size <= GRAPH_BYTES:
        raise GraphError(f"{named} claims {member.size:,} bytes; expected a frozen graph of 1 to {GRAPH_BYTES:,}")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(repr(name[-200:]) for name in names[:LISTED]) + more


class _Forward(io.RawIOBase):
    """An archive as tarfile sees it, which believes every size: moves only forward, and only within the limits."""

    def __init__(self, raw: IO[bytes], where: str) -> None:
        self.where = where
        self._raw = raw
        self._header_bytes = 0

    def read(self, size: int = -1) -> bytes:
        """What tarfile reads itself, which is headers only."""
        self._header_bytes += size
        if size < 0 or self._header_bytes > HEADER_BYTES:
            raise GraphError(f"{self.where}: more than {HEADER_BYTES:,} bytes of tar headers; pass the .pb itself")
        return self._raw.read(size)

    def tell(self) -> int:
        return self._raw.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or offset < self.tell():
            raise tarfile.ReadError("a member begins before the end of the one in front of it")
        self._limit(offset)
        return self._raw.seek(offset)

    def content(self, offset: int, size: int) -> bytes:
        self._limit(offset + size)
        self._raw.seek(offset)
        return self._raw.read(size)  # where it is short, tarfile misses its end when it goes on

    def drain(self) -> None:
        """To the end, where gzip keeps its checksum."""
        while self._raw.read(1 << 20):
            self._limit(self.tell())

    def _limit(self, position: int) -> None:
        if position > UNPACKED_BYTES:
            raise GraphError(f"{self.where}: unpacks to more than {UNPACKED_BYTES:,} bytes; pass the .pb itself")
