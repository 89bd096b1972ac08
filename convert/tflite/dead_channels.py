"""Gives channels whose weights are all nothing the scale of the others.

A channel that training switched off has weights of 0, and the quantizer makes a scale of 8e-12 of them. Its bias, which
is stored in steps of that scale, does not fit then, and the channel's output is another one. So such a channel lends
itself a weight while it is quantized, and gives it back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.tflite.flatbuffer import FLOAT32, INT8, kind, pack, parse, set_values

DEAD = 1e-6  # of the layer's median channel; what weighs less is nothing in int8
Channels = Mapping[str, NDArray[np.intp]]
"""Name of a kernel's tensor -> the channels that are dead."""


def enliven(model: bytes) -> tuple[bytes, Channels]:
    """Returns a float .tflite in which each dead channel has one weight, and the channels."""
    parsed, dead = parse(model), dict[str, NDArray[np.intp]]()
    for name, axis, tensor, buffer in _kernels(parsed):
        if tensor.type != FLOAT32:
            continue
        kernel = np.moveaxis(np.frombuffer(bytes(buffer.data), np.float32).reshape(tensor.shape).copy(), axis, 0)
        largest = np.abs(kernel.reshape(len(kernel), -1)).max(axis=1)
        usual = float(np.median(largest[largest > 0])) if (largest > 0).any() else 1.0
        channels = np.flatnonzero(largest <= DEAD * usual)
        if channels.size:
            dead[name] = channels
            kernel[channels] = 0
            kernel.reshape(len(kernel), -1)[channels, 0] = usual
            set_values(parsed, tensor, np.moveaxis(kernel, 0, axis))
    return (pack(parsed), dead) if dead else (model, dead)


def silence(model: bytes, dead: Channels) -> bytes:
    """Returns a .tflite made from an enlivened one with the weights of its dead channels 0."""
    if not dead:
        return model
    parsed = parse(model)
    for name, axis, tensor, buffer in _kernels(parsed):
        if name in dead:
            dtype = np.int8 if tensor.type == INT8 else np.float32
            kernel = np.moveaxis(np.frombuffer(bytes(buffer.data), dtype).reshape(tensor.shape).copy(), axis, 0)
            kernel[dead[name]] = 0
            set_values(parsed, tensor, np.moveaxis(kernel, 0, axis))
    return pack(parsed)


CHANNEL_AXES = {3: 0, 4: 3}  # BuiltinOperator CONV_2D, DEPTHWISE_CONV_2D -> axis of the outputs in their kernels


def _kernels(parsed: Any) -> Iterator[tuple[str, int, Any, Any]]:
    """Name, axis of the outputs, tensor and buffer of each convolution's kernel."""
    graph = parsed.subgraphs[0]
    for op in graph.operators:
        axis = CHANNEL_AXES.get(kind(parsed, op))
        if axis is None:
            continue
        tensor = graph.tensors[int(op.inputs[1])]
        buffer = parsed.buffers[tensor.buffer]
        if buffer.data is not None and len(buffer.data) and tensor.type in (FLOAT32, INT8):
            yield tensor.name.decode(), axis, tensor, buffer
