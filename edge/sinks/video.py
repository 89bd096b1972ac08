"""Writes results as an H.264 video."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from io import FileIO
from itertools import count
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer

from edge.data import Result
from edge.errors import SinkError
from edge.files import writable_folder
from edge.mp4 import last_whole_fragment
from edge.sinks.base import Sink
from edge.sinks.h264 import H264, USUAL_RATE
from edge.text import quiet

# Whole fragments of about a second: what is on disk plays, whenever the process dies.
_FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
_TROUBLE = (OSError, ValueError, av.error.FFmpegError)


class _Output:
    """The file that FFmpeg writes to. On files of its own it forgets an error that comes with the last bytes."""

    def __init__(self, path: Path) -> None:
        self.path, self._file = _new_file(path)
        self.close = self._file.close

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        return len(data)


class VideoFile(Sink):
    """A sink that encodes what is shown to `path`. Until `close` it is beside it as `NAME.PID.part`, which plays too.

    When it cannot go on (the disk is full), what was recorded until then gets the final name, cut to what plays, and
    `write` raises; nothing is left where that is nothing. `say` is told when pictures of another size come.

    Raises SinkError where the folder cannot be written to.
    """

    def __init__(self, path: Path, rate: Fraction | None, say: Callable[[str], None] = quiet) -> None:
        writable_folder(path.parent)
        if path.is_dir():
            raise SinkError(f"{path}: cannot be written, there is a folder of that name")
        self._path, self._rate, self._say = path, rate or USUAL_RATE, say
        self._open: tuple[_Output, OutputContainer, H264] | None = None
        self._closed = False

    def write(self, result: Result) -> None:
        if self._closed:
            raise SinkError(f"{self._path}: nothing more can be written, the video is closed")
        try:
            if self._open is None:
                self._start(result)
            assert self._open is not None
            self._open[2].write(result)
        except _TROUBLE as exc:
            raise self._ended(exc) from exc

    def close(self) -> None:
        if self._open is not None and not self._closed:
            file, container, encoder = self._open
            try:
                encoder.finish()
                container.close()
                file.close()
                file.path.replace(self._path)
                self.written = str(self._path)
            except _TROUBLE as exc:
                raise self._ended(exc) from exc
        self._closed = True

    def _start(self, result: Result) -> None:
        file = _Output(self._path)
        container = av.open(file, "w", format="mp4", options=_FRAGMENTED)
        self._open = file, container, H264(container, result, self._rate, say=self._tell)

    def _tell(self, what: str) -> None:
        self._say(f"{self._path}: {what}")

    def _ended(self, exc: Exception) -> SinkError:
        """Finishes what plays."""
        self._closed = True
        reason = getattr(exc, "strerror", None) or exc
        if self._open is None:
            return SinkError(f"{self._path}: cannot be written ({reason})")
        file, container, _ = self._open
        steps: tuple[Any, ...] = (container.close, file.close)
        for step in steps:
            with suppress(*_TROUBLE):
                step()
        try:
            if _cut_to_whole_fragments(file.path):
                file.path.replace(self._path)
                self.written = str(self._path)
                return SinkError(f"{self._path}: cannot be written ({reason}); what was recorded until then is kept")
            file.path.unlink()
        except OSError as again:
            reason = f"{reason}; {again.strerror}"
        return SinkError(f"{self._path}: cannot be written ({reason})")


def _new_file(path: Path) -> tuple[Path, FileIO]:
    """A file beside `path` that nobody else writes to, and that no killed run has left: that one still plays."""
    for number in count(1):
        part = path.with_name(f"{path.name}.{os.getpid()}{f'-{number}' if number > 1 else ''}.part")
        with suppress(FileExistsError):
            return part, FileIO(part, "x")
    raise AssertionError


def _cut_to_whole_fragments(path: Path) -> bool:
    """Cuts a file after its last whole fragment; False where it has none."""
    whole = last_whole_fragment(path)
    if whole:
        os.truncate(path, whole)
    return whole > 0
