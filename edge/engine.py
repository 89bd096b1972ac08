"""Inference runtimes behind one protocol."""

from __future__ import annotations

import importlib
import os
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.data import TensorSpec
from edge.errors import ModelError, RuntimeMissing, UsageError


class Engine(Protocol):
    """A loaded model with one input and one output.

    `invoke` takes an array of exactly `input`'s shape and dtype and returns a new one of `output`'s.
    An engine serves one thread at a time and is freed with its last reference.
    """

    input: TensorSpec
    output: TensorSpec

    def invoke(self, x: NDArray[Any]) -> NDArray[Any]: ...


# name -> (module with an Interpreter class, what pip installs)
_INTERPRETERS = {
    "litert": ("ai_edge_litert.interpreter", "ai-edge-litert"),
    "tflite-runtime": ("tflite_runtime.interpreter", '"roadlite[tflite-runtime]"'),
    "tensorflow": ("tensorflow.lite.python.interpreter", "tensorflow"),
}
RUNTIMES = ("auto", *_INTERPRETERS)
MAX_THREADS = 64


class InterpreterEngine:
    """A TensorFlow Lite interpreter: litert, tflite-runtime and tensorflow share one interface.

    Raises ModelError here and in `invoke` for what the runtime refuses.
    """

    def __init__(self, model: bytes, where: str, runtime: str, threads: int) -> None:
        module = _import(runtime)
        self.runtime, self.threads = runtime, threads
        try:
            _check_subgraphs(model)
            self._interpreter = module.Interpreter(model_content=model, num_threads=threads)
            self._interpreter.allocate_tensors()
            inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        except (ValueError, RuntimeError) as exc:
            raise ModelError(f"{where}: {runtime} cannot load it as a .tflite model ({_line(exc)})") from exc
        self._where = where
        self.input, self._input_index = _only(inputs, where, "input")
        self.output, self._output_index = _only(outputs, where, "output")
        if not _is_fixed(inputs[0]):
            raise ModelError(f"{where}: its input has no fixed size {self.input.shape}; convert it with one")
        if not _is_fixed(outputs[0]):  # its shape is known after a run
            found = self.invoke(np.zeros(self.input.shape, self.input.dtype))
            self.output = replace(self.output, shape=found.shape)

    def invoke(self, x: NDArray[Any]) -> NDArray[Any]:
        try:
            self._interpreter.set_tensor(self._input_index, x)
            self._interpreter.invoke()
            output: NDArray[Any] = self._interpreter.get_tensor(self._output_index)
        except (ValueError, RuntimeError) as exc:
            raise ModelError(f"{self._where}: {self.runtime} cannot run it ({_line(exc)})") from exc
        return output

    def partitions(self) -> Partitions:
        return count_partitions(self._interpreter._get_ops_details())

    def operators(self) -> Counter[str]:
        """How often each operator occurs, before a delegate took it."""
        names = (op["op_name"] for op in self._interpreter._get_ops_details())
        return Counter(name for name in names if not _is_delegate(name))


@dataclass(frozen=True, slots=True)
class Partitions:
    """How a delegate split the model. One partition and nothing outside is the fast case."""

    delegated: int  # parts that run in the delegate
    outside: int  # operators left to the interpreter


def count_partitions(ops: list[dict[str, Any]]) -> Partitions:
    """From an interpreter's operator list, where each delegate node stands behind the operators it replaced.

    A delegate node names only the tensors at its border: what it replaced is found by walking back from its
    outputs to its inputs.
    """
    delegates, plain = ([op for op in ops if _is_delegate(op["op_name"]) is wanted] for wanted in (True, False))
    maker = {int(tensor): i for i, op in enumerate(plain) for tensor in op["outputs"]}
    covered: set[int] = set()
    for delegate in delegates:
        border = {int(tensor) for tensor in delegate["inputs"]}
        todo = [int(tensor) for tensor in delegate["outputs"]]
        while todo:
            tensor = todo.pop()
            if tensor in border or tensor not in maker or maker[tensor] in covered:
                continue
            covered.add(maker[tensor])
            todo.extend(int(t) for t in plain[maker[tensor]]["inputs"])
    return Partitions(len(delegates), len(plain) - len(covered))


def _is_delegate(operator: str) -> bool:
    return "DELEGATE" in operator.upper()


def open_engine(model: bytes, where: str, *, runtime: str = "auto", threads: int | None = None) -> InterpreterEngine:
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
        return InterpreterEngine(model, where, runtime, threads)
    reasons = []
    for name in _INTERPRETERS:
        try:
            return InterpreterEngine(model, where, name, threads)
        except RuntimeMissing as exc:
            reasons.append(str(exc))
    raise RuntimeMissing("no inference runtime can be imported: " + "; ".join(reasons))


def _import(runtime: str) -> Any:
    module, package = _INTERPRETERS[runtime]
    try:
        return importlib.import_module(module)
    except (ImportError, AttributeError, OSError, RuntimeError, SystemError, TypeError) as exc:
        # All but the first: one built for another numpy, protobuf or C library.
        raise RuntimeMissing(f"{runtime} cannot be imported ({_line(exc)}): pip install {package}") from exc


def _line(exc: Exception) -> str:
    """What a library says, in one line of bearable length."""
    return f"{' '.join(str(exc).split()):.200}" or type(exc).__name__


def _only(details: list[dict[str, Any]], where: str, what: str) -> tuple[TensorSpec, int]:
    if len(details) != 1:
        names = ", ".join(str(d["name"]) for d in details)
        raise ModelError(f"{where}: expected one {what} tensor, got {len(details)} ({names})")
    detail = details[0]
    scale, zero_point = detail["quantization"]
    shape = tuple(int(n) for n in detail["shape"])
    return TensorSpec(detail["name"], shape, np.dtype(detail["dtype"]), float(scale), int(zero_point)), detail["index"]


def _is_fixed(detail: dict[str, Any]) -> bool:
    """Whether all sizes are known; a free batch size counts as 1. Runtimes crash on pictures without pixels."""
    return all(n > 0 for n in (*detail["shape"], *detail["shape_signature"][1:]))


def _check_subgraphs(model: bytes) -> None:
    """Runtimes verify a model, then crash where a subgraph has no list of tensors. Raises ValueError.

    Table layout: https://flatbuffers.dev/internals/; fields: Model.subgraphs is 2, SubGraph.tensors 0.
    """

    def field(table: int, index: int) -> int:
        """Position of a table's field; 0 where it is not there."""
        vtable = table - int.from_bytes(model[table : table + 4], "little", signed=True)
        size = int.from_bytes(model[vtable : vtable + 2], "little")
        at = 4 + 2 * index
        offset = int.from_bytes(model[vtable + at : vtable + at + 2], "little") if at < size else 0
        return table + offset if offset else 0

    def follow(position: int) -> int:
        return position + int.from_bytes(model[position : position + 4], "little")

    graphs = follow(field(follow(0), 2))
    first = graphs + 4
    for position in range(first, min(first + 4 * int.from_bytes(model[graphs:first], "little"), len(model)), 4):
        if not field(follow(position), 0):
            raise ValueError("a subgraph has no tensors")


def default_threads() -> int:
    """All cores, four at most: more threads gain nothing on networks of this size."""
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 4)
