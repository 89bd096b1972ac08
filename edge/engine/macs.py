"""Counts the multiply-accumulates of an operator from the shapes of its tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Shapes = Mapping[int, Sequence[int]]


def macs(operator: Mapping[str, Any], shapes: Shapes) -> int:
    """Returns the multiply-accumulates of one operator of an interpreter's list; 0 for those that are no sums of
    products.

    They are output elements times the kernel elements that each of them needs; of a transposed convolution, input
    elements. Weights are laid out (out, h, w, in), a depthwise convolution's (1, h, w, channels):
    https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec
    """

    def shape(which: str, place: int) -> tuple[int, ...]:
        return tuple(int(n) for n in shapes[int(operator[which][place])])

    match operator["op_name"]:
        case "CONV_2D":
            return math.prod(shape("outputs", 0)) * math.prod(shape("inputs", 1)[1:])
        case "DEPTHWISE_CONV_2D":
            return math.prod(shape("outputs", 0)) * math.prod(shape("inputs", 1)[1:3])
        case "FULLY_CONNECTED":
            return math.prod(shape("outputs", 0)) * shape("inputs", 1)[-1]
        case "TRANSPOSE_CONV":  # inputs: output shape, weights, picture
            return math.prod(shape("inputs", 2)) * math.prod(shape("inputs", 1)[:3])
        case "BATCH_MATMUL":
            return math.prod(shape("outputs", 0)) * shape("inputs", 0)[-1]
    return 0
