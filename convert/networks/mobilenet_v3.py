"""Builds MobileNetV3 with the LR-ASPP head as a frozen graph in the layout of the official Cityscapes export of 2019.

The bodies are slim's V3_LARGE and V3_SMALL with half the channels from the last stride on (deeplab's
core/feature_extractor.py); the head is that of section 6.4 of Howard et al. 2019, "Searching for MobileNetV3".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from convert.networks.architecture import BatchNorm, Weights, divisible
from convert.networks.export_nodes import exported, preprocess
from convert.networks.layers import Tensor, const, gate, resize
from convert.networks.writer import Named, Writer, drawn
from convert.tensorflow import tf
from edge.errors import UsageError

# Kernel, expansion, output channels, stride, squeeze-and-excite, hard swish of each block.
BLOCKS = {
    "large": (
        (3, 1, 16, 1, False, False),
        (3, 4, 24, 2, False, False),
        (3, 3, 24, 1, False, False),
        (5, 3, 40, 2, True, False),
        (5, 3, 40, 1, True, False),
        (5, 3, 40, 1, True, False),
        (3, 6, 80, 2, False, True),
        (3, 2.5, 80, 1, False, True),
        (3, 184 / 80, 80, 1, False, True),
        (3, 184 / 80, 80, 1, False, True),
        (3, 6, 112, 1, True, True),
        (3, 6, 112, 1, True, True),
        (5, 3, 80, 2, True, True),
        (5, 6, 80, 1, True, True),
        (5, 6, 80, 1, True, True),
    ),
    "small": (
        (3, 1, 16, 2, True, False),
        (3, 4.5, 24, 2, False, False),
        (3, 88 / 24, 24, 1, False, False),
        (5, 4, 40, 2, True, True),
        (5, 6, 40, 1, True, True),
        (5, 6, 40, 1, True, True),
        (5, 3, 48, 1, True, True),
        (5, 3, 48, 1, True, True),
        (5, 3, 48, 2, True, True),
        (5, 6, 48, 1, True, True),
        (5, 6, 48, 1, True, True),
    ),
}
LAST = {"large": 480, "small": 288}  # channels of the last convolution of the body
LOW_LEVEL = {"large": 5, "small": 2}  # the block, of stride 8, whose depthwise output the decoder reads
HEAD = 128


@dataclass(frozen=True, slots=True)
class MobileNetV3:
    """What fixes the graph apart from its weights; the defaults are the official ones."""

    size: Literal["large", "small"] = "large"
    width: float = 1.0
    classes: int = 19
    crop_hw: tuple[int, int] = (1025, 2049)
    output_stride: int = 32
    batch_norm: BatchNorm = "fused_v3"
    pooled_hw: tuple[int, int] = (769, 769)  # pixels that a window of the head averages over: the crop of the training
    pool_steps: tuple[int, int] = (4, 5)  # between windows, in cells of the deepest map

    def __post_init__(self) -> None:
        if self.output_stride not in (16, 32):
            raise UsageError(f"output stride {self.output_stride} cannot be built: expected 16 or 32")

    def channels(self, count: int) -> int:
        return divisible(count * self.width)


@dataclass(frozen=True, slots=True)
class Block:
    """One inverted residual block."""

    scope: str
    kernel: int
    inner: int
    outputs: int
    stride: int
    rate: int
    excites: bool
    activation: str


def blocks(arch: MobileNetV3) -> Iterator[Block]:
    """Yields the body behind the first convolution. Past the output stride, strides turn into rates."""
    inputs, reached, rate = arch.channels(16), 2, 1
    for index, (kernel, expansion, count, wanted, excites, swish) in enumerate(BLOCKS[arch.size]):
        stride = wanted if reached < arch.output_stride else 1
        scope = f"MobilenetV3/expanded_conv_{index}" if index else "MobilenetV3/expanded_conv"
        inner, outputs = divisible(inputs * expansion), arch.channels(count)
        yield Block(scope, kernel, inner, outputs, stride, rate, excites, "hard_swish" if swish else "Relu")
        reached, rate, inputs = reached * stride, rate * (wanted // stride), outputs


def random_weights(arch: MobileNetV3, seed: int) -> Named:
    """Returns weights for tests of exactness and speed; they depend on neither crop nor stride."""
    small = replace(arch, crop_hw=(65, 65), pooled_hw=(65, 65), batch_norm="fused_v3")
    return drawn(lambda weights, random: _network(small, _writer(small, weights, random), preprocess(small)[0]), seed)


def build(arch: MobileNetV3, weights: Weights) -> Any:
    """Returns the frozen `GraphDef`, see `export_nodes.exported`."""
    return exported(arch, lambda picture: _network(arch, _writer(arch, dict(weights)), picture))


def _writer(arch: MobileNetV3, weights: Named, random: Any = None) -> Writer:
    return Writer(weights, arch.batch_norm, "MobilenetV3", random=random)


def _network(arch: MobileNetV3, writer: Writer, picture: Tensor) -> Tensor:
    x, low = _body(arch, writer, picture)
    return _head(arch, writer, x, low)


def _body(arch: MobileNetV3, writer: Writer, x: Tensor) -> tuple[Tensor, Tensor]:
    """Deep features, and the low-level ones for the decoder."""
    x = tf.identity(x, name="MobilenetV3/MobilenetV3/input")
    low = x = writer.conv(x, "MobilenetV3/Conv", arch.channels(16), 3, activation="hard_swish", stride=2)
    for index, block in enumerate(blocks(arch)):
        x, looked = _block(writer, block, x)
        low = looked if index == LOW_LEVEL[arch.size] else low
    return writer.conv(x, "MobilenetV3/Conv_1", arch.channels(LAST[arch.size]), 1, activation="hard_swish"), low


def _block(writer: Writer, block: Block, x: Tensor) -> tuple[Tensor, Tensor]:
    """The block's output, and that of its depthwise convolution."""
    start = x = tf.identity(x, name=f"{block.scope}/input")
    if block.inner > int(x.shape[3]):
        x = writer.conv(x, f"{block.scope}/expand", block.inner, 1, activation=block.activation)
        x = tf.identity(x, name=f"{block.scope}/expansion_output")
    scope = f"{block.scope}/depthwise"
    x = writer.conv(x, scope, 0, block.kernel, activation=block.activation, stride=block.stride, rate=block.rate)
    looked = x = tf.identity(x, name=f"{block.scope}/depthwise_output")
    if block.excites:
        x = _squeeze_excite(writer, x, f"{block.scope}/squeeze_excite")
    residual = block.stride == 1 and int(start.shape[3]) == block.outputs
    x = writer.conv(x, f"{block.scope}/project", block.outputs, 1, activation=None, gain=0.5 if residual else 1.0)
    x = tf.identity(x, name=f"{block.scope}/project/Identity")
    if residual:
        x = writer.add(x, start, f"{block.scope}/add")
    return tf.identity(x, name=f"{block.scope}/output"), looked


def _squeeze_excite(writer: Writer, x: Tensor, scope: str) -> Tensor:
    whole, channels = [1, int(x.shape[1]), int(x.shape[2]), 1], int(x.shape[3])
    pooled = tf.raw_ops.AvgPool(value=x, ksize=whole, strides=[1] * 4, padding="VALID", name=f"{scope}/AvgPool")
    squeezed = writer.biased(pooled, f"{scope}/Conv", divisible(channels / 4))
    squeezed = tf.raw_ops.Relu(features=squeezed, name=f"{scope}/Conv/Relu")
    excited = gate(writer.biased(squeezed, f"{scope}/Conv_1", channels), f"{scope}/Conv_1")
    return tf.raw_ops.Mul(x=x, y=excited, name=f"{scope}/mul")


def _head(arch: MobileNetV3, writer: Writer, x: Tensor, low: Tensor) -> Tensor:
    """LR-ASPP: averages over large windows weigh a 1x1 branch, and the logits of both strides are added at stride 8.

    Neither a window nor a step is larger than the map; the official exporter refuses a crop that is too small for them.
    """
    cells = [(n - 1) // arch.output_stride + 1 for n in arch.pooled_hw]
    window, steps = (np.minimum(wanted, x.shape[1:3]).tolist() for wanted in (cells, arch.pool_steps))
    ends: dict[str, Any] = {"ksize": [1, *window, 1], "strides": [1, *steps, 1], "padding": "VALID"}
    pooled = tf.raw_ops.AvgPool(value=x, **ends, name="AvgPool2D/AvgPool")
    pooled = gate(writer.biased(pooled, "image_pooling", HEAD), "image_pooling")
    pooled = resize(pooled, const("ResizeBilinear/size", x.shape[1:3]), "ResizeBilinear")
    branch = tf.identity(writer.conv(x, "aspp0", HEAD, 1), name="concat/concat")
    x = tf.raw_ops.Mul(x=branch, y=pooled, name="mul_1")
    low = writer.biased(low, "decoder/feature_projection0", arch.classes)
    size = [(n - 1) // 8 + 1 for n in arch.crop_hw]
    x = resize(x, const("decoder/ResizeBilinear/size", size), "decoder/ResizeBilinear")
    low = resize(low, const("decoder/ResizeBilinear_1/size", size), "decoder/ResizeBilinear_1")
    x = writer.biased(x, "decoder/decoder_conv0", arch.classes)
    return tf.identity(writer.add(x, low, "decoder/add"), name="semantic")
