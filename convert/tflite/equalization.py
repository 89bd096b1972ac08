"""Gives the channels of each activation similar ranges, which costs nothing and changes nothing in float.

An activation has one scale in int8. Where one of its channels reaches 20 and another 0.1, the second has a single step,
and weights that make up for its size make up for its error too. So channels are scaled, in the weights of the
convolutions on both sides of them (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
Correction", section 4.1), as far as that does not make the weights uneven instead. Hard swishes do not scale; written
as x * relu6(w * x + 3) with a weight for each channel they do.

Measured with MobileNetV3-large of TensorFlow Hub: 0.888 of pixels as in float before and 0.961 with it at 513x1025 (of
which 0.013 are `_part_skips`; at every addition it costs more roundings than it gains), 0.78 and 0.92 at 1025x2049. On
top of that, correcting the mean error of each layer in its bias gained nothing; alone it gives 0.915 at 513x1025.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.tflite.activations import largest
from convert.tflite.channel_groups import NONE, RELU6, HardSwish, channel_groups, hard_swishes, operator_name
from convert.tflite.flatbuffer import add_constant, add_tensor, drop_unread, operator, pack, parse, set_values, values
from convert.tflite.quantize import first_name

EVENNESS = 0.85  # of activations; what is left to 1 is that of the weights that read them, which have steps too
LEAST = 1 / 64  # of the largest channel: smaller ones are scaled as if they were that large
_VALID = 1  # of Padding
_CONVOLUTIONS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}  # -> axis of the outputs in the kernel

Scales = Mapping[int, NDArray[np.float64]]
"""What each channel of a tensor is multiplied with, by the tensor's place."""


def equalize(model: bytes, samples: Iterable[NDArray[np.float32]], unscaled: Collection[str] = ()) -> bytes:
    """Returns a float .tflite that computes the same with channels of similar ranges.

    `samples` are float32 (1, H, W, 3), what the model takes; tensors that nodes named
    `unscaled` make keep their values. Raises ConversionError where the model cannot run.
    """
    parsed = parse(model)
    if len(parsed.subgraphs) != 1:
        return model
    tensors = parsed.subgraphs[0].tensors
    kept = [place for place, tensor in enumerate(tensors) if first_name(tensor.name.decode()) in unscaled]
    swishes = list(hard_swishes(parsed))
    _part_skips(parsed, swishes)
    groups = channel_groups(parsed, swishes, kept)
    places = [place for group in groups.values() for place in group]
    reached = largest(pack(parsed), places, samples, lambda x: np.abs(x).reshape(-1, x.shape[-1]).max(axis=0))
    scales = {place: scale for group in groups.values() for place, scale in _scales(parsed, group, reached).items()}
    if not scales:
        return model
    written = [swish for swish in swishes if swish.x in scales]
    _scale_weights(parsed, scales, {swish.x: swish.factor for swish in written})
    for swish in written:
        _spell(parsed, swish, scales[swish.x] * swish.factor)
    drop_unread(parsed)
    return pack(parsed)


def _scales(parsed: Any, group: list[int], reached: Mapping[int, NDArray[np.float32]]) -> Scales:
    """The scales of a group's channels; none where its tensors have not as many."""
    if len({len(reached[place]) for place in group}) > 1:
        return {}
    shares = np.max([_share(reached[place]) for place in group], axis=0)
    weights = [share for place in group for share in _weights_that_read(parsed, place)]
    scale = shares**-EVENNESS * np.max(weights, axis=0) ** (1 - EVENNESS) if weights else 1 / shares
    scale /= np.exp(np.log(scale).mean())
    return dict.fromkeys(group, scale)


def _share(channels: NDArray[np.float32]) -> NDArray[np.float64]:
    """The channels' sizes as shares of the largest, those of dead ones 1."""
    share = channels.astype(float) / max(float(channels.max()), np.finfo(np.float32).tiny)
    return np.clip(np.where(share > 0, share, 1.0), LEAST, 1.0)


def _weights_that_read(parsed: Any, place: int) -> list[NDArray[np.float64]]:
    """Of each convolution that reads a tensor across its channels: how much of an output's largest weight they have."""
    graph, found = parsed.subgraphs[0], []
    for op in graph.operators:
        if operator_name(parsed, op) == "CONV_2D" and int(op.inputs[0]) == place:
            kernel = np.abs(_weights(parsed, graph.tensors[int(op.inputs[1])]))  # (out, h, w, in)
            rows = kernel / np.maximum(kernel.max(axis=(1, 2, 3), keepdims=True), np.finfo(np.float32).tiny)
            found.append(_share(rows.max(axis=(0, 1, 2))))
    return found


def _weights(parsed: Any, tensor: Any) -> NDArray[np.float64]:
    """The values of a constant; `channel_groups` has looked that it is one."""
    stored = values(parsed, tensor)
    assert stored is not None
    return stored.astype(float)


def _scale_weights(parsed: Any, scales: Scales, factors: Mapping[int, float]) -> None:
    """Writes the scales into the convolutions on both sides, and the `factors` of hard swishes with them."""
    tensors = parsed.subgraphs[0].tensors
    for op in parsed.subgraphs[0].operators:
        axis = _CONVOLUTIONS.get(operator_name(parsed, op))
        x, result = int(op.inputs[0]), int(op.outputs[0])
        if axis is None or not {x, result} & scales.keys():
            continue
        kernel, *bias = (tensors[int(place)] for place in op.inputs[1:] if place >= 0)
        weights = _weights(parsed, kernel)
        if x in scales:
            weights /= scales[x]  # the inputs are the last axis of both kinds
        if result in scales:
            scale = scales[result] * factors.get(result, 1.0)
            weights *= np.expand_dims(scale, tuple({0, 1, 2, 3} - {axis}))
            for added in bias:
                set_values(parsed, added, (_weights(parsed, added) * scale).astype(np.float32))
        set_values(parsed, kernel, weights.astype(np.float32))


def _spell(parsed: Any, swish: HardSwish, scale: NDArray[np.float64]) -> None:
    """Writes a hard swish of x, which is `scale` times what it was, as x * relu6(x / scale + shift)."""
    graph = parsed.subgraphs[0]
    shift = np.full(scale.shape, swish.shift)
    for place, op in enumerate(graph.operators):
        match int(op.outputs[0]):
            case swish.gate:
                graph.operators[place] = _scaling(parsed, swish.x, swish.gate, 1 / scale, shift, RELU6)
            case swish.result:
                op.inputs = np.array([swish.x, swish.gate], np.int32)


def _part_skips(parsed: Any, swishes: Iterable[HardSwish]) -> None:
    """Lets additions read a hard swish's result, where others read it too, through scales of its own.

    What is added to it has channels of other sizes, and all would take the same scales.
    """
    graph = parsed.subgraphs[0]
    readers = Counter(int(place) for op in graph.operators for place in op.inputs)
    parted = {swish.result for swish in swishes if readers[swish.result] > 1}
    operators = []
    for op in graph.operators:
        for index, place in enumerate(map(int, op.inputs)):
            if operator_name(parsed, op) == "ADD" and place in parted:
                tensor = graph.tensors[place]
                skip, ones = add_tensor(graph, f"{tensor.name.decode()}/skip", tensor), np.ones(int(tensor.shape[3]))
                operators.append(_scaling(parsed, place, skip, ones, np.zeros_like(ones), NONE))
                op.inputs[index] = skip
        operators.append(op)
    graph.operators = operators


def _scaling(
    parsed: Any, x: int, result: int, scale: NDArray[np.float64], shift: NDArray[np.float64], activation: int
) -> Any:
    """An operator that scales and shifts each channel of x."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    name = parsed.subgraphs[0].tensors[result].name.decode()
    kernel = add_constant(parsed, f"{name}/weights", scale.astype(np.float32)[None, None, None])
    bias = add_constant(parsed, f"{name}/biases", shift.astype(np.float32))
    return operator(
        parsed,
        BuiltinOperator.DEPTHWISE_CONV_2D,
        [x, kernel, bias],
        [result],
        "DepthwiseConv2DOptions",
        padding=_VALID,
        strideH=1,
        strideW=1,
        dilationHFactor=1,
        dilationWFactor=1,
        depthMultiplier=1,
        fusedActivationFunction=activation,
    )
