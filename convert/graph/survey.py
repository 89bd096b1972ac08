"""Says what is in a graph, whether or not it is one that can be converted."""

from __future__ import annotations

from collections import Counter

from convert.graph.graphdef import CONVOLUTIONS, GraphDef, NodeDef, Nodes, by_name, consumers
from convert.graph.scores import rule_of
from convert.tensorflow import tf

LISTED = 8  # names of a kind; more than that are counted
IDLE = ("Assert", "Const", "Identity", "NoOp")


def survey(graph: GraphDef) -> dict[str, object]:
    """Returns what the nodes of a graph are, by title. Nothing is run, and the nodes need not be valid."""
    nodes = by_name(graph)
    operators = Counter(node.op for node in graph.node if node.op not in IDLE)
    return {
        "whole graph": {
            "nodes": len(nodes),
            "placeholders": [_placeholder(node) for node in nodes.values() if node.op.startswith("Placeholder")],
            "outputs": _listed([f"{name} ({nodes[name].op})" for name in _outputs(nodes)]),
            "picks classes": _listed([name for name, node in nodes.items() if node.op == "ArgMax"]),
            "convolutions": sum(operators[op] for op in CONVOLUTIONS),
            "bilinear resizes": dict(Counter(rule_of(n) for n in nodes.values() if n.op == "ResizeBilinear")),
        },
        "operators": dict(operators.most_common()),
    }


def _outputs(nodes: Nodes) -> list[str]:
    readers = consumers(nodes)
    return [name for name, node in nodes.items() if not readers[name] and node.op not in IDLE]


def _placeholder(node: NodeDef) -> str:
    try:
        dtype = tf.as_dtype(node.attr["dtype"].type).name
    except TypeError:
        dtype = "of no type"
    shape = node.attr["shape"].shape
    sizes = ", ".join("?" if dim.size < 0 else str(dim.size) for dim in shape.dim)
    return f"{node.name} {dtype} ({'any shape' if shape.unknown_rank else sizes})"


def _listed(names: list[str]) -> list[str]:
    more = len(names) - LISTED
    return [*names[:LISTED], f"and {more} more"] if more > 0 else names
