"""What OpenVINO does not read in a .tflite, or does not see is int8, in terms it knows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def respell_file(model: Any) -> None:
    """Of a parsed flatbuffer, before OpenVINO reads it.

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
    """Of the model that OpenVINO has read: int8 weights of depthwise convolutions, laid out as it computes with them.

    Its reader scales the file's weights first and transposes the product. OpenVINO takes int8 weights for such only
    where nothing stands between their scales and the convolution, and computes in float where something does.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() != "GroupConvolution":
            continue
        shape = tuple(node.input_value(1).shape)  # (groups, out, in, h, w)
        found = _scaled(node.input_value(1).get_node())
        if found is not None and found[0].shape == (1, *shape[3:], shape[0] * shape[1]) and shape[2] == 1:
            node.input(1).replace_source_output(_product(*found, shape))


def _scaled(node: Any) -> tuple[NDArray[np.int8], NDArray[np.float32]] | None:
    """int8 (1, h, w, channels) and float32 that broadcasts to it, the product of which `node` only lays out anew."""
    while node.get_type_name() in ("Transpose", "Reshape", "Unsqueeze"):
        node = node.input_value(0).get_node()
    if node.get_type_name() != "Multiply":
        return None
    weights, scales = (node.input_value(which).get_node() for which in (0, 1))
    if weights.get_type_name() == "Convert":
        weights = weights.input_value(0).get_node()
    if any(part.get_type_name() != "Constant" for part in (weights, scales)) or weights.data.dtype != np.int8:
        return None
    return weights.data, scales.data


def _product(weights: NDArray[np.int8], scales: NDArray[np.float32], shape: tuple[int, ...]) -> Any:
    """Weights times scales as OpenVINO looks for it, of (groups, out, 1, h, w)."""
    from openvino import opset8 as ops

    plain = ops.constant(np.ascontiguousarray(weights[0].transpose(2, 0, 1)).reshape(shape))
    per_channel = np.broadcast_to(scales, (1, 1, 1, shape[0] * shape[1])).reshape(*shape[:2], 1, 1, 1)
    return ops.multiply(ops.convert(plain, "f32"), ops.constant(np.ascontiguousarray(per_channel))).output(0)
