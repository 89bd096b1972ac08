"""Small networks, and changes to make to them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.demo.random_weights import random_weights
from convert.frames import normalised
from convert.graph.anatomy import Anatomy, discover
from convert.graph.graphdef import GraphDef, NodeDef, evaluate, parse
from convert.graph.picture import fed
from convert.graph.retarget import RetargetedNetwork, retarget
from convert.networks.architecture import Architecture, BatchNorm, Weights
from convert.networks.layers import same_paddings
from convert.networks.mobilenet import build
from convert.ranges import Range
from convert.tensorflow import tf
from convert.tflite.export import NetworkFunction, as_function, convert, quantized
from convert.tflite.quantize import measure_ranges
from convert.tflite.recipes import RECIPES

FEATURES = "MobilenetV2/expanded_conv_16/output"  # what the head reads
LAST = "logits/semantic/Conv2D"


@cache
def weights(width: float, classes: int) -> Weights:
    return random_weights(Architecture(width=width, classes=classes), seed=1)


def net(
    crop_hw: tuple[int, int] = (33, 49),
    stride: int = 8,
    *,
    width: float = 0.25,
    classes: int = 5,
    batch_norm: BatchNorm = "fused",
) -> GraphDef:
    """A DeepLab graph; the weights are the same for every size, stride and BatchNorm form."""
    return parse(_built(Architecture(width, classes, crop_hw, stride, batch_norm)), "net.pb")


@cache
def _built(arch: Architecture) -> bytes:
    data: bytes = build(arch, weights(arch.width, arch.classes)).SerializeToString()
    return data


def network(hw: tuple[int, int]) -> NetworkFunction:
    """The small net re-targeted to another size at output stride 16, as a TensorFlow function."""
    graph = net()
    return as_function(retarget(graph, discover(graph, "net.pb"), hw, 16))


def int8(saved_model: Path, samples: list[NDArray[np.float32]]) -> bytes:
    """A SavedModel as int8, calibrated with normalised pictures."""
    model = convert(saved_model, RECIPES["float32"])
    return quantized(model, measure_ranges(model, samples, Range(-1.0, 1.0)), RECIPES["int8"])


def node(graph: GraphDef, name: str) -> NodeDef:
    return next(n for n in graph.node if n.name == name)


def add(graph: GraphDef, name: str, make: Callable[..., Any], *inputs: str, dtype: Any = None) -> str:
    """Adds what `make` builds on the named float tensors; its result is called `name`."""
    with tf.Graph().as_default() as scope:
        tensors = [tf.compat.v1.placeholder(dtype or tf.float32, None, f"input{i}") for i in range(len(inputs))]
        tf.identity(make(*tensors), name=name)
    for new in scope.as_graph_def().node:
        if new.op == "Placeholder":
            continue
        new.name = new.name if new.name == name else f"{name}/{new.name}"
        for i, tensor in enumerate(new.input):
            new.input[i] = inputs[int(tensor[5:])] if tensor.startswith("input") else f"{name}/{tensor}"
        graph.node.append(new)
    return name


def insert(graph: GraphDef, reader: str, position: int, make: Callable[[Any], Any], name: str = "inserted") -> str:
    """Puts what `make` builds between a node and one of its inputs."""
    before = node(graph, reader).input[position]
    add(graph, name, make, before)
    node(graph, reader).input[position] = name
    return name


def set_constant(graph: GraphDef, name: str, value: Any) -> None:
    old = node(graph, name).attr["value"].tensor
    old.CopyFrom(tf.make_tensor_proto(value, dtype=old.dtype))


def without(graph: GraphDef, *names: str) -> None:
    """Takes nodes out of a graph."""
    kept = [n for n in graph.node if n.name not in names]
    del graph.node[:]
    graph.node.extend(kept)


def entrance(graph: GraphDef, shape: list[int | None] | None, dtype: Any, make: Callable[[Any], Any]) -> None:
    """Gives a graph a placeholder `picture` and a preprocessing of its own; its answer gets the size of its crop."""
    without(graph, "sub_7", "SemanticPredictions")
    with tf.Graph().as_default() as scope:
        picture = tf.compat.v1.placeholder(dtype, shape, "picture")
        with tf.name_scope("entrance"):
            made = make(picture)
        tf.identity(made, name="sub_7")
    graph.node.extend(scope.as_graph_def().node)


def ending(graph: GraphDef, make: Callable[[Any], Any], name: str = "answer") -> None:
    """Gives a graph another way from its logits to its answer."""
    without(graph, "ResizeBilinear_2", "ResizeBilinear_3", "ArgMax", "SemanticPredictions")
    add(graph, name, make, "logits/semantic/BiasAdd")


def atrous(x: Any, rates: tuple[int, int], map_hw: tuple[int, int]) -> Any:
    """A depthwise convolution of float32 (1, h, w, 256) with a rate for height and one for width, baked for a size."""
    kernel = np.random.default_rng(5).normal(0, 0.3, (3, 3, 256, 1)).astype(np.float32)
    paddings = [same_paddings(n, 3, rate) for n, rate in zip(map_hw, rates, strict=True)]
    split = tf.raw_ops.SpaceToBatchND(input=x, block_shape=rates, paddings=[p for p, _ in paddings])
    conv = tf.raw_ops.DepthwiseConv2dNative(input=split, filter=kernel, strides=[1] * 4, padding="VALID", name="dpc")
    return tf.raw_ops.BatchToSpaceND(input=conv, block_shape=rates, crops=[c for _, c in paddings])


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def stock_logits(graph: GraphDef, anatomy: Anatomy, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the untouched graph computes, its own preprocessing included."""
    return evaluate(graph, [anatomy.logits], {anatomy.image: fed(picture, anatomy.feeding, anatomy.norm)})[0]


def body_logits(body: RetargetedNetwork, anatomy: Anatomy, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    return evaluate(body.graph, [body.logits], {body.image: normalised(picture, anatomy.norm)})[0]


def assert_same(found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Equal but for the rounding of another order of additions."""
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
