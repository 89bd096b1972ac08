"""Writes to terminals: no word is cut at the edge, and the command outlives its terminal."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from edge.text import wrapped

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

USUAL_COLUMNS = 80  # where a terminal does not tell


class _Outliving(io.FileIO):
    """A terminal's descriptor. Once the terminal is closed, which Linux says by EIO, what is written goes nowhere."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as exc:
            if exc.errno != errno.EIO:
                raise
            return memoryview(data).nbytes


def fitted(text: str, stream: TextIO | None) -> str:
    """Returns a line as a terminal shows it best, with no word cut at its edge; as it is where the stream is none."""
    if stream is None or not stream.isatty():
        return text
    return wrapped(text, _columns(stream))


def _columns(stream: TextIO) -> int:
    given = os.environ.get("COLUMNS", "")
    if given.isdigit() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or USUAL_COLUMNS
    except (OSError, ValueError):
        return USUAL_COLUMNS


@contextmanager
def outliving_terminal() -> Iterator[None]:
    """Lets prints go nowhere from when the terminal is closed, so that no line of progress ends a recording."""
    replaced = {name: (stream, _outliving(stream)) for name in ("stdout", "stderr") if (stream := _terminal(name))}
    for name, (_, outliving) in replaced.items():
        setattr(sys, name, outliving)
    try:
        yield
    finally:
        for name, (before, outliving) in replaced.items():
            setattr(sys, name, before)
            with suppress(OSError, ValueError):
                outliving.close()


def _terminal(name: str) -> TextIO | None:
    """Returns a stream of `sys` where it is a terminal."""
    stream: TextIO | None = getattr(sys, name)
    return stream if stream is not None and stream.isatty() else None


def _outliving(stream: TextIO) -> TextIO:
    """Returns a stream on the same terminal that does not fail."""
    binary = io.BufferedWriter(_Outliving(os.dup(stream.fileno()), "w"))
    return io.TextIOWrapper(binary, encoding=stream.encoding, errors=stream.errors, line_buffering=True)
