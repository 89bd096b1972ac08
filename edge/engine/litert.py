"""Runs models on TensorFlow Lite's interpreters: litert, tflite-runtime and tensorflow share one interface."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.data import TensorSpec
from edge.engine.base import ChooseOutput, Operator, only_input
from edge.engine.delegates import Delegate, blamed, load, refusal
from edge.engine.flatbuffer import check_subgraphs, cut, readable
from edge.engine.macs import macs
from edge.engine.operators import with_makers
from edge.engine.partitions import Partitions, count_partitions, delegated_operators, is_delegate
from edge.engine.runtimes import import_runtime
from edge.errors import DelegateError, ModelError
from edge.text import one_line, reason


class InterpreterEngine:
    """An `edge.engine.base.Engine` on one of TensorFlow Lite's interpreters.

    It raises ModelError here and in `invoke` for what the runtime refuses.
    """

    reduced_layers = 0

    def __init__(
        self,
        model: bytes,
        where: str,
        runtime: str,
        threads: int,
        choose: ChooseOutput,
        delegate: Delegate | None = None,
    ) -> None:
        self._module = import_runtime(runtime)
        self.runtime, self.threads, self._where = runtime, threads, where
        self.delegate, self.delegate_operators = delegate.name if delegate else "", 0
        self._delegate = delegate
        self._settings: dict[str, Any] = {"num_threads": threads}
        if delegate:
            self._settings["experimental_delegates"] = [load(delegate, self._module)]
        self.notice = ""
        try:
            check_subgraphs(model)
            self._interpreter = self._loaded(model)
            inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        except (ValueError, RuntimeError) as exc:
            raise ModelError(f"{where}: {self._by()} cannot load it as a .tflite model ({reason(exc)})") from exc
        self.input = only_input([_spec(detail) for detail in inputs], where)
        self._input_index = inputs[0]["index"]
        if not _is_fixed(inputs[0]):
            raise ModelError(f"{where}: its input has no fixed size {self.input.shape}; convert it with one")
        self.outputs = with_makers(self._outputs(outputs), model)
        place = choose(self.input, self.outputs)
        self.output, self._output_index = self.outputs[place], outputs[place]["index"]

    def _loaded(self, model: bytes) -> Any:
        """The interpreter; where its delegate refuses the model, one without, which is slower."""
        try:
            interpreter = self._made(model)
            self._look_at_delegate(interpreter)
            interpreter.allocate_tensors()
        except RuntimeError as exc:
            if not _blames_delegate(exc):
                raise
        else:
            return interpreter
        resolvers = self._module.OpResolverType
        self._settings["experimental_op_resolver_type"] = resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = self._allocated(model)
        self.notice = "XNNPACK refuses it; it runs on plain kernels, which are slower"
        return interpreter

    def _allocated(self, model: bytes) -> Any:
        interpreter = self._made(model)
        interpreter.allocate_tensors()
        return interpreter

    def _made(self, model: bytes) -> Any:
        """An interpreter to which an external delegate was applied, and no other yet. Raises DelegateError."""
        try:
            return self._module.Interpreter(model_content=model, **self._settings)
        except (ValueError, RuntimeError) as exc:
            if self._delegate is None:
                raise
            plain = {name: setting for name, setting in self._settings.items() if name != "experimental_delegates"}
            self._module.Interpreter(model_content=model, **plain)  # what this raises is not the delegate's fault
            raise DelegateError(blamed(self._delegate, self._where, f"refuses it ({refusal(exc)})")) from exc

    def _look_at_delegate(self, interpreter: Any) -> None:
        """Notes how many operators the external delegate took, before another one takes some."""
        if self._delegate is None:
            return
        operators = interpreter._get_ops_details()
        self.delegate_operators = len(delegated_operators(operators))
        if not self.delegate_operators:
            count = sum(not is_delegate(operator["op_name"]) for operator in operators)
            self.notice = f"the delegate {self.delegate} takes none of its {count} operators; the CPU runs them"

    def _by(self) -> str:
        return f"{self.runtime} with the delegate {self.delegate}" if self.delegate else self.runtime

    def _outputs(self, details: list[dict[str, Any]]) -> list[TensorSpec]:
        """The outputs; the shapes of those whose size is free are known after a run."""
        specs = [_spec(detail) for detail in details]
        if all(map(_is_fixed, details)):
            return specs
        self._run(np.zeros(self.input.shape, self.input.dtype))
        made = (self._read(detail["index"]) for detail in details)
        return [replace(spec, shape=array.shape) for spec, array in zip(specs, made, strict=True)]

    def invoke(self, x: NDArray[Any]) -> NDArray[Any]:
        self._run(x)
        return self._read(self._output_index)

    def _run(self, x: NDArray[Any]) -> None:
        try:
            self._interpreter.set_tensor(self._input_index, x)
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as exc:
            raise ModelError(f"{self._where}: {self._by()} cannot run it ({reason(exc)})") from exc

    def _read(self, index: int) -> NDArray[Any]:
        """A copy of an output; one of free size that no operator writes has no memory."""
        try:
            output: NDArray[Any] = self._interpreter.get_tensor(index)
        except (ValueError, RuntimeError) as exc:
            raise ModelError(f"{self._where}: {self.runtime} cannot read its output ({reason(exc)})") from exc
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
            interpreter = self._allocated(cut(readable(model), length, outputs))
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


def _spec(detail: dict[str, Any]) -> TensorSpec:
    scale, zero_point = detail["quantization"]
    shape = tuple(int(n) for n in detail["shape"])
    return TensorSpec(one_line(detail["name"]), shape, np.dtype(detail["dtype"]), float(scale), int(zero_point))


def _blames_delegate(exc: RuntimeError) -> bool:
    return "XNNPACK" in str(exc).upper() or is_delegate(str(exc))


def _is_fixed(detail: dict[str, Any]) -> bool:
    """Whether all sizes are known; a free batch size counts as 1. Runtimes crash on pictures without pixels."""
    return all(n > 0 for n in (*detail["shape"], *detail["shape_signature"][1:]))
