"""Models of one operator, written without TensorFlow: the schema comes with LiteRT."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session")
def tiny_model() -> Callable[..., bytes]:
    """`tiny_model(dtype, output=...)`: the bytes of a .tflite that calls a pixel by its strongest colour: 0, 1 or 2.

    It resizes a 9x17 picture to 5x9, and these are the scores (`output="scores"`). `"labels"` takes their argmax,
    `"both"` has both outputs, `"free"` learns the output size only while it runs, `"nothing"` lacks its tensors.
    `free_input` leaves the size of the picture open. `scale` and `zero_point` are those of both ends.
    """
    return build


def build(
    dtype: str = "float32", *, output: str = "scores", free_input: bool = False, scale: float = 0.0, zero_point: int = 0
) -> bytes:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    types = {"float32": 0, "int32": 2, "uint8": 3, "int64": 4, "int8": 9}
    buffers = [schema.BufferT(), _constant(np.array([5, 9], np.int32)), _constant(np.array([3], np.int32))]

    def tensor(name: str, shape: tuple[int, ...], kind: str, buffer: int = 0) -> Any:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name, list(shape), types[kind], buffer
        if kind == dtype and scale:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [scale], [zero_point]
        return made

    def operator(code: int, inputs: list[int], outputs: list[int], options: str, **values: object) -> Any:
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = code, inputs, outputs
        made.builtinOptionsType = getattr(schema.BuiltinOptions, options)
        made.builtinOptions = getattr(schema, options + "T")()
        for name, value in values.items():
            setattr(made.builtinOptions, name, value)
        return made

    graph = schema.SubGraphT()
    graph.tensors = [
        tensor("picture", (1, 1, 1, 3) if free_input else (1, 9, 17, 3), dtype),
        tensor("size", (2,), "int32", 1),
        tensor("scores", (1, 5, 9, 3), dtype),
        tensor("axis", (1,), "int32", 2),
        tensor("labels", (1, 5, 9), "int64"),
        tensor("made size", (2,), "int32"),
    ]
    if free_input:
        graph.tensors[0].shapeSignature = [1, -1, -1, 3]
    if output == "free":
        graph.tensors[2].shape, graph.tensors[2].shapeSignature = [1, 1, 1, 3], [1, -1, -1, 3]
    if output == "nothing":
        graph.tensors = None
    graph.inputs, graph.outputs = [0], {"labels": [4], "both": [2, 4]}.get(output, [2])
    size = 5 if output == "free" else 1
    graph.operators = [
        operator(0, [1, 1], [5], "MaximumMinimumOptions"),  # of the size and itself: unknown until it runs
        operator(1, [0, size], [2], "ResizeBilinearOptions", alignCorners=True),
        operator(2, [2, 3], [4], "ArgMaxOptions", outputType=types["int64"]),
    ]
    model = schema.ModelT()
    model.version, model.subgraphs, model.buffers = 3, [graph], buffers
    model.operatorCodes = [_code("MAXIMUM"), _code("RESIZE_BILINEAR"), _code("ARG_MAX")]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _constant(values: np.ndarray) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    made = schema.BufferT()
    made.data = np.frombuffer(values.tobytes(), np.uint8)
    return made


def _code(name: str) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    made = schema.OperatorCodeT()
    made.builtinCode = made.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
    made.version = 2
    return made
