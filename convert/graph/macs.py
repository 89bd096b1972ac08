"""What a network costs: multiply-accumulates of its convolutions."""

from __future__ import annotations

import math

from convert.graph.graphdef import CONVOLUTIONS, GraphDef, by_name, inputs, shapes


def macs(graph: GraphDef, image: str, logits: str, input_hw: tuple[int, int]) -> int:
    """Returns multiply-accumulates from the tensor `image`, float32 (1, H, W, 3), to `logits`.

    Output elements times the kernel elements that each of them needs. An atrous convolution written as
    SpaceToBatchND -> convolution -> BatchToSpaceND counts with the padding it computes on.
    """
    nodes = by_name(graph)
    sizes = shapes(graph, image, (1, *input_hw, 3), [logits])
    total = 0
    for name in (n for n in sizes if nodes[n].op in CONVOLUTIONS):
        kernel = sizes[inputs(nodes[name])[1]]
        per_output = kernel[:3] if nodes[name].op == "Conv2D" else kernel[:2]
        total += math.prod(n or 0 for n in (*sizes[name], *per_output))
    return total
