"""Takes the network out of a .tflite: from the picture to the scores, all in float32."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.tflite.flatbuffer import (
    DTYPES,
    FLOAT16,
    FLOAT32,
    INT8,
    INT16,
    UINT8,
    drop_unread,
    kind,
    makers,
    pack,
    parse,
    set_values,
    values,
)
from edge.data import Upsampling
from edge.errors import ModelError


@dataclass(frozen=True, slots=True)
class FloatNetwork:
    """A network in float32."""

    model: bytes  # a .tflite from the picture, float32 (1, H, W, 3), to the scores, float32 (1, h, w, classes)
    whole: bytes  # the same with all that came after the scores, and all outputs
    output_stride: int | None  # by its depthwise convolutions; None where it has none
    upsampling: Upsampling | None  # of the resize that enlarged the scores to the picture's size; None without one
    stored: frozenset[str]  # the types that weights were stored in


def float_network(model: bytes, output: int, where: str) -> FloatNetwork:
    """Returns the network that makes the output at that place among all.

    Weights in float16 or int8 get back the values that they stand for. What comes after the scores is left out: the
    resize to the picture's size, softmax, argmax. Raises ModelError for a model whose activations are integers.
    """
    parsed = parse(model)
    if len(parsed.subgraphs) != 1:
        raise ModelError(f"{where}: has {len(parsed.subgraphs)} subgraphs; expected a network without control flow")
    graph = parsed.subgraphs[0]
    _check_float(parsed, where)
    _check_sizes(parsed, where)
    _name_tensors(graph)
    stored = _unpack_weights(parsed)
    whole = pack(parsed)
    scores, upsampling = _scores(parsed, int(graph.outputs[output]))
    graph.outputs = np.array([scores], np.int32)
    drop_unread(parsed)
    _check_whole(parsed, where)
    parsed.signatureDefs = parsed.metadata = parsed.metadataBuffer = None  # which name what is no more
    return FloatNetwork(pack(parsed), whole, _output_stride(parsed), upsampling, stored)


def _check_float(parsed: Any, where: str) -> None:
    graph = parsed.subgraphs[0]
    made = [int(i) for i in graph.inputs] + [int(i) for op in graph.operators for i in op.outputs]
    if any(graph.tensors[i].type in (INT8, UINT8, INT16) for i in made):
        raise ModelError(
            f"{where}: its activations are quantized already; give the float .tflite or the frozen graph that it was "
            "made from"
        )


def _check_sizes(parsed: Any, where: str) -> None:
    """The runtime takes constants of more bytes than their shapes have room for."""
    for tensor in parsed.subgraphs[0].tensors:
        data = parsed.buffers[tensor.buffer].data
        if data is None or not len(data) or tensor.type not in DTYPES:
            continue
        needed = math.prod(map(int, tensor.shape)) * np.dtype(DTYPES[tensor.type]).itemsize
        if len(data) != needed:
            name = (tensor.name or b"a tensor").decode(errors="replace")
            raise ModelError(f"{where}: {name} has {len(data)} bytes and a shape for {needed}: it is damaged")


def _check_whole(parsed: Any, where: str) -> None:
    graph = parsed.subgraphs[0]
    there = {int(i) for i in graph.inputs} | set(makers(graph))
    for place in sorted({int(i) for op in graph.operators for i in op.inputs} - there - {-1}):
        data = parsed.buffers[graph.tensors[place].buffer].data
        if data is None or not len(data):
            name = graph.tensors[place].name.decode(errors="replace")
            raise ModelError(f"{where}: reads {name}, which it neither holds nor makes: it is damaged")


def _name_tensors(graph: Any) -> None:
    """Gives every tensor a name of its own, by which ranges are kept and operators left in float."""
    taken: set[bytes] = set()
    for place, tensor in enumerate(graph.tensors):
        name = tensor.name or b"tensor"
        tensor.name = name if name not in taken else b"%s_%d" % (name, place)
        taken.add(tensor.name)


def _unpack_weights(parsed: Any) -> frozenset[str]:
    """Turns stored weights into float32, and leaves out the operators that did so while it ran."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator, TensorType

    graph = parsed.subgraphs[0]
    names = {number: name.lower() for name, number in vars(TensorType).items() if not name.startswith("_")}
    stored, same, left = set[str](), dict[int, int](), []
    for op in graph.operators:
        if (
            kind(parsed, op) == BuiltinOperator.DEQUANTIZE
            and values(parsed, graph.tensors[int(op.inputs[0])]) is not None
        ):
            same[int(op.outputs[0])] = int(op.inputs[0])
        else:
            left.append(op)
    graph.operators = left
    for op in graph.operators:
        op.inputs = np.array([same.get(int(i), int(i)) for i in op.inputs], np.int32)
    for tensor in graph.tensors:
        weights = values(parsed, tensor) if tensor.type in (FLOAT16, INT8) else None
        if weights is not None:
            stored.add(names[tensor.type])
            set_values(parsed, tensor, _real(weights, tensor.quantization))
            tensor.type, tensor.quantization = FLOAT32, None
    return frozenset(stored)


def _real(weights: NDArray[Any], quantization: Any) -> NDArray[np.float32]:
    """The values that stored weights stand for: (q - zero point) * scale, along the channels' axis."""
    if weights.dtype == np.float16:
        return weights.astype(np.float32)
    along = [1] * weights.ndim
    if len(quantization.scale) > 1:
        along[quantization.quantizedDimension] = len(quantization.scale)
    scale = np.reshape(np.asarray(quantization.scale, np.float32), along)
    zero = np.reshape(np.asarray(quantization.zeroPoint, np.float32), along)
    return ((weights.astype(np.float32) - zero) * scale).astype(np.float32)


def _scores(parsed: Any, output: int) -> tuple[int, Upsampling | None]:
    """The place of the scores that lead to an output, and how they are enlarged on their way."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator as Kind

    graph = parsed.subgraphs[0]
    made, upsampling = makers(graph), None
    height, width = (int(n) for n in graph.tensors[int(graph.inputs[0])].shape[1:3])
    at = _before_argmax(parsed, output, made)
    while at in made:
        op = made[at]
        before, number = int(op.inputs[0]), kind(parsed, op)
        shape, own = (tuple(map(int, graph.tensors[i].shape)) for i in (at, before))
        if (number == Kind.SOFTMAX and upsampling is None and len(own) == 4) or (
            number == Kind.RESIZE_BILINEAR and own == shape
        ):
            at = before
        elif number == Kind.RESIZE_BILINEAR and shape[1:3] == (height, width) and upsampling is None:
            at, upsampling = before, _rule(op.builtinOptions)
        else:
            break
    return at, upsampling


def _before_argmax(parsed: Any, output: int, made: dict[int, Any]) -> int:
    """What the classes of an output are chosen from; the output itself where nothing chooses."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator as Kind

    graph, at = parsed.subgraphs[0], output
    while at in made:
        op = made[at]
        before, number = int(op.inputs[0]), kind(parsed, op)
        if number == Kind.ARG_MAX:
            axis, shape = values(parsed, graph.tensors[int(op.inputs[1])]), graph.tensors[before].shape
            return before if axis is not None and len(shape) == 4 and int(axis.reshape(-1)[0]) in (3, -1) else output
        if number not in (Kind.CAST, Kind.RESHAPE, Kind.SQUEEZE, Kind.EXPAND_DIMS):
            return output
        at = before
    return output


def _rule(options: Any) -> Upsampling:
    if options is not None and options.alignCorners:
        return "align_corners"
    return "half_pixel_centers" if options is not None and options.halfPixelCenters else "asymmetric"


def _output_stride(parsed: Any) -> int | None:
    """The input's size over that of the smallest feature map. Pools of whole maps are smaller, and no feature maps."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator as Kind

    graph = parsed.subgraphs[0]
    made = [
        graph.tensors[int(op.outputs[0])].shape for op in graph.operators if kind(parsed, op) == Kind.DEPTHWISE_CONV_2D
    ]
    heights = [int(shape[1]) for shape in made if shape[0] == 1 and shape[1] > 1]
    height = int(graph.tensors[int(graph.inputs[0])].shape[1])
    return round((height - 1) / (min(heights) - 1)) if heights else None
