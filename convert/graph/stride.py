"""Raises the output stride of a network whose atrous convolutions are single nodes, with the same weights."""

from __future__ import annotations

from convert.graph.anatomy import Anatomy
from convert.graph.graphdef import CONVOLUTIONS, Nodes, ancestors, inputs, kernel_hw, rate, strides
from edge.errors import GraphError


def stride_for(asked: str, anatomy: Anatomy) -> int:
    """Returns the output stride that one of `convert.graph.strides.STRIDES` comes to for a graph."""
    if asked in ("auto", "keep"):
        return max(16, anatomy.output_stride) if asked == "auto" else anatomy.output_stride
    return int(asked)


def change_stride(nodes: Nodes, anatomy: Anatomy, stride: int) -> None:
    """Doubles the stride, from the graph's to the wanted one, by undoing atrous rates.

    A network of stride s is its own stride-2s version with one convolution's stride set to 1 and every rate
    behind it doubled. Undone: the last convolution with a kernel before the first atrous one gets its stride
    of 2 back and all rates halve. Weights stay as they are.
    """
    now = anatomy.output_stride
    while now < stride:
        _coarsen(nodes, anatomy)
        now *= 2
    reached = max(strides(nodes, anatomy.normalised, anatomy.logits).values())
    if reached != stride:
        raise GraphError(f"output stride {stride} cannot be reached from {anatomy.output_stride}: got {reached}")


def _coarsen(nodes: Nodes, anatomy: Anatomy) -> None:
    order = list(strides(nodes, anatomy.normalised, anatomy.logits))
    convolutions = [nodes[n] for n in order if nodes[n].op in CONVOLUTIONS]
    atrous = [i for i, conv in enumerate(convolutions) if rate(conv) > 1]
    if not atrous:
        raise GraphError("the output stride cannot be raised: the graph has no atrous convolution left to undo")
    odd = next((convolutions[i] for i in atrous if rate(convolutions[i]) % 2), None)
    if odd is not None:
        raise GraphError(f"{odd.name}: the output stride cannot be raised: its rate {rate(odd)} cannot be halved")
    first = convolutions[atrous[0]]
    behind = ancestors(nodes, [first.name], frozenset({anatomy.normalised}))
    before = [c for c in convolutions[: atrous[0]] if c.name in behind and max(kernel_hw(nodes, c)) > 1]
    if not before:
        raise GraphError(f"{first.name}: no convolution in front of it could take the stride")
    before[-1].attr["strides"].list.i[:] = [1, 2, 2, 1]
    _shrink_around(nodes, before[-1].name, order)
    for i in atrous:
        half = rate(convolutions[i]) // 2
        convolutions[i].attr["dilations"].list.i[:] = [1, half, half, 1]


def _shrink_around(nodes: Nodes, strided: str, order: list[str]) -> None:
    """Where the output of a convolution that got a stride meets a tensor that went around it, as in a residual
    unit with a convolution on its shortcut, that convolution gets the stride too. What has been resized has a
    size of its own (it is not in `order`).
    """
    behind = {strided}
    for name in order[order.index(strided) + 1 :]:
        sources = [i for i in inputs(nodes[name]) if i in order]
        if behind.isdisjoint(sources):
            continue
        behind.add(name)
        for around in (i for i in sources if i not in behind):
            conv = nodes[around]
            while conv.op not in CONVOLUTIONS and inputs(conv):
                conv = nodes[inputs(conv)[0]]
            if conv.op != "Conv2D" or kernel_hw(nodes, conv) != (1, 1):
                raise GraphError(f"{name}: what goes around {strided} has no 1x1 convolution to take the stride")
            conv.attr["strides"].list.i[:] = [1, 2, 2, 1]
