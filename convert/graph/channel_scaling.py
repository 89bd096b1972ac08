"""Makes one operator of a Mul and an Add that scale and shift each channel by constants.

That is a BatchNorm as Keras writes it. TensorFlow Lite's converter folds it into the convolution in front of it; where
an activation, another reader or something else stands between, both stay. In int8 they round twice then, and the
tensor between them has 255 steps for its widest channel. A small network of convolutions with an activation each and a
BatchNorm behind that: 0.9856 of pixels as in float so, 0.9876 with one operator, of which there are 17 instead of 22.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.graph.graphdef import (
    CONVOLUTIONS,
    GraphDef,
    NodeDef,
    Nodes,
    by_name,
    constant,
    consumers,
    descendants,
    producer,
    prune,
    set_constant,
    shapes,
)
from convert.graph.retarget import RetargetedNetwork
from convert.tensorflow import tf

ADDS = frozenset({"Add", "AddV2", "BiasAdd"})


@dataclass(frozen=True, slots=True)
class Scaling:
    """What a Mul and an Add do to the channels of a tensor."""

    source: str  # the tensor
    scale: NDArray[np.float32]  # one a channel
    shift: NDArray[np.float32]  # one a channel


def join_scalings(network: RetargetedNetwork) -> GraphDef:
    """Returns the graph of a network with x * scale + shift as a depthwise convolution of one pixel with a bias, except
    where the converter folds them.
    """
    graph = tf.compat.v1.GraphDef()
    graph.CopyFrom(network.graph)
    nodes = by_name(graph)
    found = dict(_scalings(network, nodes))
    for name, scaling in found.items():
        _write(nodes, name, scaling)
    joined = tf.compat.v1.GraphDef(versions=graph.versions)
    joined.node.extend(nodes.values())
    return prune(joined, [network.logits]) if found else graph


def _scalings(network: RetargetedNetwork, nodes: Nodes) -> Iterator[tuple[str, Scaling]]:
    """Yields the Adds of constants that nothing but a Mul by constants stands in front of."""
    readers, moving = consumers(nodes), descendants(nodes, [network.image])
    sizes = shapes(network.graph, network.image, (1, *network.input_hw, 3), [network.logits])
    for last in [node for node in nodes.values() if node.op in ADDS and node.name in moving]:
        product, shift = _split(nodes, moving, last)
        first = nodes[producer(product)]
        if shift is None or first.op != "Mul" or readers[first.name] != [last.name]:
            continue
        source, scale = _split(nodes, moving, first)
        before = producer(source)
        is_folded = nodes[before].op in CONVOLUTIONS and readers[before] == [first.name]
        if scale is None or is_folded or sizes[before] != sizes[last.name] or len(sizes[before]) != 4:
            continue
        if scale.size == shift.size == sizes[before][3]:
            yield last.name, Scaling(source, scale, shift)


def _split(nodes: Nodes, moving: set[str], node: NodeDef) -> tuple[str, NDArray[np.float32] | None]:
    """Returns the tensor that a node of two inputs reads and the numbers, one a channel, that it takes it with; None
    where they are no constants or not one a channel.
    """
    tensor, other = node.input if producer(node.input[0]) in moving else reversed(node.input)
    if producer(other) in moving:
        return tensor, None
    value = np.asarray(constant(nodes, producer(other), node.name))
    is_vector = value.dtype == np.float32 and 1 < value.size == value.shape[-1]
    return tensor, value.ravel() if is_vector else None


def _write(nodes: Nodes, name: str, scaling: Scaling) -> None:
    kernel = set_constant(nodes, f"{name}/scale", scaling.scale.reshape(1, 1, -1, 1))
    bias = set_constant(nodes, f"{name}/shift", scaling.shift)
    scaled = tf.compat.v1.NodeDef(name=f"{name}/scaled", op="DepthwiseConv2dNative", input=[scaling.source, kernel])
    scaled.attr["strides"].list.i[:] = [1, 1, 1, 1]
    scaled.attr["padding"].s = b"VALID"
    shifted = tf.compat.v1.NodeDef(name=name, op="BiasAdd", input=[scaled.name, bias])
    for node in (scaled, shifted):
        node.attr["T"].type = tf.float32.as_datatype_enum
        nodes[node.name] = node
