"""Runs models on OpenVINO, which reads the same .tflite."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.data import TensorSpec
from edge.engine.base import ChooseOutput, Operator, only_input
from edge.engine.flatbuffer import check_subgraphs, readable
from edge.engine.openvino_core import openvino_core
from edge.engine.openvino_rewrites import respell_file, respell_weights
from edge.engine.openvino_saturation import is_quantized, losing, reduce_weights, saturates
from edge.engine.operators import with_makers
from edge.engine.partitions import Partitions
from edge.engine.runtimes import RUNTIMES, import_runtime
from edge.errors import ModelError, RuntimeMissing
from edge.leftovers import TemporaryFolder
from edge.text import one_line, reason


class OpenVinoEngine:
    """An `edge.engine.base.Engine` on OpenVINO. `counters` makes OpenVINO time its nodes, which costs a little.

    It raises ModelError here and in `invoke` for what the runtime refuses, RuntimeMissing where there is no bf16.
    """

    notice = ""
    delegate, delegate_operators = "", 0

    def __init__(
        self, model: bytes, where: str, runtime: str, threads: int, choose: ChooseOutput, *, counters: bool = False
    ) -> None:
        import_runtime(runtime)
        flatbuffers = import_runtime(runtime, "ai_edge_litert.tools.flatbuffer_utils", "litert")
        self.runtime, self.threads, self.where = runtime, threads, where
        precision = RUNTIMES[runtime].precision
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
            "PERF_COUNT": counters,
            "ENABLE_CPU_PINNING": False,  # which loses time where others want the same core
        }
        core = openvino_core()
        if precision.upper() not in (*core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"), "F32"):
            raise RuntimeMissing(f"{runtime}: this processor has no {precision}; use openvino")
        try:
            check_subgraphs(model)
            import_runtime(runtime, "ai_edge_litert.interpreter", "litert").Interpreter(model_content=model)
            # It has verified the bytes, which what parses them does not.
            parsed = flatbuffers.read_model_from_bytearray(bytearray(model))
            self.input, self.outputs = _ends(parsed, model, where)
            self.place = choose(self.input, self.outputs)
            self.output = self.outputs[self.place]
            respell_file(parsed)
            with TemporaryFolder() as folder:
                path = Path(folder, "model.tflite")  # OpenVINO tells the format by the name
                path.write_bytes(flatbuffers.convert_object_to_bytearray(parsed))
                self._model = core.read_model(path)
                respell_weights(self._model)
                narrow = is_quantized(self._model) and saturates()
                safe, self.reduced_layers = reduce_weights(self._model) if narrow else (set(), 0)
                compiled = core.compile_model(self._model, "CPU", settings)
            lossy = losing(compiled, safe) if narrow else []
            self._request = compiled.create_infer_request()
        except (
            ValueError,
            RuntimeError,
            IndexError,
            TypeError,
            AttributeError,
        ) as exc:  # the last three: damaged files
            raise ModelError(f"{where}: {runtime} cannot load it as a .tflite model ({reason(exc)})") from exc
        if lossy:
            raise ModelError(
                f"{where}: {runtime} adds int8 products in 16 bits on this processor, and its operator {lossy[0]:.80} "
                "multiplies no weights that could be made smaller for that; use `runtime` litert"
            )

    def invoke(self, x: NDArray[Any]) -> NDArray[Any]:
        if x.shape != self.input.shape or x.dtype != self.input.dtype:
            raise ModelError(f"{self.where}: {self.runtime} cannot run it (its input is {self.input.shape})")
        try:
            self._request.infer({0: x})
            output: NDArray[Any] = self._request.get_output_tensor(self.place).data.copy()
        except RuntimeError as exc:
            raise ModelError(f"{self.where}: {self.runtime} cannot run it ({reason(exc)})") from exc
        if output.shape != self.output.shape:
            found = f"its output is {output.shape}, not {self.output.shape} as the file says"
            raise ModelError(f"{self.where}: {self.runtime} cannot run it ({found})")
        return output

    def partitions(self) -> Partitions:
        """Returns one part: OpenVINO compiles the whole model."""
        return Partitions(1, 0)

    def operators(self) -> Counter[str]:
        """Returns how often each kind of node occurs in OpenVINO's spelling."""
        return Counter(node.get_type_name() for node in self._model.get_ordered_ops())

    def macs(self) -> int:
        """Returns the multiply-accumulates of the convolutions: weights are (out, in, h, w), grouped (groups, out, in,
        h, w).
        """
        kernel_from = {"Convolution": 1, "GroupConvolution": 2}
        return sum(
            math.prod(node.output(0).shape) * math.prod(node.input_value(1).shape[kernel_from[kind] :])
            for node in self._model.get_ordered_ops()
            if (kind := node.get_type_name()) in kernel_from
        )

    def layer_timer(self, model: bytes, x: NDArray[Any]) -> CounterTimer:
        return CounterTimer(model, x, self)

    def counters(self) -> list[tuple[Operator, float]]:
        """Returns the nodes that ran in the last invoke and the seconds of each, where counters were asked for."""
        return [
            (Operator(f"{node.node_type} {node.exec_type}", node.node_name), node.real_time.total_seconds())
            for node in self._request.get_profiling_info()
            if node.real_time.total_seconds() > 0
        ]


class CounterTimer:
    """A timer of nodes by OpenVINO's own counters, on an engine of its own, since counting costs a little."""

    prefix: Callable[[int], Callable[[], None]] | None = None

    def __init__(self, model: bytes, x: NDArray[Any], like: OpenVinoEngine) -> None:
        self._x = x
        self._engine = OpenVinoEngine(
            readable(model), like.where, like.runtime, like.threads, lambda *_: like.place, counters=True
        )
        self._engine.invoke(x)
        self.operators = [operator for operator, _ in self._engine.counters()]
        self.count: Callable[[], list[float]] | None = self._count

    def _count(self) -> list[float]:
        self._engine.invoke(self._x)
        return [seconds for _, seconds in self._engine.counters()]


def _ends(parsed: Any, model: bytes, where: str) -> tuple[TensorSpec, tuple[TensorSpec, ...]]:
    graph = parsed.subgraphs[0]
    first = only_input([_spec(graph.tensors[i]) for i in graph.inputs], where)
    outputs = with_makers([_spec(graph.tensors[i]) for i in graph.outputs], model)
    for spec, what in ((first, "input"), *((spec, "output") for spec in outputs)):
        if min(spec.shape, default=0) < 1:
            raise ModelError(f"{where}: its {what} has no fixed size {spec.shape}; convert it with one")
    return first, outputs


_DTYPES = ("float32", "float64", "uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "bool")


def _spec(tensor: Any) -> TensorSpec:
    from ai_edge_litert import schema_py_generated as schema

    dtypes = {getattr(schema.TensorType, name.upper()): name for name in _DTYPES}
    quantization = tensor.quantization
    known = quantization is not None and quantization.scale is not None and len(quantization.scale) == 1
    scale, zero_point = (float(quantization.scale[0]), int(quantization.zeroPoint[0])) if known else (0.0, 0)
    signature = tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature
    shape = tuple(int(n) if i == 0 else int(min(n, signature[i])) for i, n in enumerate(tensor.shape))
    dtype = np.dtype(dtypes.get(tensor.type, "O"))
    return TensorSpec(one_line((tensor.name or b"").decode()), shape, dtype, scale, zero_point)
