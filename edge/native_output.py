"""Silences what C and C++ libraries write to stderr."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_native() -> Iterator[None]:
    """Sends what C and C++ libraries write to descriptor 2 nowhere; Python's stderr goes on as it was."""
    try:
        is_native = sys.stderr.fileno() == 2
    except (io.UnsupportedOperation, AttributeError, ValueError):
        is_native = False
    if not is_native:
        yield
        return
    python, kept = sys.stderr, os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    sys.stderr = os.fdopen(os.dup(kept), "w", buffering=1, encoding=python.encoding, errors="backslashreplace")
    try:
        yield
    finally:
        sys.stderr.close()
        sys.stderr = python
        os.dup2(kept, 2)
        os.close(kept)
