"""Inference runtimes behind one protocol."""

from __future__ import annotations

import os
from typing import Any, Protocol

from numpy.typing import NDArray

from edge.data import TensorSpec
from edge.engine.interpreter import INTERPRETERS, InterpreterEngine, Operator
from edge.engine.openvino import PRECISIONS, OpenVinoEngine
from edge.engine.partitions import Partitions, count_partitions
from edge.errors import RuntimeMissing, UsageError

__all__ = [
    "MAX_THREADS", "RUNTIMES", "AnyEngine", "Engine", "InterpreterEngine", "OpenVinoEngine", "Operator", "Partitions",
    "count_partitions", "default_threads", "open_engine",
]  # fmt: skip

RUNTIMES = ("auto", *INTERPRETERS, *PRECISIONS)
MAX_THREADS = 64

AnyEngine = InterpreterEngine | OpenVinoEngine


class Engine(Protocol):
    """A loaded model with one input and one output.

    `invoke` takes an array of exactly `input`'s shape and dtype and returns a new one of `output`'s.
    An engine serves one thread at a time and is freed with its last reference.
    """

    input: TensorSpec
    output: TensorSpec

    def invoke(self, x: NDArray[Any]) -> NDArray[Any]: ...


def open_engine(model: bytes, where: str, *, runtime: str = "auto", threads: int | None = None) -> AnyEngine:
    """Loads the bytes of a .tflite; `where` names it in messages.

    `auto` takes the first runtime that can be imported, in the order of RUNTIMES.

    Raises ModelError for a model that cannot be loaded, RuntimeMissing when no runtime is there.
    """
    if runtime not in RUNTIMES:
        raise UsageError(f"unknown runtime {runtime!r}: expected one of {', '.join(RUNTIMES)}")
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise UsageError(f"expected 1 to {MAX_THREADS} threads, got {threads}")
    threads = threads or default_threads()
    if runtime != "auto":
        return _open(model, where, runtime, threads)
    reasons = []
    for name in (*INTERPRETERS, "openvino"):
        try:
            return _open(model, where, name, threads)
        except RuntimeMissing as exc:
            reasons.append(str(exc))
    raise RuntimeMissing("no inference runtime can be imported: " + "; ".join(reasons))


def _open(model: bytes, where: str, runtime: str, threads: int) -> AnyEngine:
    kind: type[AnyEngine] = OpenVinoEngine if runtime in PRECISIONS else InterpreterEngine
    return kind(model, where, runtime, threads)


def default_threads() -> int:
    """All cores, four at most: more threads gain nothing on networks of this size."""
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 4)
