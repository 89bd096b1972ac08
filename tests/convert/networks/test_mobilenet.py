from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convert.demo.network import Network
from convert.demo.random_weights import random_weights
from convert.networks.architecture import Architecture, blocks, kernel_shapes
from convert.networks.layers import same_paddings
from convert.networks.mobilenet import build
from convert.tensorflow import tf
from edge.errors import UsageError

pytestmark = pytest.mark.tensorflow
SMALL = Architecture(width=0.25, crop_hw=(65, 129))


@pytest.fixture(scope="module")
def weights() -> dict[str, NDArray[np.float32]]:
    return random_weights(SMALL, seed=3)


def picture(height: int, width: int) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(5).uniform(0, 255, (1, 5, 9, 3)).astype(np.float32)
    return tf.image.resize(coarse, (height, width)).numpy().astype(np.uint8)


def run(graph_def: Any, fetches: list[str], image: NDArray[np.uint8]) -> list[NDArray[Any]]:
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            return session.run(fetches, {"ImageTensor:0": image})


def macs(graph_def: Any, crop_hw: tuple[int, int]) -> int:
    total = 0
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, {"sub_7:0": tf.zeros([1, *crop_hw, 3])}, name="")
        for op in graph.get_operations():
            if op.type in ("Conv2D", "DepthwiseConv2dNative"):
                kernel = op.inputs[1].shape
                inputs = kernel[2] if op.type == "Conv2D" else 1
                total += int(np.prod(op.outputs[0].shape)) * kernel[0] * kernel[1] * inputs
    return total


@pytest.mark.parametrize(("stride", "giga"), [(8, 69.3), (16, 21.2)])
def test_full_size_graph_costs_what_the_official_one_costs(stride: int, giga: float) -> None:
    arch = Architecture(output_stride=stride)
    graph_def = build(arch, random_weights(arch, 0))
    assert macs(graph_def, arch.crop_hw) / 1e9 == pytest.approx(giga, abs=0.05)
    assert len(graph_def.SerializeToString()) / 1e6 == pytest.approx(8.8, abs=0.1)


def test_atrous_numbers_are_the_ones_the_official_export_bakes() -> None:
    assert same_paddings(129, 3, 2) == ([2, 3], [0, 1])
    assert same_paddings(65, 3, 4) == ([4, 7], [0, 3])
    graph_def = build(replace(SMALL, crop_hw=(1025, 2049)), random_weights(SMALL, 0))
    nodes = {node.name: node for node in graph_def.node}
    scope = "MobilenetV2/expanded_conv_7/depthwise/depthwise"
    assert tf.make_ndarray(nodes[f"{scope}/SpaceToBatchND/paddings"].attr["value"].tensor).tolist() == [[2, 3], [2, 3]]
    assert tf.make_ndarray(nodes[f"{scope}/BatchToSpaceND/crops"].attr["value"].tensor).tolist() == [[0, 1], [0, 1]]
    assert sum(node.op == "SpaceToBatchND" for node in graph_def.node) == 10


@pytest.mark.parametrize("size_hw", [(65, 129), (40, 100), (65, 77)])
def test_graph_pads_with_mean_grey_and_cuts_back(
    weights: dict[str, NDArray[np.float32]], size_hw: tuple[int, int]
) -> None:
    image = picture(*size_hw)
    logits, labels = run(build(SMALL, weights), ["logits/semantic/BiasAdd:0", "SemanticPredictions:0"], image)
    padded = np.full((1, 65, 129, 3), 127.5, np.float32)
    padded[:, : size_hw[0], : size_hw[1]] = image
    expected = Network(SMALL, weights)(padded).numpy()
    np.testing.assert_allclose(logits, expected, atol=2e-3)
    assert labels.dtype == np.int64
    assert labels.shape == (1, *size_hw)


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_same_weights_serve_every_stride_and_both_batch_norms(
    weights: dict[str, NDArray[np.float32]], stride: int
) -> None:
    image = picture(65, 129)
    results = []
    for batch_norm in ("fused", "folded"):
        graph_def = build(replace(SMALL, output_stride=stride, batch_norm=batch_norm), weights)
        assert any(node.op == "FusedBatchNorm" for node in graph_def.node) == (batch_norm == "fused")
        results += run(graph_def, ["logits/semantic/BiasAdd:0"], image)
    assert results[0].shape == (1, 64 // stride + 1, 128 // stride + 1, 19)
    np.testing.assert_allclose(results[0], results[1], atol=2e-3)


def test_labels_are_the_argmax_of_the_aligned_upsampling(weights: dict[str, NDArray[np.float32]]) -> None:
    logits, labels = run(
        build(SMALL, weights), ["logits/semantic/BiasAdd:0", "SemanticPredictions:0"], picture(65, 129)
    )
    whole = tf.compat.v1.image.resize_bilinear(logits, (65, 129), align_corners=True).numpy()
    np.testing.assert_array_equal(labels, whole.argmax(3))
    assert np.unique(labels).size > 3, "random weights must not collapse into one class"


def test_widths_round_as_in_slim() -> None:
    shapes = kernel_shapes(Architecture(width=0.35))
    outputs = [block.outputs for block in blocks(Architecture(width=0.35))]
    assert shapes["MobilenetV2/Conv/weights"] == (3, 3, 3, 16)
    assert outputs == [8, 8, 8, 16, 16, 16, 24, 24, 24, 24, 32, 32, 32, 56, 56, 56, 112]
    assert [block.outputs for block in blocks(Architecture(width=1.4))][-1] == 448


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(UsageError, match="output stride 4"):
        Architecture(output_stride=4)
    with pytest.raises(UsageError, match="width"):
        Architecture(width=0)
