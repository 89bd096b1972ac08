"""Runs models on TensorFlow Lite's interpreters: litert, tflite-runtime and tensorflow share one interface."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.data import TensorSpec
from edge.engine.base import Operator
from edge.engine.flatbuffer import check_subgraphs, cut
from edge.engine.macs import macs
from edge.engine.partitions import Partitions, count_partitions, delegated_operators, is_delegate
from edge.engine.runtimes import import_runtime
from edge.errors import ModelError
from edge.text import reason


class InterpreterEngine:
    """An `edge.engine.base.Engine` on one of TensorFlow Lite's interpreters.

    It raises ModelError here and in `invoke` for what the runtime refuses.
    """

    reduced_layers = 0

    def __init__(self, model: bytes, where: str, runtime: str, threads: int) -> None:
        self._module = module = import_runtime(runtime)
        self.runtime, self.threads = runtime, threads
        try:
            check_subgraphs(model)
            self._interpreter = module.Interpreter(model_content=model, num_threads=threads)
            self._interpreter.allocate_tensors()
            inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        except (ValueError, RuntimeError) as exc:
            raise ModelError(f"{where}: {runtime} cannot load it as a .tflite model ({reason(exc)})") from exc
        self._where = where
        self.input, self._input_index = _only(inputs, where, "input")
        self.output, self._output_index = _only(outputs, where, "output")
        if not _is_fixed(inputs[0]):
            raise ModelError(f"{where}: its input has no fixed size {self.input.shape}; convert it with one")
        if not _is_fixed(outputs[0]):  # its shape is known after a run
            output = self.invoke(np.zeros(self.input.shape, self.input.dtype))
            self.output = replace(self.output, shape=output.shape)

    def invoke(self, x: NDArray[Any]) -> NDArray[Any]:
        try:
            self._interpreter.set_tensor(self._input_index, x)
            self._interpreter.invoke()
            output: NDArray[Any] = self._interpreter.get_tensor(self._output_index)
        except (ValueError, RuntimeError) as exc:
            raise ModelError(f"{self._where}: {self.runtime} cannot run it ({reason(exc)})") from exc
        return output

    def layer_timer(self, model: bytes, x: NDArray[Any]) -> PrefixTimer:
        return PrefixTimer(self, model, x)

    def partitions(self) -> Partitions:
        return count_partitions(self._interpreter._get_ops_details())

    def operators(self) -> Counter[str]:
        """Returns how often each operator occurs, before a delegate took it."""
        names = (op["op_name"] for op in self._interpreter._get_ops_details())
        return Counter(name for name in names if not is_delegate(name))

    def macs(self) -> int:
        return sum(operator.macs or 0 for operator in self.listed())

    def listed(self) -> list[Operator]:
        """Returns every operator of the model with its multiply-accumulates."""
        ops = self._interpreter._get_ops_details()
        tensors = {int(tensor["index"]): tensor for tensor in self._interpreter.get_tensor_details()}
        shapes = {index: tensor["shape"] for index, tensor in tensors.items()}
        delegated = delegated_operators(ops)
        return [
            Operator(op["op_name"], str(tensors[int(op["outputs"][0])]["name"]), macs(op, shapes), place in delegated)
            for place, op in enumerate(op for op in ops if not is_delegate(op["op_name"]))
        ]

    def beginning(self, model: bytes, length: int, x: NDArray[Any]) -> Callable[[], None]:
        """Returns a run of the first `length` operators of `model`, which is this engine's; `x` is set once.

        Its outputs are all that the rest of the model would have read, but for what does not depend on `x`: weights
        on their way from float16. Where nothing does, there is nothing to run. Raises ModelError, the run too.
        """
        ops = [op for op in self._interpreter._get_ops_details() if not is_delegate(op["op_name"])]
        read = {int(tensor) for op in ops[length:] for tensor in op["inputs"]} | {int(self._output_index)}
        outputs = [tensor for tensor in _reached(ops[:length], int(self._input_index)) if tensor in read]
        if not outputs:
            return lambda: None
        try:
            interpreter = self._module.Interpreter(model_content=cut(model, length, outputs), num_threads=self.threads)
            interpreter.allocate_tensors()
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        except (ValueError, RuntimeError) as exc:
            raise ModelError(f"{self._where}: cut after operator {length} it cannot be loaded ({reason(exc)})") from exc

        def run() -> None:
            try:
                interpreter.invoke()
            except (ValueError, RuntimeError) as exc:
                raise ModelError(f"{self._where}: cut after operator {length} it cannot run ({reason(exc)})") from exc

        return run


class PrefixTimer:
    """A timer of the beginnings of a model: LiteRT's Python wheel has no timer of single operators."""

    count: Callable[[], list[float]] | None = None

    def __init__(self, engine: InterpreterEngine, model: bytes, x: NDArray[Any]) -> None:
        self.operators = engine.listed()
        self.prefix: Callable[[int], Callable[[], None]] | None = lambda length: engine.beginning(model, length, x)


def _reached(ops: list[dict[str, Any]], source: int) -> list[int]:
    """What the operators make of the tensor `source`, in order."""
    reached = [source]
    for op in ops:
        if not set(reached).isdisjoint(int(tensor) for tensor in op["inputs"]):
            reached += [int(tensor) for tensor in op["outputs"]]
    return reached[1:]


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
