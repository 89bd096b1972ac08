"""Opens a model on a runtime."""

from __future__ import annotations

import importlib

from edge.engine.base import Engine
from edge.engine.runtimes import AUTO, NAMES, RUNTIMES
from edge.errors import RuntimeMissing, UsageError
from edge.processors import available_processors

MAX_THREADS = 64


def open_engine(model: bytes, where: str, *, runtime: str = AUTO, threads: int | None = None) -> Engine:
    """Loads the bytes of a .tflite; `where` names it in messages.

    `auto` takes the first runtime that can be imported, in the order of `edge.engine.runtimes.RUNTIMES`.

    Raises ModelError for a model that cannot be loaded, RuntimeMissing when no runtime is there.
    """
    if runtime not in NAMES:
        raise UsageError(f"unknown runtime {runtime!r}: expected one of {', '.join(NAMES)}")
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise UsageError(f"expected 1 to {MAX_THREADS} threads, got {threads}")
    threads = threads or default_threads()
    if runtime != AUTO:
        return _open(model, where, runtime, threads)
    reasons = []
    for candidate in (row for row in RUNTIMES.values() if row.tried_by_auto):
        try:
            return _open(model, where, candidate.name, threads)
        except RuntimeMissing as exc:
            reasons.append(str(exc))
    raise RuntimeMissing("no inference runtime can be imported: " + "; ".join(reasons))


def _open(model: bytes, where: str, runtime: str, threads: int) -> Engine:
    module, _, name = RUNTIMES[runtime].engine.partition(":")
    engine: Engine = getattr(importlib.import_module(module), name)(model, where, runtime, threads)
    return engine


def default_threads() -> int:
    """Returns all processors, four at most: more threads gain nothing on networks of this size."""
    return min(available_processors(), 4)
