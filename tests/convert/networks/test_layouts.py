"""Layouts against what deeplab's public code fixes: scopes, channels, strides and rates, and what reads what."""

from __future__ import annotations

from typing import Any

import nets
import numpy as np
import pytest

from convert.graph.graphdef import GraphDef, by_name, constant
from convert.networks import mobilenet_v3, resnet, xception
from convert.networks.mobilenet_v3 import MobileNetV3
from convert.networks.resnet import UNITS, ResNet
from convert.networks.xception import Xception
from convert.networks.xception import units as xception_units
from edge.errors import UsageError

pytestmark = pytest.mark.tensorflow
TINY: dict[str, Any] = {"width": 0.125, "classes": 3, "crop_hw": (65, 65)}


def dpc() -> GraphDef:
    arch = Xception(71, "dpc", middle_units=0, **TINY)
    return xception.build(arch, xception.random_weights(arch, 0))


def behind(graph: GraphDef, name: str) -> str:
    """The first node of another scope that a node reads, through atrous splits."""
    node = nets.node(graph, name)
    while node.name.startswith(name.rsplit("/", 1)[0]):
        node = nets.node(graph, node.input[0])
    return str(node.name)


def test_the_cells_branches_read_and_dilate_as_searched_for() -> None:
    """deeplab's dense_prediction_cell_branch5_top1_cityscapes.json, whose rates are doubled at output stride 8."""
    graph, scope = dpc(), "meta_architecture"
    nodes = by_name(graph)
    plan = {0: ([2, 12], None), 1: ([36, 30], 0), 2: ([12, 6], 1), 3: ([2, 2], 0), 4: ([12, 42], 0)}
    for branch, (rates, source) in plan.items():
        depthwise = f"{scope}/branch{branch}_depthwise/depthwise"
        assert constant(nodes, f"{depthwise}/SpaceToBatchND/block_shape", "").tolist() == rates
        read = behind(graph, depthwise)
        expected = "xception_71/exit_flow/block2" if source is None else f"{scope}/branch{source}_pointwise/Relu"
        assert read.startswith(expected)
    joined = nets.node(graph, f"{scope}/concat")
    assert list(joined.input[:5]) == [f"{scope}/branch{i}_pointwise/Relu" for i in range(5)]
    assert nets.node(graph, f"{scope}/concat_projection/Conv2D").input[0] == joined.name


def test_xception71_has_five_entry_blocks_and_its_decoder_reads_the_third() -> None:
    found = {unit.scope: (unit.depths[2], unit.stride, unit.rate) for unit in xception_units(Xception(71))}
    flow = "xception_71/{}/unit_1/xception_module"
    entry = [found[flow.format(f"entry_flow/block{i}")] for i in range(1, 6)]
    assert entry == [(128, 2, 1), (256, 1, 1), (256, 2, 1), (728, 1, 1), (728, 1, 1)]
    assert found[flow.format("middle_flow/block1")] == (728, 1, 2)
    assert found[flow.format("exit_flow/block2")] == (2048, 1, 4)
    assert sum(1 for scope in found if "middle_flow" in scope) == 16
    read = behind(dpc(), "decoder/feature_projection0/Conv2D")
    assert (
        read
        == "xception_71/entry_flow/block3/unit_1/xception_module/separable_conv2_pointwise/BatchNorm/FusedBatchNorm"
    )


@pytest.mark.parametrize(("depth", "first"), [(50, 7), (101, 7)])
def test_resnets_are_named_by_their_depth_and_stride_at_the_ends_of_blocks(depth: int, first: int) -> None:
    units = list(resnet.units(ResNet(UNITS[depth], output_stride=16)))
    assert ResNet(UNITS[depth]).scope == f"resnet_v1_{depth}"
    assert [unit.scope.split("/")[1:3] for unit in units if unit.stride == 2] == [
        ["block1", "unit_3"],
        ["block2", "unit_4"],
    ]
    assert {unit.rate for unit in units if "block4" in unit.scope} == {2}
    with pytest.raises(UsageError, match="expected 2 or more"):
        ResNet((1, 1, 1, 1))
    arch = ResNet((2, 1, 1, 1), beta=False, **TINY)
    assert resnet.random_weights(arch, 0)["resnet_v1_17/conv1/weights"].shape == (first, first, 3, 8)


# Inner and output channels, stride and kernel of the blocks from the last stride on, and the weights of the official
# models: 1.51 and 0.47 million in table 7 of Howard et al. 2019, which counts no statistics.
V3 = {
    "large": ([(336, 80, 2, 5), (480, 80, 1, 5), (480, 80, 1, 5)], 1.51e6),
    "small": ([(144, 48, 2, 5), (288, 48, 1, 5), (288, 48, 1, 5)], 0.47e6),
}


@pytest.mark.parametrize("size", V3)
def test_mobilenetv3_has_half_the_channels_at_its_end(size: Any) -> None:
    arch = MobileNetV3(size)
    last, parameters = V3[size]
    found = [(b.inner, b.outputs, b.stride, b.kernel) for b in mobilenet_v3.blocks(arch)][-3:]
    assert found == last
    weights = mobilenet_v3.random_weights(arch, 0)
    learnt = sum(value.size for name, value in weights.items() if "moving" not in name)
    assert learnt == pytest.approx(parameters, rel=0.02)
    assert weights["decoder/feature_projection0/weights"].shape == (1, 1, 120 if size == "large" else 88, 19)
    assert not np.isnan(weights["aspp0/weights"]).any()
