"""Raises the output stride of a network whose atrous convolutions are single nodes, with the same weights."""

from __future__ import annotations

from convert.graph.anatomy import Anatomy
from convert.graph.graphdef import CONVOLUTIONS, NodeDef, Nodes, ancestors, inputs, kernel_hw, rates, strides
from convert.tensorflow import tf
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
        _coarsen(nodes, anatomy, now)
        now *= 2
    reached = max(strides(nodes, anatomy.normalised, anatomy.logits).values())
    if reached != stride:
        raise GraphError(
            f"output stride {stride} cannot be reached from {anatomy.output_stride}: got {reached}; use "
            "`output_stride` keep"
        )


def _coarsen(nodes: Nodes, anatomy: Anatomy, now: int) -> None:
    order = list(strides(nodes, anatomy.normalised, anatomy.logits))
    convolutions = [nodes[n] for n in order if nodes[n].op in CONVOLUTIONS]
    atrous = [i for i, conv in enumerate(convolutions) if max(rates(conv)) > 1]
    way_out = "use `output_stride` keep" + (f" or {now}" if now > anatomy.output_stride else "")
    if not atrous:
        raise GraphError(
            f"the output stride cannot be raised: the graph has no atrous convolution left to undo; {way_out}"
        )
    odd = next((convolutions[i] for i in atrous if not _halves(nodes, convolutions[i])), None)
    if odd is not None:
        height, width = rates(odd)
        said = str(height) if height == width else f"{height} (height), {width} (width)"
        raise GraphError(f"{odd.name}: the output stride cannot be raised: its rate {said} cannot be halved; {way_out}")
    first = convolutions[atrous[0]]
    behind = ancestors(nodes, [first.name], frozenset({anatomy.normalised}))
    before = [c for c in convolutions[: atrous[0]] if c.name in behind and max(kernel_hw(nodes, c)) > 1]
    if not before:
        raise GraphError(f"{first.name}: no convolution in front of it could take the stride; {way_out}")
    before[-1].attr["strides"].list.i[:] = [1, 2, 2, 1]
    _shrink_around(nodes, before[-1].name, order)
    for i in atrous:
        height, width = rates(convolutions[i])
        convolutions[i].attr["dilations"].list.i[:] = [1, max(height // 2, 1), max(width // 2, 1), 1]


def _halves(nodes: Nodes, conv: NodeDef) -> bool:
    """Whether both rates of a convolution can be halved; across a kernel of one row or column there is none."""
    return all(rate % 2 == 0 or size == 1 for rate, size in zip(rates(conv), kernel_hw(nodes, conv), strict=True))


def _shrink_around(nodes: Nodes, strided: str, order: list[str]) -> None:
    """Where the output of a convolution that got a stride meets a tensor that went around it, as in a residual
    unit with a convolution on its shortcut, that convolution gets the stride too. What has been resized has a
    size of its own (it is not in `order`). A tensor that went around it as it is, as in ResNet's units, is subsampled,
    which is what the exporter does there.
    """
    behind, before = {strided}, ancestors(nodes, [strided])
    for name in order[order.index(strided) + 1 :]:
        sources = [i for i in inputs(nodes[name]) if i in order]
        if behind.isdisjoint(sources):
            continue
        behind.add(name)
        for around in (i for i in sources if i not in behind):
            if around in before:
                _subsample(nodes, name, around)
                continue
            conv = nodes[around]
            while conv.op not in CONVOLUTIONS and inputs(conv):
                conv = nodes[inputs(conv)[0]]
            if conv.op != "Conv2D" or kernel_hw(nodes, conv) != (1, 1):
                raise GraphError(f"{name}: what goes around {strided} has no 1x1 convolution to take the stride")
            conv.attr["strides"].list.i[:] = [1, 2, 2, 1]


def _subsample(nodes: Nodes, reader: str, source: str) -> None:
    """Puts a 1x1 pool of stride 2, which keeps every other value, between two nodes."""
    pool = tf.compat.v1.NodeDef(name=f"{reader}/subsample", op="MaxPool", input=[source])
    pool.attr["T"].type = tf.float32.as_datatype_enum
    pool.attr["ksize"].list.i[:] = [1, 1, 1, 1]
    pool.attr["strides"].list.i[:] = [1, 2, 2, 1]
    pool.attr["padding"].s = b"VALID"
    nodes[pool.name] = pool
    node = nodes[reader]
    node.input[:] = [pool.name if tensor == source else tensor for tensor in node.input]
