"""Gives channels whose weights are next to nothing a scale that their bias fits.

A channel that training switched off has weights of 0, and the quantizer makes a scale of 8e-12 of them. Its bias, which
is stored in steps of that scale and the input's, does not fit 32 bits then, and the channel gives something else. A
whole layer may be so faint: the gates of a MobileNetV3 that training left open have a bias of 3 beside weights of 1e-4.
So such a channel lends itself a large weight while it is quantized, and gives it back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.ranges import Range
from convert.tflite.flatbuffer import FLOAT32, INT8, drop_unused_values, kind, pack, parse, set_values, values

DEAD = 1e-6  # of the layer's median channel; what weighs less is nothing in int8
MOST_BIAS = 1 << 30  # steps of a bias: half of what 32 bits hold, the other half is for the sum of products
STEPS, LARGEST = 255, 127  # of an activation's range; of a weight

Lent = Mapping[str, Mapping[int, float]]
"""Name of a kernel's tensor -> of each channel that was lent its first weight, what that weight was."""


@dataclass(frozen=True, slots=True)
class Layer:
    """An operator with weights, by the places of its tensors; `axis` of the kernel is that of the outputs."""

    axis: int
    x: int
    kernel: int
    bias: int | None


def enliven(model: bytes, ranges: Mapping[str, Range]) -> tuple[bytes, Lent]:
    """Returns a float .tflite in which the first weight of each faint channel is large enough, and what was lent.

    `ranges` are those of the activations by tensor name.
    """
    parsed, lent = parse(model), dict[str, dict[int, float]]()
    tensors = parsed.subgraphs[0].tensors
    for layer in _layers(parsed):
        kernel = values(parsed, tensors[layer.kernel])
        if kernel is None or kernel.dtype != np.float32:
            continue
        rows = np.moveaxis(kernel, layer.axis, 0)
        flat = rows.reshape(len(rows), -1).copy()
        needed = np.maximum(_for_scale(flat), _for_bias(parsed, layer, ranges, len(flat)))
        channels = np.flatnonzero(np.abs(flat).max(axis=1) < needed)
        if channels.size:
            name = tensors[layer.kernel].name.decode()
            lent[name] = {int(channel): float(flat[channel, 0]) for channel in channels}
            flat[channels, 0] = needed[channels]
            set_values(parsed, tensors[layer.kernel], np.moveaxis(flat.reshape(rows.shape), 0, layer.axis))
    if not lent:
        return model, lent
    drop_unused_values(parsed)
    return pack(parsed), lent


def _for_scale(flat: NDArray[np.float32]) -> NDArray[np.float64]:
    """The largest weight that each channel must have so that its scale is not one of nothing; 0 where it is none."""
    largest = np.abs(flat).max(axis=1).astype(float)
    usual = float(np.median(largest[largest > 0])) if (largest > 0).any() else 1.0
    return np.where(largest <= DEAD * usual, usual, 0.0)


def _for_bias(parsed: Any, layer: Layer, ranges: Mapping[str, Range], channels: int) -> NDArray[np.float64]:
    """The largest weight that each channel must have so that its bias fits; 0 where nothing tells."""
    tensors = parsed.subgraphs[0].tensors
    known = ranges.get(tensors[layer.x].name.decode())
    bias = None if layer.bias is None else values(parsed, tensors[layer.bias])
    if known is None or bias is None or bias.dtype != np.float32 or bias.shape != (channels,):
        return np.zeros(channels)
    step = (max(known.high, 0.0) - min(known.low, 0.0)) / STEPS
    return LARGEST * np.abs(bias).astype(float) / (MOST_BIAS * step) if step > 0 else np.zeros(channels)


def silence(model: bytes, lent: Lent) -> bytes:
    """Returns a .tflite made from an enlivened one with the weights that were lent as they were."""
    if not lent:
        return model
    parsed = parse(model)
    for layer in _layers(parsed):
        tensor = parsed.subgraphs[0].tensors[layer.kernel]
        were, kernel = lent.get(tensor.name.decode()), values(parsed, tensor)
        if were is None or kernel is None:
            continue
        rows = np.moveaxis(kernel, layer.axis, 0)
        flat = rows.reshape(len(rows), -1).copy()
        for channel, weight in were.items():
            flat[channel, 0] = _stored(weight, tensor, channel)
        set_values(parsed, tensor, np.moveaxis(flat.reshape(rows.shape), 0, layer.axis))
    drop_unused_values(parsed)
    return pack(parsed)


def _stored(weight: float, tensor: Any, channel: int) -> float:
    """The weight in the steps of its channel, where the tensor is quantized."""
    if tensor.type != INT8:
        return weight
    scales = tensor.quantization.scale
    return float(np.rint(weight / scales[channel if len(scales) > 1 else 0]))


def _layers(parsed: Any) -> Iterator[Layer]:
    """The operators whose kernels are constants in float32 or int8."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    places = {  # axis of the outputs in the kernel, and of the inputs: x, kernel, bias
        BuiltinOperator.CONV_2D: (0, 0, 1, 2),
        BuiltinOperator.DEPTHWISE_CONV_2D: (3, 0, 1, 2),
        BuiltinOperator.FULLY_CONNECTED: (0, 0, 1, 2),
        BuiltinOperator.TRANSPOSE_CONV: (0, 2, 1, 3),
    }
    graph = parsed.subgraphs[0]
    for op in graph.operators:
        if (where := places.get(kind(parsed, op))) is None:
            continue
        axis, x, kernel, bias = where
        inputs = [int(index) for index in op.inputs]
        held = parsed.buffers[graph.tensors[inputs[kernel]].buffer].data
        if held is not None and len(held) and graph.tensors[inputs[kernel]].type in (FLOAT32, INT8):
            there = len(inputs) > bias and inputs[bias] >= 0
            yield Layer(axis, inputs[x], inputs[kernel], inputs[bias] if there else None)
