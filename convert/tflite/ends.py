"""Gives a quantized .tflite an input and an output of another dtype: MediaPipe takes uint8 and float32, not int8.

One operator stands between such an end and the network, which stays as it is. Between int8 and uint8 scales are equal
and zeros lie 128 apart, for which the runtimes flip one bit of each value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from convert.ranges import Range
from convert.tflite.flatbuffer import FLOAT32, INT8, UINT8, operator, pack, parse
from edge.errors import UsageError

EndType = Literal["float32", "uint8", "int8"]
END_TYPES: tuple[EndType, ...] = get_args(EndType)

_NUMBERS = {"float32": FLOAT32, "uint8": UINT8, "int8": INT8}
_LOWEST = {UINT8: 0, INT8: -128}
_STEPS = 255


@dataclass(frozen=True, slots=True)
class Ends:
    """The dtypes of a quantized model's input and output; None leaves what the quantizer made.

    Raises UsageError for others than `END_TYPES`.
    """

    input: EndType | None = None
    output: EndType | None = None

    def __post_init__(self) -> None:
        for name in ("input", "output"):
            value = getattr(self, name)
            if value not in (None, *END_TYPES):
                raise UsageError(f"expected one of {', '.join(END_TYPES)}, got {value!r}", f"{name}_type")

    @property
    def asked(self) -> bool:
        return self.input is not None or self.output is not None

    @property
    def suffix(self) -> str:
        """What tells such files from others in their names; empty where nothing is asked for."""
        said = (("in", self.input), ("out", self.output))
        return "".join(f"-{end}-{dtype}" for end, dtype in said if dtype not in (None, "int8"))


AS_MADE = Ends()  # as the quantizer makes them


def with_ends(model: bytes, ends: Ends, ranges: Mapping[str, Range]) -> bytes:
    """Returns a .tflite with the ends that are asked for.

    `ranges` has those of its input and its output, by tensor name, for where one of them is in float.
    """
    if not ends.asked:
        return model
    parsed = parse(model)
    graph = parsed.subgraphs[0]
    if ends.input is not None and (source := _outer(parsed, int(graph.inputs[0]), ends.input, ranges)) is not None:
        inner = int(graph.inputs[0])
        graph.operators.insert(0, _between(parsed, source, inner))
        graph.inputs = np.array([source], np.int32)
        _rename(parsed, "inputs", inner, source)
    if ends.output is not None and (result := _outer(parsed, int(graph.outputs[0]), ends.output, ranges)) is not None:
        inner = int(graph.outputs[0])
        graph.operators.append(_between(parsed, inner, result))
        graph.outputs = np.array([result], np.int32)
        _rename(parsed, "outputs", inner, result)
    return pack(parsed)


def _outer(parsed: Any, inner: int, wanted: EndType, ranges: Mapping[str, Range]) -> int | None:
    """Adds the tensor that takes the place of an end, under its name; None where it has that dtype already."""
    from ai_edge_litert.schema_py_generated import QuantizationParametersT, TensorT

    graph = parsed.subgraphs[0]
    tensor, number = graph.tensors[inner], _NUMBERS[wanted]
    if tensor.type == number:
        return None
    made = TensorT()
    made.name, made.shape, made.shapeSignature, made.type = tensor.name, tensor.shape, tensor.shapeSignature, number
    made.buffer = 0
    if number != FLOAT32:
        made.quantization = QuantizationParametersT()
        scale, zero_point = _quantization(tensor, number, ranges)
        made.quantization.scale = np.array([scale], np.float32)
        made.quantization.zeroPoint = np.array([zero_point], np.int64)
    tensor.name = tensor.name + b"/inner"
    graph.tensors.append(made)
    return len(graph.tensors) - 1


def _quantization(tensor: Any, number: int, ranges: Mapping[str, Range]) -> tuple[float, int]:
    """Scale and zero point of an integer end."""
    if tensor.type != FLOAT32:
        shift = _LOWEST[number] - _LOWEST[tensor.type]
        return float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0]) + shift
    known = ranges[tensor.name.decode()]
    low, high = min(known.low, 0.0), max(known.high, 0.0)
    scale = max((high - low) / _STEPS, 1e-9)
    # Halves downwards: DeepLab's grey levels lie half-way between stored values, and none is to be clipped.
    return scale, _LOWEST[number] + math.floor(-low / scale + 0.5 - 1e-3)


def _between(parsed: Any, source: int, target: int) -> Any:
    """An operator that brings one tensor to the dtype of another."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    tensors = parsed.subgraphs[0].tensors
    if tensors[target].type == FLOAT32:
        return operator(parsed, BuiltinOperator.DEQUANTIZE, [source], [target], "DequantizeOptions")
    return operator(parsed, BuiltinOperator.QUANTIZE, [source], [target], "QuantizeOptions")


def _rename(parsed: Any, ends: str, inner: int, outer: int) -> None:
    """Lets signatures name the new tensor."""
    for signature in parsed.signatureDefs or ():
        for entry in getattr(signature, ends) or ():
            if entry.tensorIndex == inner:
                entry.tensorIndex = outer
