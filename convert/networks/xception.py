"""Builds DeepLabV3+ Xception as a frozen graph in the layout of the official Cityscapes exports: Xception65 with ASPP,
Xception71 with the dense prediction cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from convert.networks.architecture import BatchNorm, Weights
from convert.networks.export_nodes import exported, preprocess
from convert.networks.heads import HEAD, PROJECTION, aspp, decoder, dense_prediction_cell
from convert.networks.layers import Tensor
from convert.networks.writer import Named, Writer, drawn
from convert.tensorflow import tf
from edge.errors import UsageError

# Scope, channels and stride of each block of the entry flow: deeplab's core/xception.py.
ENTRIES = {
    65: (("block1", 128, 2), ("block2", 256, 2), ("block3", 728, 2)),
    71: (("block1", 128, 2), ("block2", 256, 1), ("block3", 256, 2), ("block4", 728, 1), ("block5", 728, 2)),
}
LOW_LEVEL = {65: "block2", 71: "block3"}  # whose second separable convolution the decoder reads
HEADS = {"aspp": aspp, "dpc": dense_prediction_cell}


@dataclass(frozen=True, slots=True)
class Xception:
    """What fixes the graph apart from its weights. The official models have 16 middle units and width 1; Xception65
    comes with `aspp`, Xception71 with `dpc`.
    """

    depth: Literal[65, 71] = 65
    head: Literal["aspp", "dpc"] = "aspp"
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

    @property
    def scope(self) -> str:
        return f"xception_{self.depth}"


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
        *((f"entry_flow/{name}/unit_1", (n, n, n), "conv", stride, False) for name, n, stride in ENTRIES[arch.depth]),
        *((f"middle_flow/block1/unit_{i + 1}", (728, 728, 728), "sum", 1, False) for i in range(arch.middle_units)),
        ("exit_flow/block1/unit_1", (728, 1024, 1024), "conv", 2, False),
        ("exit_flow/block2/unit_1", (1536, 1536, 2048), "none", 1, True),
    ]
    reached, rate = 2, 1
    for scope, depths, skip, wanted, relu_inside in plan:
        stride = wanted if reached < arch.output_stride else 1
        wide = arch.channels(depths[0]), arch.channels(depths[1]), arch.channels(depths[2])
        yield Unit(f"{arch.scope}/{scope}/xception_module", wide, skip, stride, rate, relu_inside)
        reached, rate = reached * stride, rate * (wanted // stride)


def random_weights(arch: Xception, seed: int) -> Named:
    """Returns weights for tests of exactness and speed; they depend on neither crop nor stride."""
    small = replace(arch, crop_hw=(65, 65), batch_norm="fused")
    return drawn(lambda weights, random: _network(small, _writer(small, weights, random), preprocess(small)[0]), seed)


def build(arch: Xception, weights: Weights) -> Any:
    """Returns the frozen `GraphDef`, see `export_nodes.exported`."""
    return exported(arch, lambda picture: _network(arch, _writer(arch, dict(weights)), picture))


def _writer(arch: Xception, weights: Named, random: Any = None) -> Writer:
    return Writer(weights, arch.batch_norm, arch.scope, explicit_padding=True, random=random)


def _network(arch: Xception, writer: Writer, picture: Tensor) -> Tensor:
    x, low = _body(arch, writer, picture)
    channels = arch.channels(HEAD)
    x = HEADS[arch.head](writer, x, channels, arch.output_stride)
    x = decoder(writer, x, low, arch.crop_hw, channels, arch.channels(PROJECTION))
    return writer.biased(x, "logits/semantic", arch.classes)


def _body(arch: Xception, writer: Writer, x: Tensor) -> tuple[Tensor, Tensor]:
    """Deep features, and the low-level ones for the decoder."""
    x = writer.conv(x, f"{arch.scope}/entry_flow/conv1_1", arch.channels(32), 3, stride=2)
    low = x = writer.conv(x, f"{arch.scope}/entry_flow/conv1_2", arch.channels(64), 3)
    for unit in units(arch):
        start, outputs = x, _separables(writer, unit, x)
        if f"/{LOW_LEVEL[arch.depth]}/" in unit.scope and "entry_flow" in unit.scope:
            low = outputs[1]
        x = outputs[2]
        if unit.skip == "conv":
            around = f"{unit.scope}/shortcut"
            start = writer.conv(start, around, unit.depths[2], 1, activation=None, stride=unit.stride)
        if unit.skip != "none":
            x = writer.add(x, start, f"{unit.scope}/add")
    return x, low


def _separables(writer: Writer, unit: Unit, x: Tensor) -> list[Tensor]:
    """The outputs of a unit's three separable convolutions."""
    outputs = []
    activation = "Relu" if unit.relu_inside else None
    for index, depth in enumerate(unit.depths):
        if not unit.relu_inside:
            x = tf.raw_ops.Relu(features=x, name=f"{unit.scope}/Relu_{index}" if index else f"{unit.scope}/Relu")
        x = writer.separable(
            x,
            f"{unit.scope}/separable_conv{index + 1}",
            depth,
            activation=activation,
            stride=unit.stride if index == 2 else 1,
            rate=unit.rate,
            gain=0.3 if unit.skip == "sum" and index == 2 else 1.0,
        )
        outputs.append(x)
    return outputs
