"""Keeps int8 right on x86 processors without VNNI, where OpenVINO's kernels add products in pairs, in 16 bits that hold
no more.

Such a pair is two weights of neighbouring input channels, each times an activation of at most 255: together they may
reach 32767 / 255, and int8 weights reach twice that. What goes beyond is lost, in silence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.engine.openvino_core import openvino_core
from edge.engine.openvino_rewrites import is_depthwise, read_scaled, scaled

Rows = NDArray[Any]  # one for each output channel: its weights, those of neighbouring input channels side by side

MOST = 32767 // 255  # of two weights' sum
_KINDS = {"Convolution", "Deconvolution", "FullyConnected", "MatMul"}  # what multiplies, in the compiled model


@cache
def saturates() -> bool:
    """Returns whether int8 kernels of this process lose anything: one of each kind is asked, in some 40 ms, once.

    No flag of the processor tells which kernels OpenVINO takes, and the environment may forbid it some.
    """
    import openvino
    from openvino import opset8 as ops

    ends = [ops.constant(np.full((1, 1, 1, 1), end, np.float32)) for end in (0, 255, 0, 255)]
    picture = ops.parameter((1, 8, 1, 1), np.float32)
    levels = ops.fake_quantize(picture, *ends, 256)

    def weights(*shape: int) -> Any:
        return scaled(np.full(shape, 127, np.int8), np.full((*shape[:-3], 1, 1, 1), 0.5, np.float32))

    plain: tuple[Any, ...] = [1, 1], [0, 0], [0, 0], [1, 1]
    flat = ops.reshape(levels, ops.constant(np.array([1, 8])), False)
    results = [
        ops.convolution(levels, weights(8, 8, 1, 1), *plain),
        ops.group_convolution(levels, weights(4, 2, 2, 1, 1), *plain),
        ops.matmul(flat, scaled(np.full((8, 8), 127, np.int8), np.full((8, 1), 0.5, np.float32)), False, True),
    ]
    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino_core().compile_model(openvino.Model(results, [picture]), "CPU", settings)
    outputs = compiled([np.full((1, 8, 1, 1), 255, np.float32)])
    right = [inputs * 127 * 255 * 0.5 for inputs in (8, 2, 8)]
    return any(not np.allclose(outputs[place], value, rtol=1e-3) for place, value in enumerate(right))


def is_quantized(model: Any) -> bool:
    """Returns whether OpenVINO may compute any of a model that it has read in int8."""
    return any(node.get_type_name() == "FakeQuantize" for node in model.get_ordered_ops())


def reduce_weights(model: Any) -> tuple[set[str], int]:
    """Makes weights of a model that OpenVINO has read small enough for 16 bits, with scales as much larger.

    Returns the names of the nodes that lose nothing, and of how many the weights were changed.
    """
    safe, changed = set(), 0
    for node in model.get_ordered_ops():
        if is_depthwise(node):  # their kernels add in 32 bits
            safe.add(node.get_friendly_name())
            continue
        axes = _axes(node)
        parts = read_scaled(node.input_value(1).get_node()) if axes else None
        if axes is None or parts is None:
            continue
        safe.add(node.get_friendly_name())
        weights, scales = parts
        small, factors = reduced(weights, *axes, by_group=node.get_type_name().startswith("Group"))
        if (factors > 1).any():
            node.input(1).replace_source_output(scaled(small, scales * factors).output(0))
            changed += 1
    return safe, changed


def _axes(node: Any) -> tuple[tuple[int, ...], int] | None:
    """Of a node's weights: the axes of output channels, that of input channels; None for what has no weights."""
    match node.get_type_name():
        case "Convolution":
            return (0,), 1
        case "ConvolutionBackpropData":
            return (1,), 0
        case "GroupConvolution":
            return (0, 1), 2
        case "GroupConvolutionBackpropData":
            return (0, 2), 1
        case "MatMul" if (rank := len(node.input_value(1).shape)) >= 2:
            out, into = (rank - 2, rank - 1) if node.get_attributes()["transpose_b"] else (rank - 1, rank - 2)
            return (*range(rank - 2), out), into
    return None


def reduced(
    weights: NDArray[np.int8], outputs: tuple[int, ...], inputs: int, *, by_group: bool = False
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Returns weights no two of which overflow, and for each output channel by how much their scale grows, at least 1.

    A channel shrinks only as far as its largest pair needs, and keeps its sum: activations are seldom negative, so
    that a sum that is off would move all that the channel gives.
    """
    first = tuple(range(len(outputs)))
    moved = np.moveaxis(weights, (*outputs, inputs), (*first, -1))
    rows = moved.reshape(math.prod(moved.shape[: len(outputs)]), -1).astype(np.float32)
    largest = _largest(rows, weights.shape[inputs], by_group)
    risky = largest > MOST
    factors = np.where(risky, largest / (MOST - 2), 1).astype(np.float32)  # rounding both up adds less than 2
    rows[risky] = _round(rows[risky] / factors[risky, None])
    small = np.moveaxis(rows.reshape(moved.shape), (*first, -1), (*outputs, inputs)).astype(np.int8)
    spread = [size if axis in outputs else 1 for axis, size in enumerate(weights.shape)]
    return np.ascontiguousarray(small), factors.reshape(spread)


def _largest(rows: Rows, inputs: int, by_group: bool) -> Rows:
    """Of the sums of two weights that a kernel adds, the largest of each row.

    Measured with a kernel for every pair, weights of 127 in two places: two input channels, an even one and the next,
    at the same place of the kernel. Convolutions by groups pair in several ways. Of an odd number of input channels
    the last has no partner; a kernel that knows no such gap would take the first of the next place.
    """
    if by_group:
        ordered = np.sort(rows, axis=1)
        largest: Rows = np.maximum(ordered[:, -2:].sum(axis=1), -ordered[:, :2].sum(axis=1))
    else:
        sums = np.abs(rows[:, :-1] + rows[:, 1:])
        largest = sums[:, :: 1 if inputs % 2 else 2].max(axis=1, initial=0)
    return largest


def _round(rows: Rows) -> Rows:
    """Down or up, those nearest to the next number up, as many of a row as keep its sum."""
    down = np.floor(rows)
    rest = rows.astype(float) - down
    ups = np.rint(rest.sum(axis=1, keepdims=True)).astype(int)
    rest += np.arange(rest.shape[1]) * 1e-9  # no two are equal: int8 weights often are
    ordered = np.pad(np.sort(rest, axis=1), ((0, 0), (0, 1)), constant_values=np.inf)
    rounded: Rows = down + (rest >= np.take_along_axis(ordered, rest.shape[1] - ups, axis=1))
    return rounded


def losing(compiled: Any, safe: Iterable[str]) -> list[str]:
    """Returns the names of what a compiled model computes in int8 beside the nodes that lose nothing."""
    lossy = []
    for node in compiled.get_runtime_model().get_ordered_ops():
        told = node.get_rt_info()
        kind, kernel, names = (told[key].astype(str) for key in ("layerType", "primitiveType", "originalLayersNames"))
        if kind not in _KINDS or not kernel.lower().endswith(("i8", "u8")):
            continue
        if not any(_from(name, safe) for name in names.split(",")):
            lossy.append(names.partition(",")[0])
    return lossy


def _from(name: str, safe: Iterable[str]) -> bool:
    """OpenVINO names what it makes of a node after it: `node`, `node/DequantizationMultiply`."""
    return any(name == node or name.startswith(f"{node}/") for node in safe)
