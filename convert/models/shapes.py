"""Makes constants of the sizes that a graph asks its own tensors for."""

from __future__ import annotations

from convert.graph.graphdef import GraphDef
from convert.graph.graphdef import load as import_graph
from convert.tensorflow import tf


def fix_shapes(graph: GraphDef) -> None:
    """Makes constants of the sizes that the graph asks its tensors for, which are known with the picture's.

    Raises GraphError.
    """
    with tf.Graph().as_default() as scope:
        import_graph(graph)
    for node in [node for node in graph.node if node.op == "Shape"]:
        shape = scope.get_operation_by_name(node.name).inputs[0].shape
        if shape.is_fully_defined():
            dtype = tf.as_dtype(node.attr["out_type"].type or tf.int32.as_datatype_enum)
            value = tf.make_tensor_proto(shape.as_list(), dtype)
            node.CopyFrom(tf.compat.v1.NodeDef(name=node.name, op="Const"))
            node.attr["dtype"].type = dtype.as_datatype_enum
            node.attr["value"].tensor.CopyFrom(value)
