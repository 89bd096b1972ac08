"""Models of few operators, written without TensorFlow: the schema comes with LiteRT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = {
    "float32": 0,
    "float16": 1,
    "int32": 2,
    "uint8": 3,
    "int64": 4,
    "bool": 6,
    "int16": 7,
    "int8": 9,
    "uint32": 15,
    "uint16": 16,
}
HW = 9, 17  # of the picture


@dataclass
class Graph:
    """A graph in the making; tensors are named by their places."""

    tensors: list[Any] = field(default_factory=list)
    operators: list[Any] = field(default_factory=list)
    codes: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])

    def tensor(
        self,
        name: str | bytes,
        shape: Sequence[int],
        dtype: str = "float32",
        *,
        scale: float = 0.0,
        zero_point: int = 0,
        scales: int = 1,
    ) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.type = name, list(shape), TYPES[dtype]
        if scale:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [scale] * scales, [zero_point] * scales
        self.tensors.append(made)
        return len(self.tensors) - 1

    def constant(self, values: np.ndarray, **quantization: Any) -> int:
        place = self.tensor(f"constant {len(self.tensors)}", values.shape, values.dtype.name, **quantization)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.buffers.append(buffer)
        self.tensors[place].buffer = len(self.buffers) - 1
        return place

    def operator(
        self, kind: str | bytes, inputs: Sequence[int], outputs: Sequence[int], options: str = "", **values: Any
    ) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, str(kind), schema.BuiltinOperator.CUSTOM)
        code.deprecatedBuiltinCode, code.version = code.builtinCode, 1
        if code.builtinCode == schema.BuiltinOperator.CUSTOM:
            code.customCode = kind
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = len(self.codes), list(inputs), list(outputs)
        if options:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            made.builtinOptions = getattr(schema, options + "T")()
            for name, value in values.items():
                setattr(made.builtinOptions, name, value)
        self.codes.append(code)
        self.operators.append(made)

    def subgraph(self, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
        made = schema.SubGraphT()
        made.tensors, made.operators = self.tensors, self.operators
        made.inputs, made.outputs = list(inputs), list(outputs)
        return made

    def packed(
        self, inputs: Sequence[int], outputs: Sequence[int], *others: Any, signatures: Sequence[Any] = ()
    ) -> bytes:
        model = schema.ModelT()
        model.version, model.subgraphs = 3, [self.subgraph(inputs, outputs), *others]
        model.buffers, model.operatorCodes = self.buffers, self.codes
        model.signatureDefs = list(signatures)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def strongest_colour(
    dtype: str = "float32", *, output: str = "scores", free_input: bool = False, scale: float = 0.0, zero_point: int = 0
) -> bytes:
    """Returns the model of the fixture `tiny_model`, which says what it is."""
    graph, quantized = Graph(), {"scale": scale, "zero_point": zero_point}
    picture = graph.tensor("picture", (1, 1, 1, 3) if free_input else (1, *HW, 3), dtype, **quantized)
    size = graph.constant(np.array([5, 9], np.int32))
    scores = graph.tensor("scores", (1, 1, 1, 3) if output == "free" else (1, 5, 9, 3), dtype, **quantized)
    axis = graph.constant(np.array([3], np.int32))
    labels, made_size = graph.tensor("labels", (1, 5, 9), "int64"), graph.tensor("made size", (2,), "int32")
    if free_input:
        graph.tensors[picture].shapeSignature = [1, -1, -1, 3]
    if output == "free":
        graph.tensors[scores].shapeSignature = [1, -1, -1, 3]
    # Of the size and itself: unknown until it runs.
    graph.operator("MAXIMUM", [size, size], [made_size], "MaximumMinimumOptions")
    resized = [picture, made_size if output == "free" else size]
    graph.operator("RESIZE_BILINEAR", resized, [scores], "ResizeBilinearOptions", alignCorners=True)
    graph.operator("ARG_MAX", [scores, axis], [labels], "ArgMaxOptions", outputType=TYPES["int64"])
    if output == "unwritten":
        scores = graph.tensor("scores", (1, 1, 1, 3), dtype)
        graph.tensors[scores].shapeSignature = [1, -1, -1, 3]
    if output == "nothing":
        graph.tensors = None
    return graph.packed([picture], {"labels": [labels], "both": [scores, labels]}.get(output, [scores]))


def channels_first(*, name: str = "scores") -> bytes:
    """The scores of red, green and blue at the picture's own size, (1, 3, 9, 17)."""
    graph = Graph()
    picture, scores = graph.tensor("picture", (1, *HW, 3)), graph.tensor(name, (1, 3, *HW))
    graph.operator(
        "TRANSPOSE", [picture, graph.constant(np.array([0, 3, 1, 2], np.int32))], [scores], "TransposeOptions"
    )
    return graph.packed([picture], [scores])


def channels_first_throughout() -> bytes:
    """A picture (1, 3, 9, 17) whose channels are the scores, and stay where they are."""
    graph = Graph()
    picture, scores = graph.tensor("picture", (1, 3, *HW)), graph.tensor("scores", (1, 3, *HW))
    graph.operator("ADD", [picture, picture], [scores], "AddOptions")
    return graph.packed([picture], [scores])


def blueness(
    dtype: str = "float32",
    *,
    sigmoid: bool = True,
    shape: Sequence[int] = (1, *HW, 1),
    scale: float = 0.0,
    zero_point: int = 0,
) -> bytes:
    """One score per pixel: blue, of a picture from -1 to 1; behind a sigmoid or not; quantized where it has a scale."""
    graph = Graph()
    picture, blue = graph.tensor("picture", (1, *HW, 3)), graph.tensor("blue", (1, *HW, 1))
    numbers = [graph.constant(np.array(part, np.int32)) for part in ([0, 0, 0, 2], [1, *HW, 1])]
    graph.operator("SLICE", [picture, *numbers], [blue], "SliceOptions")
    last = blue
    if sigmoid:
        last = graph.tensor("probability", (1, *HW, 1))
        graph.operator("LOGISTIC", [blue], [last])
    if scale:
        quantized = graph.tensor("quantized", (1, *HW, 1), dtype, scale=scale, zero_point=zero_point)
        graph.operator("QUANTIZE", [last], [quantized], "QuantizeOptions")
        last = quantized
    return graph.packed([picture], [_shaped(graph, last, shape, dtype, scale, zero_point)])


def _shaped(graph: Graph, tensor: int, shape: Sequence[int], dtype: str, scale: float, zero_point: int) -> int:
    if list(shape) == graph.tensors[tensor].shape:
        return tensor
    made = graph.tensor("shaped", shape, dtype, scale=scale, zero_point=zero_point)
    sizes = graph.constant(np.array(shape, np.int32))
    graph.operator("RESHAPE", [tensor, sizes], [made], "ReshapeOptions", newShape=list(shape))
    return made


def strongest(dtype: str = "int64", *, shape: Sequence[int] = (1, *HW), times: int = 1) -> bytes:
    """Labels of any dtype and shape: 0, 1 or 2 for red, green or blue, `times` a number where that is not 1."""
    graph = Graph()
    picture, first = graph.tensor("picture", (1, *HW, 3)), graph.tensor("labels", (1, *HW), "int32")
    axis = graph.constant(np.array([3], np.int32))
    graph.operator("ARG_MAX", [picture, axis], [first], "ArgMaxOptions", outputType=TYPES["int32"])
    last = first
    if times != 1:
        last = graph.tensor("more", (1, *HW), "int32")
        graph.operator("MUL", [first, graph.constant(np.array([times], np.int32))], [last], "MulOptions")
    if dtype != "int32":
        cast = graph.tensor("cast", (1, *HW), dtype)
        graph.operator("CAST", [last], [cast], "CastOptions", inDataType=TYPES["int32"], outDataType=TYPES[dtype])
        last = cast
    return graph.packed([picture], [_shaped(graph, last, shape, dtype, 0.0, 0)])


def several(*names: str | bytes) -> bytes:
    """The picture itself as scores, once under each name."""
    graph = Graph()
    picture = graph.tensor("picture", (1, *HW, 3))
    outputs = [graph.tensor(name, (1, *HW, 3)) for name in names]
    for times, output in enumerate(outputs, start=1):
        graph.operator("MUL", [picture, graph.constant(np.array([times], np.float32))], [output], "MulOptions")
    return graph.packed([picture], outputs)


def refused_by_xnnpack() -> bytes:
    """An int8 convolution from colours to colours whose scales XNNPACK takes no part in."""
    graph = Graph()
    picture = graph.tensor("picture", (1, *HW, 3), "int8", scale=1.0, zero_point=-128)
    weights = graph.constant(np.eye(3, dtype=np.int8).reshape(3, 1, 1, 3), scale=1000.0, scales=3)
    bias = graph.constant(np.zeros(3, np.int32), scale=1000.0, scales=3)
    scores = graph.tensor("scores", (1, *HW, 3), "int8", scale=1.0)
    strides = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1}
    graph.operator("CONV_2D", [picture, weights, bias], [scores], "Conv2DOptions", **strides)
    return graph.packed([picture], [scores])


def crashing() -> bytes:
    """An int8 sum whose scales no kernel checks and none can take: LiteRT aborts the process."""
    graph = Graph()
    picture = graph.tensor("picture", (1, *HW, 3), "int8", scale=1.0, zero_point=-128)
    scores = graph.tensor("scores", (1, *HW, 3), "int8", scale=1e-6)
    graph.operator("ADD", [picture, picture], [scores], "AddOptions")
    return graph.packed([picture], [scores])


def signed(name: bytes, key: bytes) -> bytes:
    """A model whose signature has these names."""
    graph = Graph()
    picture, scores = graph.tensor("picture", (1, *HW, 3)), graph.tensor("scores", (1, *HW, 3))
    graph.operator("ADD", [picture, picture], [scores], "AddOptions")
    given, signature = schema.TensorMapT(), schema.SignatureDefT()
    given.name, given.tensorIndex = name, picture
    signature.inputs, signature.outputs, signature.signatureKey = [given], [], key
    return graph.packed([picture], [scores], signatures=[signature])


def custom(name: str | bytes) -> bytes:
    """One operator that is none of TensorFlow Lite's own."""
    graph = Graph()
    picture, scores = graph.tensor("picture", (1, *HW, 3)), graph.tensor("scores", (1, *HW, 3))
    graph.operator(name, [picture], [scores])
    return graph.packed([picture], [scores])


def endless() -> bytes:
    """A loop whose condition always holds."""
    graph = Graph()
    picture, scores = graph.tensor("picture", (1, *HW, 3)), graph.tensor("scores", (1, *HW, 3))
    goes_on, step = (Graph(codes=graph.codes, buffers=graph.buffers) for _ in range(2))
    x, largest, holds = (
        goes_on.tensor("x", (1, *HW, 3)),
        goes_on.tensor("largest", ()),
        goes_on.tensor("holds", (), "bool"),
    )
    axes = goes_on.constant(np.arange(4, dtype=np.int32))
    goes_on.operator("REDUCE_MAX", [x, axes], [largest], "ReducerOptions")
    goes_on.operator("LESS", [largest, goes_on.constant(np.array(1e9, np.float32))], [holds], "LessOptions")
    before, after = step.tensor("before", (1, *HW, 3)), step.tensor("after", (1, *HW, 3))
    step.operator("MUL", [before, step.constant(np.array(1, np.float32))], [after], "MulOptions")
    graph.operator("WHILE", [picture], [scores], "WhileOptions", condSubgraphIndex=1, bodySubgraphIndex=2)
    return graph.packed([picture], [scores], goes_on.subgraph([x], [holds]), step.subgraph([before], [after]))
