"""Writes the same network in ways that suit a kind of arithmetic."""

from __future__ import annotations

from dataclasses import replace

from convert.graph.channel_scaling import join_scalings
from convert.graph.graphdef import GraphDef, by_name, consumers, inputs, producer
from convert.graph.retarget import RetargetedNetwork
from convert.tensorflow import tf


def for_integers(body: RetargetedNetwork) -> RetargetedNetwork:
    """Returns the same network in forms that stay whole on the delegate when quantized."""
    graph = join_scalings(body)
    _pool_lone_relus(graph)
    _spell_hard_swish(graph)
    return replace(body, graph=graph)


def _pool_lone_relus(graph: GraphDef) -> None:
    """A Relu that cannot be fused into what makes its input, because others read that input too, is an int8 RELU
    of its own, which XNNPACK does not take: Xception65 falls into 22 parts. A 1x1 max pool in front of it changes
    no value and takes the Relu as its activation, which XNNPACK makes a clamp.
    """
    readers = consumers(by_name(graph))
    for node in [n for n in graph.node if n.op in ("Relu", "Relu6")]:
        if len(readers[inputs(node)[0]]) == 1:
            continue
        pool = graph.node.add(name=f"{node.name}/pool", op="MaxPool", input=[node.input[0]])
        pool.attr["T"].type = tf.float32.as_datatype_enum
        pool.attr["ksize"].list.i[:] = pool.attr["strides"].list.i[:] = [1, 1, 1, 1]
        pool.attr["padding"].s = b"VALID"
        node.input[0] = pool.name


def _spell_hard_swish(graph: GraphDef) -> None:
    """x * relu6(x + 3) * c becomes (x * c) * relu6(x + 3).

    In the first order the converter makes HARD_SWISH of it, which XNNPACK does not take in int8: MobileNetV3 falls
    into two dozen parts and gets slower than in float. Scaling x first costs no precision: the product has the
    same steps at another scale.
    """
    nodes, readers = by_name(graph), consumers(by_name(graph))
    for last in [n for n in graph.node if n.op == "Mul"]:
        product, factor = (nodes[name] for name in inputs(last))
        if product.op != "Mul" or factor.op != "Const" or factor.attr["value"].tensor.tensor_shape.dim:
            continue
        x, gate = product.input
        shifted = nodes[inputs(nodes[producer(gate)])[0]] if nodes[producer(gate)].op == "Relu6" else None
        if shifted is None or shifted.op not in ("Add", "AddV2") or shifted.input[0] != x:
            continue
        if readers[product.name] == [last.name]:  # nobody else wants the product as it was
            last.input[:], product.input[:] = [product.name, gate], [x, factor.name]
