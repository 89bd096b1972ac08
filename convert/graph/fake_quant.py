"""Takes the simulated quantization out of a network that was trained with it, and keeps the ranges it has learned.

An export of quantization-aware training rounds weights and activations with FakeQuant nodes, as int8 arithmetic will.
The weights keep what they were rounded to; the ranges of activations become those of the int8 model.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from convert.graph.graphdef import (
    FAKE_QUANTS,
    GraphDef,
    NodeDef,
    Nodes,
    by_name,
    descendants,
    inputs,
    prune,
    running,
    set_constant,
    topological,
)
from convert.graph.retarget import RetargetedNetwork
from convert.ranges import Range
from convert.tensorflow import tf
from edge.errors import GraphError

ONE_SCALE = frozenset(
    {"ConcatV2", "MaxPool", "Pad", "Reshape", "ResizeBilinear"}
)  # which the values of their inputs keep


def take_out(network: RetargetedNetwork) -> tuple[RetargetedNetwork, dict[str, Range]]:
    """Returns the network without its FakeQuant nodes, and the ranges of those activations that had one, by node name.

    Raises GraphError where the range of one is none.
    """
    graph = tf.compat.v1.GraphDef()
    graph.CopyFrom(network.graph)
    nodes = by_name(graph)
    rounding = [name for name, node in nodes.items() if node.op in FAKE_QUANTS]
    if not rounding:
        return network, {}
    moving = descendants(nodes, [network.image])
    _round_weights(graph, nodes, [name for name in rounding if name not in moving])
    found: dict[str, list[Range]] = {}
    for name in [name for name in topological(nodes, [network.logits]) if nodes[name].op in FAKE_QUANTS]:
        node = nodes[name]
        found.setdefault(_source(nodes, name), []).append(_range(nodes, node))
    graph, logits = _bypassed(network, nodes)
    ranges = {name: Range(min(r.low for r in known), max(r.high for r in known)) for name, known in found.items()}
    ranges.pop(network.image, None)  # that of a picture follows from its normalisation
    _pass_on(by_name(graph), logits, ranges)
    return replace(network, graph=graph, logits=logits), ranges


def _round_weights(graph: GraphDef, nodes: Nodes, fixed: list[str]) -> None:
    """Puts a constant in the place of every FakeQuant that does not depend on the picture."""
    if fixed:
        with running(graph, fixed) as run:
            values = run({})
        for name, value in zip(fixed, values, strict=True):
            if not np.isfinite(value).all():
                raise GraphError(f"{name}: rounds weights to what is no finite number; its range is damaged")
            set_constant(nodes, name, value)


def _source(nodes: Nodes, name: str) -> str:
    """What makes the tensor that a FakeQuant rounds, or that the FakeQuant before it rounds."""
    while nodes[name].op in FAKE_QUANTS:
        name = inputs(nodes[name])[0]
    return name


def _range(nodes: Nodes, node: NodeDef) -> Range:
    if node.op == "FakeQuantWithMinMaxArgs":
        low, high = (float(node.attr[name].f) for name in ("min", "max"))
    else:
        ends = [nodes[name] for name in inputs(node)[1:3]]
        if any(end.op != "Const" for end in ends):
            raise GraphError(f"{node.name}: expected constants as its range; freeze the graph with its checkpoint")
        values = [tf.make_ndarray(end.attr["value"].tensor) for end in ends]
        low, high = float(values[0].min()), float(values[1].max())
    low, high = min(low, 0.0), max(high, 0.0)  # 0 is always in it: FakeQuant moves a range that leaves it out
    if not 0 < high - low < float(np.finfo(np.float32).max):
        raise GraphError(f"{node.name}: its range of {low:g} to {high:g} is none")
    return Range(low, high)


def _bypassed(network: RetargetedNetwork, nodes: Nodes) -> tuple[GraphDef, str]:
    """The graph in which nobody reads a FakeQuant, and the name of its scores."""
    for node in nodes.values():
        for place, tensor in enumerate(node.input):
            name = tensor.removeprefix("^").partition(":")[0]
            if nodes[name].op in FAKE_QUANTS:
                node.input[place] = _source(nodes, name)
    logits = _source(nodes, network.logits)
    packed = tf.compat.v1.GraphDef(versions=network.graph.versions)
    packed.node.extend(nodes.values())
    return prune(packed, [logits]), logits


def _pass_on(nodes: Nodes, logits: str, ranges: dict[str, Range]) -> None:
    """What joins, moves or enlarges values has the range of all of them, where training gave it none of its own."""
    for name in topological(nodes, [logits]):
        if name in ranges or nodes[name].op not in ONE_SCALE:
            continue
        before = [ranges.get(i) for i in inputs(nodes[name]) if nodes[i].op != "Const"]
        known = [r for r in before if r is not None]
        if before and len(known) == len(before):
            ranges[name] = Range(min(r.low for r in known), max(r.high for r in known))
