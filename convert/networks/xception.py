"""Builds DeepLabV3+ Xception (ASPP and decoder) as a frozen graph in the layout of the official Cityscapes export."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.networks.architecture import BatchNorm, Weights
from convert.networks.export_nodes import predict, preprocess
from convert.networks.layers import Layers, Tensor, const, convolve, resize
from convert.tensorflow import tf
from edge.errors import UsageError

BODY_EPSILON = 0.001
HEAD_EPSILON = 1.001e-5
HEAD, PROJECTION = 256, 48  # channels of ASPP and decoder, and of the decoder's low-level features
ASPP_RATES = (6, 12, 18)  # at output stride 16, multiplied by 16 / stride elsewhere
LOW_LEVEL = "xception_65/entry_flow/block2/unit_1/xception_module/separable_conv2_pointwise"


@dataclass(frozen=True, slots=True)
class Xception:
    """What fixes the graph apart from its weights. The official model has 16 middle units and width 1."""

    middle_units: int = 16
    width: float = 1.0
    classes: int = 19
    crop_hw: tuple[int, int] = (1025, 2049)
    output_stride: int = 8
    batch_norm: BatchNorm = "fused"

    def __post_init__(self) -> None:
        if self.output_stride not in (8, 16, 32):
            raise UsageError(f"output stride {self.output_stride} cannot be built: expected 8, 16 or 32")

    def channels(self, count: int) -> int:
        return max(8, round(count * self.width / 8) * 8)


@dataclass(frozen=True, slots=True)
class Unit:
    """Three separable convolutions and a way around them (Chollet 2017, as changed in DeepLabV3+)."""

    scope: str
    depths: tuple[int, int, int]
    skip: str  # conv, sum or none
    stride: int
    rate: int
    relu_inside: bool  # ReLU behind both halves of a separable convolution instead of in front of it


def units(arch: Xception) -> Iterator[Unit]:
    """Yields the body behind the two root convolutions. Past the output stride, strides turn into rates."""
    plan = [
        ("entry_flow/block1/unit_1", (128, 128, 128), "conv", 2, False),
        ("entry_flow/block2/unit_1", (256, 256, 256), "conv", 2, False),
        ("entry_flow/block3/unit_1", (728, 728, 728), "conv", 2, False),
        *((f"middle_flow/block1/unit_{i + 1}", (728, 728, 728), "sum", 1, False) for i in range(arch.middle_units)),
        ("exit_flow/block1/unit_1", (728, 1024, 1024), "conv", 2, False),
        ("exit_flow/block2/unit_1", (1536, 1536, 2048), "none", 1, True),
    ]
    reached, rate = 2, 1
    for scope, depths, skip, wanted, relu_inside in plan:
        stride = wanted if reached < arch.output_stride else 1
        wide = arch.channels(depths[0]), arch.channels(depths[1]), arch.channels(depths[2])
        yield Unit(f"xception_65/{scope}/xception_module", wide, skip, stride, rate, relu_inside)
        reached, rate = reached * stride, rate * (wanted // stride)


class _Writer:
    """Writes the network; with `random`, makes the weights that are missing as it goes."""

    def __init__(
        self, arch: Xception, weights: dict[str, NDArray[np.float32]], random: np.random.Generator | None = None
    ) -> None:
        self.arch, self._weights, self._random = arch, weights, random
        self._layers = Layers(weights, arch.batch_norm)

    def conv(
        self, x: Tensor, scope: str, outputs: int, kernel: int, *, relu: bool = True, stride: int = 1, rate: int = 1
    ) -> Tensor:
        """Convolution, BatchNorm and maybe ReLU. A stride gets its padding from a Pad node, whatever the size."""
        depthwise = scope.endswith("depthwise")
        name = f"{scope}/depthwise_weights" if depthwise else f"{scope}/weights"
        if self._random and name not in self._weights:
            shape = (kernel, kernel, int(x.shape[3]), 1 if depthwise else outputs)
            self._weights.update(_random_layer(self._random, name, shape))
        padded = stride > 1 and kernel > 1
        if padded:
            around = const(f"{scope}/Pad/paddings", [[0, 0], [1, 1], [1, 1], [0, 0]])
            x = tf.raw_ops.Pad(input=x, paddings=around, name=f"{scope}/Pad")
        return self._layers.conv(
            x,
            scope,
            "Relu" if relu else None,
            epsilon=BODY_EPSILON if scope.startswith("xception") else HEAD_EPSILON,
            stride=stride,
            rate=rate,
            padding="VALID" if padded else "SAME",
        )

    def separable(self, x: Tensor, scope: str, outputs: int, *, relu: bool, stride: int = 1, rate: int = 1) -> Tensor:
        x = self.conv(x, f"{scope}_depthwise", int(x.shape[3]), 3, relu=relu, stride=stride, rate=rate)
        return self.conv(x, f"{scope}_pointwise", outputs, 1, relu=relu)

    def body(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Deep features, and the low-level ones for the decoder."""
        x = self.conv(x, "xception_65/entry_flow/conv1_1", self.arch.channels(32), 3, stride=2)
        low = x = self.conv(x, "xception_65/entry_flow/conv1_2", self.arch.channels(64), 3)
        for unit in units(self.arch):
            start = x
            for index, depth in enumerate(unit.depths):
                scope = f"{unit.scope}/separable_conv{index + 1}"
                if not unit.relu_inside:
                    x = tf.raw_ops.Relu(
                        features=x, name=f"{unit.scope}/Relu_{index}" if index else f"{unit.scope}/Relu"
                    )
                stride = unit.stride if index == 2 else 1
                x = self.separable(x, scope, depth, relu=unit.relu_inside, stride=stride, rate=unit.rate)
                low = x if f"{scope}_pointwise" == LOW_LEVEL else low
            if unit.skip == "conv":
                scope = f"{unit.scope}/shortcut"
                start = self.conv(start, scope, unit.depths[2], 1, relu=False, stride=unit.stride)
            if unit.skip != "none":
                x = tf.raw_ops.Add(x=x, y=start, name=f"{unit.scope}/add")
        return x, low

    def aspp(self, x: Tensor) -> Tensor:
        """Image pooling, a 1x1 branch and three atrous ones, projected."""
        channels = self.arch.channels(HEAD)
        whole = [1, int(x.shape[1]), int(x.shape[2]), 1]
        pooled = tf.raw_ops.AvgPool(value=x, ksize=whole, strides=whole, padding="VALID", name="AvgPool2D/AvgPool")
        pooled = self.conv(pooled, "image_pooling", channels, 1)
        branches = [
            resize(pooled, const("ResizeBilinear_1/size", whole[1:3]), "ResizeBilinear_1"),
            self.conv(x, "aspp0", channels, 1),
        ]
        for index, rate in enumerate(ASPP_RATES, start=1):
            rate_here = rate * 16 // self.arch.output_stride
            branches.append(self.separable(x, f"aspp{index}", channels, relu=True, rate=rate_here))
        joined = tf.raw_ops.ConcatV2(values=branches, axis=const("concat/axis", 3), name="concat")
        return self.conv(joined, "concat_projection", channels, 1)

    def decoder(self, x: Tensor, low: Tensor) -> Tensor:
        """Stride-4 features: the deep ones, resized, beside a projection of the low-level ones."""
        low = self.conv(low, "decoder/feature_projection0", self.arch.channels(PROJECTION), 1)
        size = [(n - 1) // 4 + 1 for n in self.arch.crop_hw]
        x = resize(x, const("decoder/ResizeBilinear/size", size), "decoder/ResizeBilinear")
        low = resize(low, const("decoder/ResizeBilinear_1/size", size), "decoder/ResizeBilinear_1")
        x = tf.raw_ops.ConcatV2(values=[x, low], axis=const("decoder/concat/axis", 3), name="decoder/concat")
        for index in (0, 1):
            x = self.separable(x, f"decoder/decoder_conv{index}", self.arch.channels(HEAD), relu=True)
        return x

    def logits(self, x: Tensor) -> Tensor:
        scope = "logits/semantic"
        if self._random and f"{scope}/weights" not in self._weights:
            shape = (1, 1, int(x.shape[3]), self.arch.classes)
            self._weights.update(_random_layer(self._random, f"{scope}/weights", shape))
            self._weights[f"{scope}/biases"] = self._random.normal(0, 0.1, self.arch.classes).astype(np.float32)
        x = convolve(x, self._layers.read(f"{scope}/weights"), f"{scope}/Conv2D", depthwise=False)
        return tf.raw_ops.BiasAdd(value=x, bias=self._layers.read(f"{scope}/biases"), name=f"{scope}/BiasAdd")


def _random_layer(random: np.random.Generator, name: str, shape: tuple[int, ...]) -> dict[str, NDArray[np.float32]]:
    """A He-scaled kernel and a BatchNorm with statistics near those of normalised activations.

    Residual branches are scaled down, so that fifty layers neither blow up nor die.
    """
    scope, kind = name.rsplit("/", 1)
    depthwise = kind == "depthwise_weights"
    deviation = np.sqrt(2 / (shape[0] * shape[1] * (1 if depthwise else shape[2])))
    channels = shape[2] if depthwise else shape[3]
    gamma = 0.3 if "middle_flow" in scope and scope.endswith("3_pointwise") else 1.0
    drawn = {
        name: random.normal(0, deviation, shape),
        f"{scope}/BatchNorm/gamma": random.uniform(0.8, 1.2, channels) * gamma,
        f"{scope}/BatchNorm/beta": random.normal(0, 0.2, channels),
        f"{scope}/BatchNorm/moving_mean": random.normal(0, 0.1, channels),
        f"{scope}/BatchNorm/moving_variance": random.uniform(0.8, 1.5, channels),
    }
    return {key: value.astype(np.float32) for key, value in drawn.items()}


def random_weights(arch: Xception, seed: int) -> dict[str, NDArray[np.float32]]:
    """Returns weights for tests of exactness and speed; they depend on neither crop nor stride."""
    weights: dict[str, NDArray[np.float32]] = {}
    with tf.Graph().as_default():
        picture, _ = preprocess(replace(arch, crop_hw=(65, 65), batch_norm="fused"))
        _network(_Writer(replace(arch, crop_hw=(65, 65)), weights, np.random.default_rng(seed)), picture)
    return weights


def build(arch: Xception, weights: Weights) -> Any:
    """Returns the frozen `GraphDef`: `ImageTensor` uint8 [1, ?, ?, 3] RGB to `SemanticPredictions` int64 [1, height,
    width].
    """
    graph = tf.Graph()
    with graph.as_default():
        picture, size = preprocess(arch)
        predict(arch, _network(_Writer(arch, dict(weights)), picture), size)
    return graph.as_graph_def()


def _network(writer: _Writer, picture: Tensor) -> Tensor:
    deep, low = writer.body(picture)
    return writer.logits(writer.decoder(writer.aspp(deep), low))
