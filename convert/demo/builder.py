"""Builds DeepLabV3 MobileNetV2 as a frozen graph in the layout of the official Cityscapes export of 2018-02."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from convert.demo.layers import BatchNorm, Layers, Tensor, Weights, const, convolve, resize
from convert.demo.shell import predict, preprocess
from edge.errors import UsageError

BODY_EPSILON = 0.001  # slim's default, which the MobileNetV2 body keeps
HEAD_EPSILON = 1.001e-5  # DeepLab's 1e-5, raised to what fused BatchNorms accept
HEAD_CHANNELS = 256

# Expansion, output channels at width 1, repeats and stride of each group of blocks: table 2 of Sandler et al. 2018,
# "MobileNetV2: Inverted Residuals and Linear Bottlenecks".
GROUPS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


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
        """`count` at this width, as slim's `_make_divisible` rounds: to 8, never more than 10 % down."""
        wanted = count * self.width
        rounded = max(8, int(wanted + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * wanted else rounded


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
    """The body behind the first convolution. Past the output stride, strides turn into rates."""
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
    """Shape of every convolution kernel by its checkpoint name, in the order of the data."""
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
    """He-scaled kernels (He et al. 2015, fan in) and BatchNorms that do nothing yet."""
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


def random_weights(arch: Architecture, seed: int, smooth: bool = False) -> dict[str, NDArray[np.float32]]:
    """Weights for tests of exactness and speed: random kernels, BatchNorm statistics of a few random pictures, and
    biases that give every class its share of them.

    Label maps are noise. With `smooth`, depthwise kernels are positive, which makes them averages: label maps then
    have areas and borders, twice as many as a street has.
    """
    from convert.demo.network import Network

    initial = initial_weights(arch, seed)
    if smooth:
        initial = {k: np.abs(v) if k.endswith("depthwise_weights") else v for k, v in initial.items()}
    network = Network(replace(arch, output_stride=16), initial)
    pictures = np.random.default_rng(seed).uniform(-1, 1, (8, 8, 16, 3))
    smooth = tf.image.resize(pictures.astype(np.float32), (129, 257))
    network.logits(smooth, training=True, momentum=0.0)
    logits = network.logits(smooth, training=False)
    return {**network.weights(), "logits/semantic/biases": -tf.reduce_mean(logits, [0, 1, 2]).numpy()}


def build(arch: Architecture, weights: Weights) -> Any:
    """The frozen `GraphDef`: `ImageTensor` uint8 [1, ?, ?, 3] RGB to `SemanticPredictions` int64 [1, height, width]."""
    graph = tf.Graph()
    with graph.as_default():
        layers = Layers(weights, arch.batch_norm)
        picture, size = preprocess(arch)
        features = _body(layers, arch, picture)
        predict(arch, _head(layers, features), size)
    return graph.as_graph_def()


def _body(layers: Layers, arch: Architecture, x: Tensor) -> Tensor:
    x = tf.identity(x, name="MobilenetV2/MobilenetV2/input")
    x = layers.conv(x, "MobilenetV2/Conv", "Relu6", epsilon=BODY_EPSILON, stride=2)
    for block in blocks(arch):
        start = x = tf.identity(x, name=f"{block.scope}/input")
        if block.expands:
            x = layers.conv(x, f"{block.scope}/expand", "Relu6", epsilon=BODY_EPSILON)
            x = tf.identity(x, name=f"{block.scope}/expansion_output")
        depthwise = f"{block.scope}/depthwise"
        x = layers.conv(x, depthwise, "Relu6", epsilon=BODY_EPSILON, stride=block.stride, rate=block.rate)
        x = tf.identity(x, name=f"{block.scope}/depthwise_output")
        x = layers.conv(x, f"{block.scope}/project", None, epsilon=BODY_EPSILON)
        x = tf.identity(x, name=f"{block.scope}/project/Identity")
        if block.residual:
            x = tf.raw_ops.Add(x=x, y=start, name=f"{block.scope}/add")
        x = tf.identity(x, name=f"{block.scope}/output")
    return x


def _head(layers: Layers, features: Tensor) -> Tensor:
    """Image pooling and one 1x1 branch, projected to the logits [1, h, w, classes]."""
    whole = [1, int(features.shape[1]), int(features.shape[2]), 1]
    pooled = tf.raw_ops.AvgPool(value=features, ksize=whole, strides=whole, padding="VALID", name="AvgPool2D/AvgPool")
    pooled = layers.conv(pooled, "image_pooling", "Relu", epsilon=HEAD_EPSILON)
    pooled = resize(pooled, const("ResizeBilinear_1/size", whole[1:3]), "ResizeBilinear_1")
    branch = layers.conv(features, "aspp0", "Relu", epsilon=HEAD_EPSILON)
    both = tf.raw_ops.ConcatV2(values=[pooled, branch], axis=const("concat/axis", 3), name="concat")
    x = layers.conv(both, "concat_projection", "Relu", epsilon=HEAD_EPSILON)
    kernel, biases = layers.read("logits/semantic/weights"), layers.read("logits/semantic/biases")
    x = convolve(x, kernel, "logits/semantic/Conv2D", depthwise=False)
    return tf.raw_ops.BiasAdd(value=x, bias=biases, name="logits/semantic/BiasAdd")
