"""Parses a .tflite into objects and packs them again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FLOAT32, FLOAT16, INT32, UINT8, INT64, INT16, INT8 = 0, 1, 2, 3, 4, 7, 9  # TensorType of the TensorFlow Lite schema
PLACEHOLDER_FOR_GREATER_OP_CODES = 127  # of the schema's older field, which is a byte
DTYPES = {FLOAT32: "float32", FLOAT16: "float16", INT32: "int32", UINT8: "uint8", INT64: "int64", INT8: "int8"}


def parse(model: bytes) -> Any:
    """Returns the objects (`ModelT` of the schema) of a .tflite.

    An operator's number is in two fields, of which older files fill the one and the quantizer the other, and readers
    look at either: here both have it. Older files give scalars no shape, for which the quantizer takes that of their
    bytes: here they have an empty one. Weights that lie behind the flatbuffer, as the quantizer leaves them, come as
    arrays too: bytes would be packed one by one, which takes seconds.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    parsed = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    for code in parsed.operatorCodes:
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
        code.deprecatedBuiltinCode = min(code.builtinCode, PLACEHOLDER_FOR_GREATER_OP_CODES)
    for buffer in parsed.buffers:
        if isinstance(buffer.data, bytearray):
            buffer.data = np.frombuffer(buffer.data, np.uint8)
    for tensor in (tensor for graph in parsed.subgraphs for tensor in graph.tensors):
        tensor.shape = np.array([], np.int32) if tensor.shape is None else tensor.shape
    return parsed


def pack(parsed: Any) -> bytes:
    """Returns the bytes of a .tflite."""
    from ai_edge_litert.tools import flatbuffer_utils

    return bytes(flatbuffer_utils.convert_object_to_bytearray(parsed))


def kind(parsed: Any, op: Any) -> int:
    """Returns an operator's number in `BuiltinOperator`."""
    return int(parsed.operatorCodes[op.opcodeIndex].builtinCode)


def values(parsed: Any, tensor: Any) -> NDArray[Any] | None:
    """Returns a constant's values as they are stored; None where the tensor is no constant, or of a type that weights
    have not.
    """
    data = parsed.buffers[tensor.buffer].data
    if data is None or not len(data) or tensor.type not in DTYPES:
        return None
    return np.frombuffer(bytes(data), DTYPES[tensor.type]).reshape(tuple(map(int, tensor.shape)))


def set_values(parsed: Any, tensor: Any, made: NDArray[Any]) -> None:
    """Gives a tensor values in a buffer of its own: constants that are equal may share one."""
    from ai_edge_litert.schema_py_generated import BufferT

    buffer = BufferT()
    buffer.data = np.frombuffer(made.tobytes(), np.uint8)
    tensor.buffer = len(parsed.buffers)
    parsed.buffers.append(buffer)


def makers(graph: Any) -> dict[int, Any]:
    """Returns the operator that makes each tensor, by the tensor's place."""
    return {int(index): op for op in graph.operators for index in op.outputs}


def drop_unread(parsed: Any) -> None:
    """Leaves out the operators and values of the first subgraph that nothing needs for its outputs."""
    graph = parsed.subgraphs[0]
    needed, left = {int(i) for i in graph.outputs}, []
    for op in reversed(graph.operators):
        if needed & {int(i) for i in op.outputs}:
            needed |= {int(i) for i in op.inputs}
            left.append(op)
    graph.operators = left[::-1]
    touched = {int(i) for ends in (graph, *left) for i in (*ends.inputs, *ends.outputs)}
    kept = sorted(touched - {-1})  # which is an input that is not given
    place = {old: new for new, old in enumerate(kept)}
    graph.tensors = [graph.tensors[old] for old in kept]
    for ends in (graph, *graph.operators):
        ends.inputs = np.array([place.get(int(i), -1) for i in ends.inputs], np.int32)
        ends.outputs = np.array([place[int(i)] for i in ends.outputs], np.int32)
    drop_unused_values(parsed)


def drop_unused_values(parsed: Any) -> None:
    """Leaves out the values that no tensor has any more."""
    used = {0} | {tensor.buffer for graph in parsed.subgraphs for tensor in graph.tensors}
    used |= {entry.buffer for entry in parsed.metadata or ()}
    for number, buffer in enumerate(parsed.buffers):
        if number not in used:
            buffer.data = None


def add_tensor(graph: Any, name: str, like: Any) -> int:
    """Adds a float32 tensor in the shape of another one, and returns its place."""
    from ai_edge_litert.schema_py_generated import TensorT

    made = TensorT()
    made.name, made.shape, made.shapeSignature, made.type = name.encode(), like.shape, like.shapeSignature, FLOAT32
    made.buffer = 0
    graph.tensors.append(made)
    return len(graph.tensors) - 1


def add_constant(parsed: Any, name: str, value: NDArray[np.float32]) -> int:
    """Adds a constant to the first subgraph, and returns its place."""
    from ai_edge_litert.schema_py_generated import TensorT

    graph, made = parsed.subgraphs[0], TensorT()
    made.name, made.shape, made.type = name.encode(), np.array(value.shape, np.int32), FLOAT32
    set_values(parsed, made, value)
    graph.tensors.append(made)
    return len(graph.tensors) - 1


def operator(parsed: Any, number: int, inputs: list[int], outputs: list[int], options: str, **fields: Any) -> Any:
    """Returns a new operator; `options` is the type of its options in the schema, `fields` what is set in them."""
    from ai_edge_litert import schema_py_generated as schema

    made = schema.OperatorT()
    made.opcodeIndex = _code(parsed, number)
    made.inputs, made.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
    made.builtinOptionsType = getattr(schema.BuiltinOptions, options)
    made.builtinOptions = getattr(schema, f"{options}T")()
    for name, value in fields.items():
        setattr(made.builtinOptions, name, value)
    return made


def _code(parsed: Any, number: int) -> int:
    """The place of an operator's code, which is added where the model has none."""
    from ai_edge_litert.schema_py_generated import OperatorCodeT

    for place, code in enumerate(parsed.operatorCodes):
        if code.builtinCode == number and not code.customCode:
            return place
    made = OperatorCodeT()
    made.builtinCode, made.deprecatedBuiltinCode = number, min(number, PLACEHOLDER_FOR_GREATER_OP_CODES)
    made.version = 1
    parsed.operatorCodes.append(made)
    return len(parsed.operatorCodes) - 1
