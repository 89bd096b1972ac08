"""Brings a graph without variables into the form of a frozen DeepLab export: no functions, one picture of one size."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from convert.graph.graphdef import CONVOLUTIONS, GraphDef, by_name, first_line, prune, topological
from convert.graph.graphdef import load as import_graph
from convert.models.conditions import without_conditions
from convert.models.freeze import Frozen
from convert.models.shapes import fix_shapes
from convert.tensorflow import tf
from edge.errors import GraphError

Shape = tuple[int | None, ...]
ANY_HW = (512, 1024)  # pixels; for networks that take any size: half of Cityscapes' pictures, whole cells at stride 32


def check_picture(shape: Shape | None, kind: str) -> None:
    """Refuses an input that is no picture (1, H, W, 3); `kind` is what it is the input of. Raises GraphError."""
    if shape is None:
        return
    if len(shape) == 4 and shape[1] == 3 and shape[3] != 3:
        raise GraphError(
            f"{kind} of a network that takes pictures {_said(shape)}, laid out NCHW; expected NHWC, (1, H, W, 3): "
            "export it with data_format channels_last"
        )
    if len(shape) != 4 or shape[3] not in (3, None) or shape[0] not in (1, None):
        raise GraphError(f"{kind} of a network that takes {_said(shape)}; expected one picture (1, H, W, 3)")


def check_outputs(shapes: Sequence[Shape | None], kind: str) -> None:
    """Refuses outputs that are no map of scores or labels. Raises GraphError."""
    if shapes and all(shape is not None and len(shape) <= 2 for shape in shapes):
        raise GraphError(
            f"{kind} of a classifier: it answers with {', '.join(map(_said, filter(None, shapes))) or 'one number'}, "
            "for the whole picture; expected scores (1, h, w, classes) or labels (1, h, w), as a segmentation network "
            "gives"
        )


def check_convolutions(graph: GraphDef, kind: str) -> None:
    """Refuses a network without a convolution. Raises GraphError."""
    functions = (node for function in graph.library.function for node in function.node_def)
    if not any(node.op in CONVOLUTIONS for node in (*graph.node, *functions)):
        raise GraphError(f"{kind} without a convolution; expected a segmentation network")


def in_frozen_form(graph: GraphDef, image: str, outputs: Mapping[str, str], kind: str) -> Frozen:
    """Returns a graph without its functions, for a picture of one size. Raises GraphError.

    `image` is its placeholder's node, `outputs` are names of answers and their tensors. Functions become plain nodes,
    one way stays of every condition, and what the graph asks of its own sizes becomes constants: the batch, which is 1,
    is known here.
    """
    check_convolutions(graph, kind)
    remark = _fix_size(graph, image)
    flat, roots = _flattened(graph, image, outputs)
    decided = without_conditions(prune(flat, roots), image, roots, kind)
    frozen = _in_order(_plain_edges(decided, roots), roots)
    fix_shapes(frozen)
    return Frozen(prune(frozen, roots).SerializeToString(deterministic=True), remark)


def _plain_edges(graph: GraphDef, roots: Sequence[str]) -> GraphDef:
    """Reads every tensor from the node that makes it, not through an Identity: inlining leaves hundreds of them, and
    Keras' activations with a gradient of their own are an IdentityN.
    """
    idle = {n.name: list(n.input) for n in graph.node if n.op in ("Identity", "IdentityN") and n.name not in roots}

    def maker(tensor: str) -> str:
        for _ in idle:
            name, _, place = tensor.partition(":")
            if name not in idle:
                break
            tensor = idle[name][int(place or 0)]
        return tensor

    for node in graph.node:  # control edges go: nothing that is left has a side effect
        node.input[:] = [maker(tensor) for tensor in node.input if not tensor.startswith("^")]
    return prune(graph, roots)


def _in_order(graph: GraphDef, roots: Sequence[str]) -> GraphDef:
    """Returns the graph with every node behind its inputs: what the optimizer writes differs from run to run."""
    nodes = by_name(graph)
    ordered = tf.compat.v1.GraphDef(versions=graph.versions)
    ordered.node.extend(nodes[name] for name in topological(nodes, roots))
    for node in ordered.node:
        node.ClearField("experimental_debug_info")  # where it came from, with numbers that count up
    return ordered


def _fix_size(graph: GraphDef, image: str) -> str:
    """Gives the placeholder a batch of 1 and a size; returns what was decided, empty where the graph said it."""
    placeholder = by_name(graph)[image]
    shape = placeholder.attr["shape"].shape
    dims = [dim.size if dim.size > 0 else None for dim in shape.dim] if len(shape.dim) == 4 else [None] * 4
    height, width, remark = own_size(dims[1:3])
    placeholder.attr["shape"].shape.CopyFrom(tf.TensorShape((1, height, width, 3)).as_proto())
    return remark


def own_size(size: Sequence[int | None]) -> tuple[int, int, str]:
    """Returns height and width to bake into a network that takes `size`, and what was decided, as a sentence."""
    height, width = (have or want for have, want in zip(size, ANY_HW, strict=True))
    if None not in size:
        return height, width, ""
    return height, width, f"it takes pictures of any size; {height}x{width} is taken as its own"


def _flattened(graph: GraphDef, image: str, outputs: Mapping[str, str]) -> tuple[GraphDef, list[str]]:
    """Lets TensorFlow's optimizer inline the functions; returns the nodes of the answers, too, each of its own."""
    from tensorflow.python.grappler import tf_optimizer

    for function in graph.library.function:
        function.attr.pop("api_implements", None)  # a second way to compute it would forbid inlining
    for nodes in (graph.node, *(function.node_def for function in graph.library.function)):
        for node in nodes:
            node.attr.pop("_output_shapes", None)  # of any batch
            if node.op == "StatefulPartitionedCall":  # without variables it has no state, or it would stay a call
                node.op = "PartitionedCall"
    with tf.Graph().as_default() as scope:
        import_graph(graph)
        answers = [tf.identity(scope.get_tensor_by_name(t), name=_plain(n)).op.name for n, t in outputs.items()]
        meta = tf.compat.v1.train.export_meta_graph(graph_def=scope.as_graph_def(), graph=scope)
    meta.collection_def["train_op"].node_list.value.extend(f"{name}:0" for name in (image, *answers))
    config = tf.compat.v1.ConfigProto()
    options = config.graph_options.rewrite_options
    options.min_graph_nodes = -1  # small graphs too
    options.optimizers.append("function")  # no folding: it would hide a picture's scaling in the first weights
    try:
        return tf_optimizer.OptimizeGraph(config, meta), answers
    except (tf.errors.OpError, ValueError) as exc:
        raise GraphError(f"TensorFlow cannot make one graph of its functions: {first_line(exc)}") from exc


def _plain(name: str) -> str:
    return f"answer_{cleaned}" if (cleaned := re.sub(r"[^A-Za-z0-9_]", "_", name))[:1] in ("", "_") else cleaned


def _said(shape: Shape) -> str:
    return f"({', '.join('?' if n is None else str(n) for n in shape)})"
