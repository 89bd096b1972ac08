"""Writes a float .tflite in forms that stay whole on the delegate when quantized, as `convert.graph.int8_forms` does
with graphs, which says why.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convert.tflite.flatbuffer import add_constant, add_tensor, kind, operator, pack, parse

_RELUS = {"RELU": 1, "RELU6": 3}  # BuiltinOperator -> ActivationFunctionType
_RELU6, _VALID = 3, 1  # of ActivationFunctionType, and of Padding


def spelled_for_integers(model: bytes) -> bytes:
    """Returns the same network without HARD_SWISH and without Relus that are operators of their own."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    parsed = parse(model)
    graph, relus = parsed.subgraphs[0], {getattr(BuiltinOperator, name): act for name, act in _RELUS.items()}
    made = []
    for op in graph.operators:
        number = kind(parsed, op)
        if number == BuiltinOperator.HARD_SWISH:
            made += _hard_swish(parsed, op)
        elif number in relus and len(graph.tensors[int(op.inputs[0])].shape) == 4:
            made.append(_pooled(parsed, op, relus[number]))
        else:
            made.append(op)
    graph.operators = made
    return pack(parsed)


def _hard_swish(parsed: Any, op: Any) -> list[Any]:
    """(x / 6) * relu6(x + 3)."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    graph, x, result = parsed.subgraphs[0], int(op.inputs[0]), int(op.outputs[0])
    name, like = graph.tensors[result].name.decode(), graph.tensors[result]
    gate, scaled = add_tensor(graph, f"{name}/gate", like), add_tensor(graph, f"{name}/scaled", like)
    three, sixth = (
        add_constant(parsed, f"{name}/{what}", np.array(value, np.float32))
        for what, value in (("three", 3), ("sixth", 1 / 6))
    )
    add, mul = BuiltinOperator.ADD, BuiltinOperator.MUL
    return [
        operator(parsed, add, [x, three], [gate], "AddOptions", fusedActivationFunction=_RELU6),
        operator(parsed, mul, [x, sixth], [scaled], "MulOptions"),
        operator(parsed, mul, [scaled, gate], [result], "MulOptions"),
    ]


def _pooled(parsed: Any, op: Any, activation: int) -> Any:
    """A pool of one pixel with the Relu as its activation."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    return operator(
        parsed,
        BuiltinOperator.MAX_POOL_2D,
        [int(op.inputs[0])],
        [int(op.outputs[0])],
        "Pool2DOptions",
        padding=_VALID,
        strideH=1,
        strideW=1,
        filterHeight=1,
        filterWidth=1,
        fusedActivationFunction=activation,
    )
