"""Where frames come from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from edge.data import Frame, SourceInfo
from edge.errors import SourceError, UsageError
from edge.sources.demo import Demo
from edge.sources.images import SUFFIXES, Images, in_folder, matching


class Source(Protocol):
    """Frames in order, indices rising from 0.

    Opening a source raises `SourceError` when it is already clear that nothing can be read; iterating raises it when
    that turns out on the way, after every frame before that point was given out. Each `iter()` of a file starts at its
    beginning again. Whoever opened the source closes it; `close` may be called twice, and nothing is read after it.
    """

    info: SourceInfo

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None: ...


def open_source(spec: str, *, limit: int | None = None) -> Source:
    """Opens `demo`, a video file, a picture, a folder of pictures, or a pattern such as `drive/*.jpg`.

    `limit` ends the source after that many frames.

    Raises:
        SourceError: there is no such thing, or it cannot be read.
        UsageError: the limit is not positive.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"expected a limit of 1 frame or more, got {limit}")
    if spec == "demo":
        return Demo(limit)
    path = Path(spec)
    try:
        if path.is_dir():
            return Images(spec, in_folder(path), limit)
        if path.is_file() and path.suffix.lower() in SUFFIXES:
            return Images(spec, [path], limit)
        if path.is_file():
            from edge.sources.video import Video

            return Video(path, limit)
        if path.exists():
            raise SourceError(f"{spec}: expected a file or a folder, found a device or a pipe")
    except OSError as exc:
        raise SourceError(f"{spec}: cannot be opened ({exc.strerror})") from exc
    if any(char in spec for char in "*?["):
        return Images(spec, matching(spec), limit)
    raise SourceError(f"{spec}: not found; expected a video, a picture, a folder, a pattern like 'd/*.jpg', or demo")
