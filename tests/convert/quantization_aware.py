"""Writes graphs as an export of quantization-aware training does: rounding of weights and activations simulated."""

from __future__ import annotations

from typing import Any

import nets
import numpy as np
from numpy.typing import NDArray

from convert.graph.graphdef import CONVOLUTIONS, GraphDef, by_name, constant, consumers, inputs, running
from convert.tensorflow import tf

ROUNDED = ("Relu", "Relu6", "Add", "AddV2", "ConcatV2")  # what has a range of its own in such an export
NORMS = ("FusedBatchNorm", "FusedBatchNormV3", "BiasAdd")  # this too, where no Relu comes behind it


def quantization_aware(graph: GraphDef, logits: str, feeds: list[dict[str, NDArray[Any]]], shrunk: float = 1) -> None:
    """Rounds the weights and the activations of a graph, the latter within `shrunk` of the range that they take.

    Weights have a range for each tensor, as TensorFlow's own rewriter gives them.
    """
    nodes = by_name(graph)
    readers = consumers(nodes)
    before = [n for n in nodes if nodes[n].op in CONVOLUTIONS]
    chosen = []
    for name, node in nodes.items():
        activated = any(nodes[reader].op in ("Relu", "Relu6") for reader in readers[name])
        if node.op in ROUNDED or (node.op in NORMS and not activated):
            chosen.append(name)
    with running(graph, chosen) as run:
        taken = [run(feed) for feed in feeds]
    deep = [i for i, name in enumerate(chosen) if taken[0][i].ndim == 4 and name != logits]
    for i in deep:
        low, high = (float(end([end(values[i]) for values in taken])) * shrunk for end in (np.min, np.max))
        _round(graph, chosen[i], readers[chosen[i]], min(low, 0.0), max(high, 1e-3))
    for name in before:
        weights = inputs(nodes[name])[1]
        values = constant(nodes, weights, name)
        _round(graph, weights, [name], float(values.min()), float(values.max()))


def _round(graph: GraphDef, name: str, readers: list[str], low: float, high: float) -> None:
    rounded = f"{name}/quant"
    nets.add(graph, rounded, lambda x: tf.quantization.fake_quant_with_min_max_vars(x, low, high), name)
    for node in graph.node:
        if node.name in readers:
            for place, tensor in enumerate(node.input):
                if tensor == name:
                    node.input[place] = rounded
