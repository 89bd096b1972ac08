"""Lets a command outlive its terminal."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Outliving(io.FileIO):
    """A terminal's descriptor. Once the terminal is closed, which Linux says by EIO, what is written goes nowhere."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as exc:
            if exc.errno != errno.EIO:
                raise
            return memoryview(data).nbytes


@contextmanager
def outliving_terminal() -> Iterator[None]:
    """Lets prints go nowhere from when the terminal is closed, so that no line of progress ends a recording."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_outliving, before)
    try:
        yield
    finally:
        for stream in {sys.stdout, sys.stderr} - {*before, None}:
            with suppress(OSError, ValueError):
                stream.close()
        sys.stdout, sys.stderr = before


def _outliving(stream: TextIO) -> TextIO:
    """Returns a stream on the same terminal that does not fail; other streams, and None, as they are."""
    if stream is None or not stream.isatty():
        return stream
    binary = io.BufferedWriter(_Outliving(os.dup(stream.fileno()), "w"))
    return io.TextIOWrapper(binary, encoding=stream.encoding, errors=stream.errors, line_buffering=True)
