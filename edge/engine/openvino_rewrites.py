"""Rewrites what OpenVINO does not read in a .tflite, or does not see is int8, in terms that it knows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def respell_file(model: Any) -> None:
    """Rewrites a parsed flatbuffer, before OpenVINO reads it.

    A requantizing operator becomes the concatenation of one tensor: both copy, from one scale to another.
    """
    from ai_edge_litert import schema_py_generated as schema

    quantize, join = schema.BuiltinOperator.QUANTIZE, schema.BuiltinOperator.CONCATENATION
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    graph = model.subgraphs[0]
    for operator in graph.operators:
        if (
            codes[operator.opcodeIndex] != quantize
            or graph.tensors[operator.inputs[0]].type == schema.TensorType.FLOAT32
        ):
            continue
        if join not in codes:
            made = schema.OperatorCodeT()
            made.builtinCode = made.deprecatedBuiltinCode = join
            made.version = 1
            model.operatorCodes.append(made)
            codes.append(join)
        operator.opcodeIndex = codes.index(join)
        operator.builtinOptionsType = schema.BuiltinOptions.ConcatenationOptions
        operator.builtinOptions = schema.ConcatenationOptionsT()
        operator.builtinOptions.axis = len(graph.tensors[operator.inputs[0]].shape) - 1


def respell_weights(model: Any) -> None:
    """Lays out int8 weights of convolutions by groups as OpenVINO, which has read the model, computes with them.

    Its reader scales the file's weights first and lays out the product. OpenVINO takes int8 weights for single channels
    only where nothing stands between their scales and the convolution, and computes in float where something does.

    Where a single channel has several outputs, it is repeated for each: kernels for such (2026.4) may read what they
    never wrote where the activations' zero is not 0, and without VNNI lose what kernels for one output do not.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() != "GroupConvolution":
            continue
        shape = tuple(node.input_value(1).shape)  # (groups, out, in, h, w)
        parts = read_scaled(_laid_out(node.input_value(1).get_node()))
        if parts is None:
            continue
        if shape[2] == 1 and parts[0].shape == (1, *shape[3:], shape[0] * shape[1]):
            weights, scales = (_by_channel(part, shape[0] * shape[1]) for part in parts)
            target = _of_repeated(node, shape[1]) if shape[1] > 1 else node
        elif parts[0].shape == (shape[0] * shape[1], *shape[3:], shape[2]):
            target, (weights, scales) = node, [_by_group(part, shape) for part in parts]
        else:
            continue
        target.input(1).replace_source_output(scaled(weights, scales).output(0))


def _by_channel(part: NDArray[Any], channels: int) -> NDArray[Any]:
    """(1, h, w, channels), or what broadcasts to it, as (channels, 1, 1, h, w)."""
    whole = np.broadcast_to(part, (*part.shape[:3], channels))
    return whole.transpose(3, 0, 1, 2)[:, None]


def _by_group(part: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """(groups * out, h, w, in), or what broadcasts to it, as (groups, out, in, h, w)."""
    whole = np.broadcast_to(part, (shape[0] * shape[1], *part.shape[1:]))
    return whole.transpose(0, 3, 1, 2).reshape(*shape[:2], part.shape[3], *part.shape[1:3])


def _of_repeated(node: Any, outputs: int) -> Any:
    """What takes the place of a group convolution: one in which each input channel is there `outputs` times."""
    from openvino import opset8 as ops

    channels, kernel_hw = node.input_value(0).shape[1], node.input_value(1).shape[3:]
    places = ops.constant(np.repeat(np.arange(channels), outputs))
    shape = ops.constant(np.array([channels * outputs, 1, 1, *kernel_hw]))
    asked = node.get_attributes()
    made = ops.group_convolution(
        ops.gather(node.input_value(0), places, ops.constant(np.array(1))),
        ops.reshape(node.input_value(1), shape, False),
        *(asked[name] for name in ("strides", "pads_begin", "pads_end", "dilations", "auto_pad")),
    )
    made.set_friendly_name(node.get_friendly_name())
    for reader in node.output(0).get_target_inputs():
        reader.replace_source_output(made.output(0))
    return made


def is_depthwise(node: Any) -> bool:
    """Returns whether a node is a convolution of single channels, each with one output."""
    return node.get_type_name() == "GroupConvolution" and tuple(node.input_value(1).shape[1:3]) == (1, 1)


def _laid_out(node: Any) -> Any:
    """What `node` only lays out anew."""
    while node.get_type_name() in ("Transpose", "Reshape", "Unsqueeze"):
        node = node.input_value(0).get_node()
    return node


def read_scaled(node: Any) -> tuple[NDArray[np.int8], NDArray[np.float32]] | None:
    """Returns int8 weights, and float32 scales that broadcast to them, where `node` is their product, else None."""
    if node.get_type_name() != "Multiply":
        return None
    weights, scales = (node.input_value(which).get_node() for which in (0, 1))
    if weights.get_type_name() == "Convert":
        weights = weights.input_value(0).get_node()
    if any(part.get_type_name() != "Constant" for part in (weights, scales)) or weights.data.dtype != np.int8:
        return None
    return weights.data, scales.data


def scaled(weights: NDArray[np.int8], scales: NDArray[np.float32]) -> Any:
    """Returns the product of weights and scales as OpenVINO looks for it."""
    from openvino import opset8 as ops

    plain, factors = (ops.constant(np.ascontiguousarray(part)) for part in (weights, scales))
    return ops.multiply(ops.convert(plain, "f32"), factors)
