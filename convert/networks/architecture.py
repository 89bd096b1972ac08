"""What fixes the embedded network: its layers, their shapes and the names of their weights. Needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError

Weights = Mapping[str, NDArray[np.float32]]
"""Checkpoint variable name -> float32 value."""

BatchNorm = Literal["fused", "fused_v3", "folded"]
"""FusedBatchNorm nodes, FusedBatchNormV3 as exporters of 2019 and later write them, or the Mul and Add that constant
folding leaves of them."""

BODY_EPSILON = 0.001  # slim's default, which the MobileNetV2 body keeps
HEAD_EPSILON = 1.001e-5  # DeepLab's 1e-5, raised to what fused BatchNorms accept
HEAD_CHANNELS = 256

# Expansion, output channels at width 1, repeats and stride of each group of blocks: table 2 of Sandler et al. 2018,
# "MobileNetV2: Inverted Residuals and Linear Bottlenecks".
GROUPS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def divisible(channels: float) -> int:
    """Returns a number of channels as slim's `_make_divisible` rounds it: to 8, never more than 10 % down."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


@dataclass(frozen=True, slots=True)
class Architecture:
    """What fixes the graph apart from its weights; weights do not depend on crop, stride or BatchNorm form."""

    width: float = 1.0  # multiplier of the body's channels
    classes: int = 19
    crop_hw: tuple[int, int] = (1025, 2049)  # baked into the graph; smaller pictures are padded to it
    output_stride: int = 8  # 8, 16 or 32 pixels a logit
    batch_norm: BatchNorm = "fused"

    def __post_init__(self) -> None:
        if self.output_stride not in (8, 16, 32):
            raise UsageError(f"output stride {self.output_stride} cannot be built: expected 8, 16 or 32")
        if self.width <= 0:
            raise UsageError(f"width multiplier {self.width} cannot be built: expected more than 0, such as 0.5")

    def channels(self, count: int) -> int:
        """Returns `count` at this width."""
        return divisible(count * self.width)


@dataclass(frozen=True, slots=True)
class Block:
    """One inverted residual block."""

    scope: str
    inputs: int
    inner: int
    outputs: int
    stride: int
    rate: int

    @property
    def expands(self) -> bool:
        return self.inner > self.inputs

    @property
    def residual(self) -> bool:
        return self.stride == 1 and self.inputs == self.outputs


def blocks(arch: Architecture) -> Iterator[Block]:
    """Yields the body behind the first convolution. Past the output stride, strides turn into rates."""
    inputs, reached, rate, index = arch.channels(32), 2, 1, 0
    for expansion, channels, repeats, group_stride in GROUPS:
        for repeat in range(repeats):
            wanted = group_stride if repeat == 0 else 1
            stride = wanted if reached < arch.output_stride else 1
            scope = f"MobilenetV2/expanded_conv_{index}" if index else "MobilenetV2/expanded_conv"
            yield Block(scope, inputs, inputs * expansion, arch.channels(channels), stride, rate)
            reached, rate = reached * stride, rate * (wanted // stride)
            inputs, index = arch.channels(channels), index + 1


def kernel_shapes(arch: Architecture) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every convolution kernel by its checkpoint name, in the order of the data."""
    shapes: dict[str, tuple[int, ...]] = {"MobilenetV2/Conv/weights": (3, 3, 3, arch.channels(32))}
    for block in blocks(arch):
        if block.expands:
            shapes[f"{block.scope}/expand/weights"] = (1, 1, block.inputs, block.inner)
        shapes[f"{block.scope}/depthwise/depthwise_weights"] = (3, 3, block.inner, 1)
        shapes[f"{block.scope}/project/weights"] = (1, 1, block.inner, block.outputs)
    shapes["image_pooling/weights"] = shapes["aspp0/weights"] = (1, 1, arch.channels(320), HEAD_CHANNELS)
    shapes["concat_projection/weights"] = (1, 1, 2 * HEAD_CHANNELS, HEAD_CHANNELS)
    shapes["logits/semantic/weights"] = (1, 1, HEAD_CHANNELS, arch.classes)
    return shapes


def initial_weights(arch: Architecture, seed: int) -> dict[str, NDArray[np.float32]]:
    """Returns He-scaled kernels (He et al. 2015, fan in) and BatchNorms that do nothing yet."""
    random = np.random.default_rng(seed)
    weights: dict[str, NDArray[np.float32]] = {"logits/semantic/biases": np.zeros(arch.classes, np.float32)}
    for name, shape in kernel_shapes(arch).items():
        scope, kind = name.rsplit("/", 1)
        depthwise = kind == "depthwise_weights"
        fan_in = shape[0] * shape[1] * (1 if depthwise else shape[2])
        weights[name] = random.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32)
        if scope == "logits/semantic":
            continue
        channels = shape[2] if depthwise else shape[3]
        for part, value in (("gamma", 1), ("beta", 0), ("moving_mean", 0), ("moving_variance", 1)):
            weights[f"{scope}/BatchNorm/{part}"] = np.full(channels, value, np.float32)
    return weights
