"""Tells what a model's operators say of it, from the file: runtimes hide or lose some of it.

The numbers of operators are those of BuiltinOperator in tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from edge.data import TensorSpec, Values
from edge.engine.flatbuffer import (
    CODE_BUILTIN,
    CODE_CUSTOM,
    CODE_OLD,
    GRAPH_OPERATORS,
    GRAPH_OUTPUTS,
    MODEL_CODES,
    OPERATOR_CODE,
    OPERATOR_INPUTS,
    OPERATOR_OUTPUTS,
    field,
    follow,
    number,
    numbers,
    subgraphs,
    tables,
    text,
)

# RESHAPE, SQUEEZE, EXPAND_DIMS, TRANSPOSE, CAST, QUANTIZE, DEQUANTIZE, RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR, SLICE,
# STRIDED_SLICE: what they make is what they were given, laid out or stored otherwise.
_LAYS_OUT = frozenset({22, 43, 70, 39, 53, 114, 6, 23, 97, 65, 45})
# ARG_MAX, ARG_MIN; GREATER, GREATER_EQUAL, LESS, LESS_EQUAL, EQUAL, NOT_EQUAL; FLOOR, CEIL, ROUND
_MAKES_IDS = frozenset({56, 79, 61, 62, 58, 63, 71, 72, 8, 104, 116})
_MAKES_PROBABILITIES = frozenset({14, 25})  # LOGISTIC, SOFTMAX
_KEEPS_LAYOUT = _MAKES_PROBABILITIES | {53, 114, 6}  # and CAST, QUANTIZE, DEQUANTIZE
# CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV, RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR
_CHANNELS_LAST = frozenset({3, 4, 67, 23, 97})
EDGE_TPU = "edgetpu-custom-op"


def custom_operators(model: bytes) -> set[str]:
    """Returns the names of the operators that are none of TensorFlow Lite's own."""
    codes = tables(model, follow(model, 0), MODEL_CODES)
    return {text(model, code, CODE_CUSTOM) for code in codes if field(model, code, CODE_CUSTOM)}


Makers = dict[int, tuple[int, list[int]]]  # of each tensor: the operator that makes it, and that one's inputs


def with_makers(outputs: list[TensorSpec], model: bytes) -> tuple[TensorSpec, ...]:
    """Returns the outputs of a model with what the operators that make them say of values and layout."""
    makers, tensors = _makers(model)
    if len(tensors) != len(outputs):
        return tuple(outputs)
    return tuple(
        replace(
            spec,
            values=_values(_source(makers, tensor, _LAYS_OUT)),
            channels_last=_source(makers, tensor, _KEEPS_LAYOUT) in _CHANNELS_LAST,
        )
        for spec, tensor in zip(outputs, tensors, strict=True)
    )


def _makers(model: bytes) -> tuple[Makers, list[int]]:
    """What makes the tensors of the main graph, and its outputs."""
    graphs = subgraphs(model)
    if not graphs:
        return {}, []
    codes = [builtin(model, code) for code in tables(model, follow(model, 0), MODEL_CODES)]
    makers: Makers = {}
    for operator in tables(model, graphs[0], GRAPH_OPERATORS):
        place = field(model, operator, OPERATOR_CODE)
        code = number(model, place) if place else 0
        inputs = numbers(model, operator, OPERATOR_INPUTS)
        made = numbers(model, operator, OPERATOR_OUTPUTS)
        makers |= dict.fromkeys(made, (codes[code] if code < len(codes) else -1, inputs))
    return makers, numbers(model, graphs[0], GRAPH_OUTPUTS)


def _source(makers: Makers, tensor: int, looked_through: Collection[int]) -> int:
    """The first operator, from a tensor backwards, that is none of those looked through; -1 where there is none."""
    for _ in range(len(makers)):  # a damaged file may go in circles
        code, inputs = makers.get(tensor, (-1, []))
        if code not in looked_through or not inputs:
            return code
        tensor = inputs[0]
    return -1


def _values(maker: int) -> Values:
    if maker in _MAKES_IDS:
        return "ids"
    return "probabilities" if maker in _MAKES_PROBABILITIES else "unknown"


def builtin(model: bytes, code: int) -> int:
    """Returns the number of an operator; the older of its two fields has one byte."""
    old, new = field(model, code, CODE_OLD), field(model, code, CODE_BUILTIN)
    return max(number(model, old, 1) if old else 0, number(model, new) if new else 0)
