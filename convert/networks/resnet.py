"""Builds DeepLabV3+ ResNet-v1 (ASPP and decoder) as a frozen graph in the layout of deeplab's exporter.

The beta variant begins with three 3x3 convolutions, the plain one with a 7x7. Only the plain one subtracts a mean of
its own from each channel (deeplab's core/feature_extractor.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from convert.networks.architecture import HEAD_EPSILON, BatchNorm, Weights
from convert.networks.export_nodes import exported, preprocess
from convert.networks.heads import HEAD, PROJECTION, aspp, decoder
from convert.networks.layers import Tensor
from convert.networks.writer import Named, Writer, drawn
from convert.tensorflow import tf
from edge.errors import UsageError

IMAGENET_MEAN = (123.15, 115.90, 103.06)  # RGB, grey levels: deeplab's core/feature_extractor.py
UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
BASES = (64, 128, 256, 512)  # channels inside the units of each block; they give four times as many


@dataclass(frozen=True, slots=True)
class ResNet:
    """What fixes the graph apart from its weights. The official ones have the units of `UNITS` and width 1."""

    units: tuple[int, int, int, int] = UNITS[50]  # of each block; the decoder reads the second of the first
    beta: bool = True
    width: float = 1.0
    classes: int = 19
    crop_hw: tuple[int, int] = (1025, 2049)
    output_stride: int = 8
    batch_norm: BatchNorm = "fused"

    def __post_init__(self) -> None:
        if self.output_stride not in (8, 16, 32):
            raise UsageError(f"output stride {self.output_stride} cannot be built: expected 8, 16 or 32")
        if self.units[0] < 2:
            raise UsageError(f"{self.units[0]} units in the first block cannot be built: expected 2 or more")

    def channels(self, count: int) -> int:
        return max(8, round(count * self.width / 8) * 8)

    @property
    def scope(self) -> str:
        return f"resnet_v1_{3 * sum(self.units) + 2}"

    @property
    def mean_rgb(self) -> tuple[float, float, float] | None:
        """What is subtracted from each channel; None where pixels become x / 127.5 - 1."""
        return None if self.beta else IMAGENET_MEAN


@dataclass(frozen=True, slots=True)
class Unit:
    """Three convolutions that narrow, look around and widen, and a way around them (He et al. 2015)."""

    scope: str
    base: int
    stride: int
    rate: int


def units(arch: ResNet) -> Iterator[Unit]:
    """Yields the body behind the first pool: strides are at the ends of blocks, and turn into rates past the output
    stride.
    """
    reached, rate = 4, 1
    for block, (count, base) in enumerate(zip(arch.units, BASES, strict=True), start=1):
        for index in range(1, count + 1):
            wanted = 2 if index == count and block < 4 else 1
            stride = wanted if reached < arch.output_stride else 1
            scope = f"{arch.scope}/block{block}/unit_{index}/bottleneck_v1"
            yield Unit(scope, arch.channels(base), stride, rate)
            reached, rate = reached * stride, rate * (wanted // stride)


def random_weights(arch: ResNet, seed: int) -> Named:
    """Returns weights for tests of exactness and speed; they depend on neither crop nor stride."""
    small = replace(arch, crop_hw=(65, 65), batch_norm="fused")
    return drawn(lambda weights, random: _network(small, _writer(small, weights, random), preprocess(small)[0]), seed)


def build(arch: ResNet, weights: Weights) -> Any:
    """Returns the frozen `GraphDef`, see `export_nodes.exported`."""
    return exported(arch, lambda picture: _network(arch, _writer(arch, dict(weights)), picture), arch.mean_rgb)


def _writer(arch: ResNet, weights: Named, random: Any = None) -> Writer:
    return Writer(weights, arch.batch_norm, arch.scope, HEAD_EPSILON, explicit_padding=True, random=random)


def _network(arch: ResNet, writer: Writer, picture: Tensor) -> Tensor:
    x, low = _body(arch, writer, picture)
    channels = arch.channels(HEAD)
    x = aspp(writer, x, channels, arch.output_stride)
    x = decoder(writer, x, low, arch.crop_hw, channels, arch.channels(PROJECTION))
    return writer.biased(x, "logits/semantic", arch.classes)


def _body(arch: ResNet, writer: Writer, x: Tensor) -> tuple[Tensor, Tensor]:
    """Deep features, and the low-level ones for the decoder."""
    if arch.beta:
        x = writer.conv(x, f"{arch.scope}/conv1_1", arch.channels(64), 3, stride=2)
        x = writer.conv(x, f"{arch.scope}/conv1_2", arch.channels(64), 3)
        x = writer.conv(x, f"{arch.scope}/conv1_3", arch.channels(128), 3)
    else:
        x = writer.conv(x, f"{arch.scope}/conv1", arch.channels(64), 7, stride=2)
    low = x = _max_pool(x, 3, 2, f"{arch.scope}/pool1/MaxPool")
    for unit in units(arch):
        x, widened = _bottleneck(writer, unit, x)
        low = widened if f"{arch.scope}/block1/unit_2/" in unit.scope else low
    return x, low


def _bottleneck(writer: Writer, unit: Unit, x: Tensor) -> tuple[Tensor, Tensor]:
    """The unit's output, and that of its last convolution."""
    outputs = 4 * unit.base
    around = x
    if int(x.shape[3]) != outputs:
        around = writer.conv(x, f"{unit.scope}/shortcut", outputs, 1, activation=None, stride=unit.stride)
    elif unit.stride > 1:
        around = _max_pool(x, 1, unit.stride, f"{unit.scope}/shortcut/MaxPool")
    x = writer.conv(x, f"{unit.scope}/conv1", unit.base, 1)
    x = writer.conv(x, f"{unit.scope}/conv2", unit.base, 3, stride=unit.stride, rate=unit.rate)
    widened = writer.conv(x, f"{unit.scope}/conv3", outputs, 1, activation=None, gain=0.3)
    total = writer.add(around, widened, f"{unit.scope}/add")
    return tf.raw_ops.Relu(features=total, name=f"{unit.scope}/Relu"), widened


def _max_pool(x: Tensor, kernel: int, stride: int, name: str) -> Tensor:
    ksize, strides = [1, kernel, kernel, 1], [1, stride, stride, 1]
    padding = "SAME" if kernel > 1 else "VALID"
    return tf.raw_ops.MaxPool(input=x, ksize=ksize, strides=strides, padding=padding, name=name)
