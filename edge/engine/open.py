"""Opens a model on a runtime."""

from __future__ import annotations

import importlib

from edge.engine.base import ChooseOutput, Engine, only_output
from edge.engine.delegates import Delegate, check_runtime
from edge.engine.flatbuffer import readable
from edge.engine.operators import EDGE_TPU, custom_operators
from edge.engine.runtimes import AUTO, NAMES, RUNTIMES
from edge.errors import ModelError, RuntimeMissing, UsageError
from edge.processors import available_processors
from edge.text import reason

MAX_THREADS = 64


def open_engine(
    model: bytes,
    where: str,
    *,
    runtime: str = AUTO,
    threads: int | None = None,
    choose: ChooseOutput | None = None,
    delegate: Delegate | None = None,
) -> Engine:
    """Loads the bytes of a .tflite; `where` names it in messages.

    `auto` takes the first runtime that can be imported, in the order of `edge.engine.runtimes.RUNTIMES`. Of a model
    with several outputs `choose` takes one; without it, such a model is refused. A `delegate` runs what it takes of the
    model; only interpreters have them.

    Raises ModelError for a model that cannot be loaded, DelegateError for a delegate that does not run it,
    RuntimeMissing when no runtime is there.
    """
    if runtime not in NAMES:
        raise UsageError(f"unknown runtime {runtime!r}: expected one of {', '.join(NAMES)}")
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise UsageError(f"expected 1 to {MAX_THREADS} threads, got {threads}")
    check_runtime(delegate, runtime)
    threads, choose = threads or default_threads(), choose or only_output(where)
    model = _prepared(model, where, delegate)
    if runtime != AUTO:
        return _open(model, where, runtime, threads, choose, delegate)
    reasons = []
    for candidate in (row for row in RUNTIMES.values() if row.tried_by_auto):
        if delegate is not None and not candidate.is_interpreter:
            continue
        try:
            return _open(model, where, candidate.name, threads, choose, delegate)
        except RuntimeMissing as exc:
            reasons.append(str(exc))
    raise RuntimeMissing("no inference runtime can be imported: " + "; ".join(reasons))


def _prepared(model: bytes, where: str, delegate: Delegate | None) -> bytes:
    """The model as runtimes can take it. Raises ModelError for one that no processor can run."""
    if delegate is None and EDGE_TPU in custom_operators(model):
        raise ModelError(
            f"{where}: compiled for an Edge TPU; run it on one with `delegate` libedgetpu.so.1, or take the file that "
            "edgetpu_compiler was given, often the one without _edgetpu in its name"
        )
    try:
        return readable(model)
    except ValueError as exc:
        raise ModelError(f"{where}: cannot be loaded as a .tflite model ({reason(exc)})") from exc


def _open(
    model: bytes, where: str, runtime: str, threads: int, choose: ChooseOutput, delegate: Delegate | None
) -> Engine:
    module, _, name = RUNTIMES[runtime].engine.partition(":")
    made = getattr(importlib.import_module(module), name)
    engine: Engine = made(model, where, runtime, threads, choose, **({"delegate": delegate} if delegate else {}))
    return engine


def default_threads() -> int:
    """Returns all processors, four at most: more threads gain nothing on networks of this size."""
    return min(available_processors(), 4)
