"""Writes results as an H.264 video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from io import FileIO
from pathlib import Path

import av
from av.container import OutputContainer

from edge.data import Result
from edge.errors import SinkError
from edge.files import FILM, writable_folder
from edge.leftovers import KEPT, UnfinishedFile, end_early, kept_notice, recovered
from edge.mp4 import last_whole_fragment
from edge.sinks.base import Sink
from edge.sinks.h264 import H264, USUAL_RATE
from edge.text import quiet

# Whole fragments of about a second: what is on disk plays, whenever the process dies.
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
_TROUBLE = (OSError, ValueError, av.error.FFmpegError)


class VideoFile(Sink):
    """A sink that encodes what is shown to `path`. Until `close` it is an unfinished file beside it, which plays too.

    When it cannot go on (the disk is full), what was recorded until then gets the final name, cut to what plays, and
    `write` raises; nothing is left where that is nothing. What killed processes have recorded into this folder becomes
    `NAME-recovered.mp4`, which `notice` says. `say` is told when pictures of another size come.

    Raises SinkError where the folder cannot be written to.
    """

    def __init__(self, path: Path, rate: Fraction | None, say: Callable[[str], None] = quiet) -> None:
        writable_folder(path.parent)
        if path.is_dir():
            raise SinkError(f"{path}: cannot be written, there is a folder of that name")
        self._path, self._rate, self._say = path, rate or USUAL_RATE, say
        self._open: tuple[UnfinishedFile, OutputContainer, H264] | None = None
        self._closed = False
        self.notice = kept_notice(recover(path.parent))

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
                file.finish()
                self.written = str(self._path)
            except _TROUBLE as exc:
                raise self._ended(exc) from exc
        self._closed = True

    def _start(self, result: Result) -> None:
        file = UnfinishedFile(self._path)
        container = av.open(file, "w", format="mp4", options=FRAGMENTED)
        self._open = file, container, H264(container, result, self._rate, say=self._tell)

    def _tell(self, what: str) -> None:
        self._say(f"{self._path}: {what}")

    def _ended(self, exc: Exception) -> SinkError:
        """Finishes what plays."""
        self._closed = True
        file = None
        if self._open is not None:
            file, container, _ = self._open
            with suppress(*_TROUBLE):
                container.close()
        why, kept = end_early(file, cut_to_whole_fragments, exc)
        if kept:
            self.written = str(self._path)
        return SinkError(f"{self._path}: cannot be written ({why}){KEPT if kept else ''}")


def recover(folder: Path) -> Iterator[Path]:
    """Gives the films that killed processes have left in a folder a name, cut to what plays, and yields them.

    Where nothing plays, nothing is left.
    """
    return recovered(folder, (FILM,), cut_to_whole_fragments)


def cut_to_whole_fragments(file: FileIO) -> bool:
    """Cuts a film after its last whole fragment; False where it has none."""
    whole = last_whole_fragment(file)
    if whole:
        file.truncate(whole)
    return whole > 0
