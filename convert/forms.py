"""Ways to write the same network that suit a kind of arithmetic."""

from __future__ import annotations

from dataclasses import replace

from convert.graph import by_name, consumers, inputs
from convert.surgery import Body
from convert.tensorflow import tf


def for_integers(body: Body) -> Body:
    """The same network in forms that stay whole on the delegate when quantized.

    A Relu that cannot be fused into what makes its input, because others read that input too, is an int8 RELU of
    its own, which XNNPACK does not take: Xception65 falls into 22 parts. A 1x1 max pool in front of it changes
    no value and takes the Relu as its activation, which XNNPACK makes a clamp.
    """
    graph = tf.compat.v1.GraphDef()
    graph.CopyFrom(body.graph)
    readers = consumers(by_name(graph))
    for node in [n for n in graph.node if n.op in ("Relu", "Relu6") and len(readers[inputs(n)[0]]) > 1]:
        pool = graph.node.add(name=f"{node.name}/pool", op="MaxPool", input=[node.input[0]])
        pool.attr["T"].type = tf.float32.as_datatype_enum
        pool.attr["ksize"].list.i[:] = pool.attr["strides"].list.i[:] = [1, 1, 1, 1]
        pool.attr["padding"].s = b"VALID"
        node.input[0] = pool.name
    return replace(body, graph=graph)
