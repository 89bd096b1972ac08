"""Orders the atrous branches of a graph, so that their feature maps do not fill memory at the same time."""

from __future__ import annotations

from convert.graph.graphdef import GraphDef, ancestors, by_name, prune, topological


def in_turns(graph: GraphDef, output: str) -> GraphDef:
    """Returns what `output` needs, with every SpaceToBatchND waiting for the BatchToSpaceND before it.

    TensorFlow starts all branches of a head at once: Xception65 at 1025x2049 then holds 2.2 GB of feature maps. What
    the nodes compute stays the same.
    """
    turned = prune(graph, [output])
    nodes, before = by_name(turned), ""
    for name in topological(nodes, [output]):
        if nodes[name].op == "BatchToSpaceND":
            before = name
        elif nodes[name].op == "SpaceToBatchND" and before and name not in ancestors(nodes, [before]):
            nodes[name].input.append(f"^{before}")
    return turned
