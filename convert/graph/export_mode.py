"""Refuses graphs that were exported in a mode that no model for pictures can be made of, each with its own reason.

A graph in training mode converts and even agrees with itself, but what it says of a pixel depends on the whole picture,
on chance, or on values that are not in the file.
"""

from __future__ import annotations

from collections.abc import Collection

from convert.graph.graphdef import CONVOLUTIONS, Nodes, ancestors, consumers, descendants, inputs
from convert.tensorflow import tf
from edge.errors import GraphError
from edge.text import counted

INFERENCE = "export it for inference, with is_training=False"
FREEZE = "freeze the graph together with a checkpoint, as DeepLab's export_model.py does"
ROOTS = frozenset({"Rsqrt", "Sqrt", "SquaredDifference"})  # what a batch's deviation is worked out with
RANDOM = ("RandomUniform", "RandomStandardNormal", "TruncatedNormal", "StatelessRandom", "Multinomial", "RandomGamma")
VARIABLES = ("Variable", "VarHandleOp", "ReadVariable", "AutoReloadVariable", "TemporaryVariable", "ResourceGather")
PIPELINES = ("Iterator", "OneShotIterator", "QueueDequeue", "FIFOQueue", "PaddingFIFOQueue", "RandomShuffleQueue")
GRADIENTS = ("Backprop", "Apply", "ResourceApply", "SparseSoftmaxCrossEntropy", "SoftmaxCrossEntropy")


def check_export_mode(nodes: Nodes, needed: Collection[str]) -> None:
    """Raises GraphError for the first of the nodes `needed` that belongs to training or to several views of a picture.

    The nodes need not be valid. "First" is in the order of the graph, so that it is the same in every run.
    """
    deep = _behind_convolutions(nodes)
    ordered = [name for name in nodes if name in needed]
    for name in ordered:
        _check_values(nodes, name)
    for name in ordered:
        _check_statistics(nodes, name, deep, ordered)
    flipped = next((name for name in ordered if nodes[name].op in ("Reverse", "ReverseV2") and name in deep), None)
    if flipped is not None:
        raise GraphError(
            f"node {flipped} flips what the network made of a mirrored picture: the graph labels each picture twice; "
            "export it with add_flipped_images=False"
        )


def _check_values(nodes: Nodes, name: str) -> None:
    """Refuses what takes its values from elsewhere than the file and the picture."""
    node = nodes[name]
    if node.op.startswith(RANDOM):
        raise GraphError(
            f"node {name} is a {node.op}: the graph draws random numbers, as dropout does in training; {INFERENCE}"
        )
    if node.op.startswith(VARIABLES):
        raise GraphError(f"node {name} is a {node.op}: the graph is not frozen, its weights are elsewhere; {FREEZE}")
    if node.op.startswith(PIPELINES) or "QueueDequeue" in node.op:
        raise GraphError(
            f"node {name} is a {node.op}: the graph reads the pictures of its training itself, expected a placeholder "
            f"for one; {FREEZE}"
        )
    if node.op.startswith(GRADIENTS) or node.op.split("V2")[0].endswith(("Grad", "BackpropInput", "BackpropFilter")):
        raise GraphError(f"node {name} is a {node.op}: this is the graph of a training, with its loss; {FREEZE}")
    if node.op.startswith("Placeholder") and node.attr["dtype"].type == tf.bool.as_datatype_enum:
        raise GraphError(f"node {name} is a switch that is still open, as one between training and use is; {INFERENCE}")


def _check_statistics(nodes: Nodes, name: str, deep: Collection[str], ordered: list[str]) -> None:
    """Refuses BatchNorms that take the statistics of the picture in place of those of the training."""
    node = nodes[name]
    if node.op.startswith("FusedBatchNorm") and ("is_training" not in node.attr or node.attr["is_training"].b):
        count = sum(_is_training(nodes, other) for other in ordered)
        raise GraphError(
            f"node {name} is a {node.op} in training mode ({counted(count, 'such node')}): it normalises by each "
            f"picture's own statistics, not by those of the training; {INFERENCE}"
        )
    if node.op in ROOTS and name in deep:
        raise GraphError(
            f"node {name} is a {node.op} of the picture's own features: the graph normalises by each picture's own "
            f"statistics, as a BatchNorm in training mode does; {INFERENCE}"
        )


def _is_training(nodes: Nodes, name: str) -> bool:
    node = nodes[name]
    return node.op.startswith("FusedBatchNorm") and ("is_training" not in node.attr or node.attr["is_training"].b)


def _behind_convolutions(nodes: Nodes) -> set[str]:
    """All nodes that depend on a convolution."""
    readers = consumers(nodes)
    return descendants(nodes, (reader for n, node in nodes.items() if node.op in CONVOLUTIONS for reader in readers[n]))


def first_convolution(nodes: Nodes, body: Collection[str]) -> str:
    """Returns the convolution that sees the picture. Raises GraphError where there is none, or several, each of which
    sees it at another size.
    """
    deep = _behind_convolutions(nodes)
    first = [n for n in nodes if n in body and nodes[n].op in CONVOLUTIONS and n not in deep]
    first = [
        n for n in first if any(nodes[a].op.startswith("Placeholder") for a in ancestors(nodes, inputs(nodes[n])[:1]))
    ]
    if not first:
        raise GraphError("not a DeepLab graph: no convolution leads to its scores")
    pictures = {_seen_by(nodes, name) for name in first}
    if len(pictures) > 1:
        raise GraphError(
            f"the network sees the picture {len(pictures)} times, in other sizes or mirrored "
            f"({', '.join(first[:4])}); export it with inference_scales=[1.0] and add_flipped_images=False"
        )
    return first[0]


def _seen_by(nodes: Nodes, convolution: str) -> str:
    """The tensor that a convolution reads, without what only hands it on."""
    name = inputs(nodes[convolution])[0]
    for _ in range(len(nodes)):
        if nodes[name].op not in ("Identity", "Pad") or not inputs(nodes[name]):
            break
        name = inputs(nodes[name])[0]
    return name
