"""Keeps what was made of a piece as one file, from which whole outputs are joined without encoding again.

A part is a zip, not compressed: `part.json` (frames), `film.nut` (H.264 at the times of the film) and the label
pictures by their index in the piece.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer

from edge.data import Result
from edge.errors import SinkError
from edge.sinks.base import Sink
from edge.sinks.h264 import H264, USUAL_RATE
from edge.sinks.video import FRAGMENTED
from edge.text import reason

FILM, ABOUT = "film.nut", "part.json"
_NONSENSE = (ValueError, LookupError, TypeError, RuntimeError, EOFError)  # what zipfile makes of other damage
_ENCODERS = 1  # threads: with more, a film would depend on the cores of the machine that made it


class PartFilm(Sink):
    """A sink that encodes what is shown to a file that only `join_films` reads."""

    def __init__(self, path: Path, rate: Fraction | None) -> None:
        self._path, self._rate = path, rate or USUAL_RATE
        self._open: tuple[OutputContainer, H264] | None = None

    def write(self, result: Result) -> None:
        try:
            if self._open is None:
                container = av.open(str(self._path), "w", format="nut")
                self._open = container, H264(container, result, self._rate, threads=_ENCODERS)
            self._open[1].write(result)
        except (OSError, ValueError, av.error.FFmpegError) as exc:
            raise SinkError(f"{self._path}: cannot be written ({reason(exc)})") from exc

    def close(self) -> None:
        if self._open is None:
            return
        (container, encoder), self._open = self._open, None
        try:
            encoder.finish()
            container.close()
        except (OSError, ValueError, av.error.FFmpegError) as exc:
            raise SinkError(f"{self._path}: cannot be written ({reason(exc)})") from exc


def pack(path: Path, film: Path | None, labels: Path | None, frames: int) -> None:
    """Makes a part of a film and a folder of label pictures."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as part:
        part.writestr(ABOUT, json.dumps({"frames": frames}))
        if film is not None:
            part.write(film, FILM)
        for picture in sorted(labels.iterdir()) if labels is not None else ():
            part.write(picture, picture.name)


def is_sound(path: Path) -> bool:
    """Returns whether a part is there and whole: power that goes may leave a file empty, or holes in it.

    Raises OSError where it cannot be read.
    """
    try:
        frames_in(path)
        with zipfile.ZipFile(path) as part:
            return part.testzip() is None
    except (zipfile.BadZipFile, FileNotFoundError, *_NONSENSE):
        return False


def frames_in(path: Path) -> int:
    """Returns how many frames a part has."""
    with zipfile.ZipFile(path) as part:
        return int(json.loads(part.read(ABOUT))["frames"])


def labels_in(parts: Sequence[Path], single: bool) -> Iterator[tuple[str, bytes]]:
    """Yields names and bytes of the label pictures of all parts; they are numbered on from part to part.

    A `single` part is the whole film, and keeps its numbers: where frames are damaged beyond decoding, some are
    missing.
    """
    first = 0
    for path in parts:
        with zipfile.ZipFile(path) as part:
            for name in part.namelist():
                if name.endswith(".png"):
                    yield name if single else f"{first + int(name[:-4]):06d}.png", part.read(name)
        first += frames_in(path)


def join_films(parts: Sequence[Path], folder: Path) -> Path:
    """Joins the films of parts into an MP4 in `folder`, packet by packet.

    Raises ValueError where their encodings differ, as they do where pictures change their size.
    """
    joined = folder / "joined.mp4"
    with av.open(str(joined), "w", format="mp4", options=FRAGMENTED) as output:
        stream, encoding = None, None
        for path in parts:
            with zipfile.ZipFile(path) as part:
                film = Path(part.extract(FILM, folder))
            with av.open(str(film)) as container:
                source = container.streams.video[0]
                if stream is None:
                    stream, encoding = output.add_stream_from_template(source), source.codec_context.extradata
                if source.codec_context.extradata != encoding:
                    raise ValueError("the parts of the film are encoded in different ways")
                for packet in container.demux(source):
                    if packet.size:
                        packet.stream = stream
                        output.mux(packet)
            film.unlink()
    return joined
