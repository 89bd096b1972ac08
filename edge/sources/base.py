"""The contract of a source of frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from edge.data import Frame, SourceInfo


class Source(Protocol):
    """Something that gives frames in order, indices rising.

    Opening a source raises `SourceError` when it is already clear that nothing can be read; iterating raises it when
    that turns out on the way, after every frame before that point was given out. Each `iter()` of a file starts at its
    beginning again. Whoever opened the source closes it; `close` may be called twice, and ends an iteration in another
    thread. A file gives every frame, a live source (`info.live`) the newest one.
    """

    info: SourceInfo

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None: ...
