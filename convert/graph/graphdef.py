"""Handles GraphDefs: parses, walks and cuts them, infers shapes, runs a part."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.tensorflow import tf
from edge.errors import GraphError

GraphDef = Any  # tf.compat.v1.GraphDef
NodeDef = Any
Shape = tuple[int | None, ...]  # None where TensorFlow cannot tell before it runs the graph
Nodes = dict[str, NodeDef]  # by name, in the order of the graph

CONVOLUTIONS = frozenset({"Conv2D", "DepthwiseConv2dNative"})
FAKE_QUANTS = frozenset({"FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel"})


def parse(data: bytes, where: str) -> GraphDef:
    """Returns a GraphDef from the bytes of a .pb. Raises GraphError."""
    from google.protobuf.message import DecodeError

    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(data)
    except DecodeError as exc:
        raise GraphError(f"{where}: not a frozen TensorFlow graph (GraphDef): {exc}") from exc
    if not graph.node:
        raise GraphError(f"{where}: not a frozen TensorFlow graph: it has no nodes")
    if len({node.name for node in graph.node}) != len(graph.node):
        raise GraphError(f"{where}: damaged graph: two nodes have the same name")
    return graph


def validate(graph: GraphDef, outputs: Iterable[str]) -> None:
    """Lets TensorFlow check what the outputs need: operators' inputs, attributes, types, shapes, cycles.

    Behind this, nodes can be read without asking whether they have what their operator must have.
    """
    with tf.Graph().as_default():
        load(prune(graph, outputs))


def by_name(graph: GraphDef) -> Nodes:
    return {node.name: node for node in graph.node}


def producer(tensor: str) -> str:
    """Returns `node:0` or `^node` -> `node`."""
    return tensor.lstrip("^").split(":")[0]


def inputs(node: NodeDef) -> list[str]:
    """Returns the producers of a node's data inputs, in order."""
    return [producer(name) for name in node.input if not name.startswith("^")]


def ancestors(nodes: Nodes, roots: Iterable[str], stop: frozenset[str] = frozenset()) -> set[str]:
    """Returns all nodes the roots depend on, themselves included, not looking behind those in `stop`."""
    seen: set[str] = set()
    todo = list(roots)
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        if name not in nodes:
            raise GraphError(f"damaged graph: a node named {name!r} is used but not there")
        seen.add(name)
        if name not in stop:
            todo.extend(producer(tensor) for tensor in nodes[name].input)
    return seen


def consumers(nodes: Nodes) -> dict[str, list[str]]:
    """Returns who reads each node's data outputs."""
    readers: dict[str, list[str]] = {name: [] for name in nodes}
    for node in nodes.values():
        for name in inputs(node):
            readers.setdefault(name, []).append(node.name)
    return readers


def descendants(nodes: Nodes, roots: Iterable[str]) -> set[str]:
    """Returns the roots and all nodes that depend on them."""
    readers, todo, seen = consumers(nodes), list(roots), set[str]()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(readers[name])
    return seen


def upstream(nodes: Nodes, name: str, skip: frozenset[str]) -> str:
    """Follows first inputs back from `name` while the operator is one of `skip`."""
    for _ in range(len(nodes)):
        node = nodes[name]
        if node.op not in skip:
            return name
        name = inputs(node)[0]
    raise GraphError(f"damaged graph: {name} is part of a cycle")


def prune(graph: GraphDef, outputs: Iterable[str]) -> GraphDef:
    """Returns the part of the graph that the outputs need, without cached shapes, which any rewrite makes wrong."""
    nodes = by_name(graph)
    wanted = ancestors(nodes, outputs)
    pruned = tf.compat.v1.GraphDef(versions=graph.versions)
    for node in graph.node:
        if node.name in wanted:
            kept = pruned.node.add()
            kept.CopyFrom(node)
            for attribute in ("_output_shapes", "_class"):
                kept.attr.pop(attribute, None)
    return pruned


def evaluate(graph: GraphDef, outputs: list[str], feeds: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Runs part of a graph once in a TensorFlow session."""
    with running(graph, outputs) as run:
        return run(feeds)


@contextmanager
def running(graph: GraphDef, outputs: list[str]) -> Iterator[Callable[[dict[str, NDArray[Any]]], list[NDArray[Any]]]]:
    """Yields a function {input: value} -> values of `outputs`, on one TensorFlow session. It raises GraphError."""
    with tf.Graph().as_default() as scope:
        load(prune(graph, outputs))
    del graph  # the last copy, where it was made for this
    session = tf.compat.v1.Session(graph=scope)
    fetches = [f"{name}:0" for name in outputs]

    def run(feeds: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        try:
            values: list[NDArray[Any]] = session.run(fetches, {f"{name}:0": value for name, value in feeds.items()})
        except (tf.errors.OpError, ValueError, TypeError) as exc:
            raise GraphError(f"TensorFlow cannot run the graph up to {outputs[0]}: {first_line(exc)}") from exc
        return values

    try:
        yield run
    finally:
        session.close()


def load(graph: GraphDef) -> None:
    """Imports a GraphDef into the current tf.Graph; what TensorFlow finds wrong becomes a GraphError."""
    try:
        tf.graph_util.import_graph_def(graph, name="")
    except (ValueError, TypeError, tf.errors.OpError) as exc:
        raise GraphError(f"TensorFlow cannot load the graph: {first_line(exc)}") from exc


def first_line(exc: Exception) -> str:
    """Returns what TensorFlow says went wrong, in one line: without operator definitions, with the name of the node."""
    text = str(exc).strip() or type(exc).__name__
    lines = text.split("\nNode: ")[-1].splitlines()  # a session's reason stands behind the line that names the node
    reason = re.split(r"(?:;| from) Op<", lines[min(text.count("\nNode: "), len(lines) - 1)])[0].strip()
    node = re.search(r"\{\{node ([^}]+)\}\}", text)
    return f"{reason.replace(node[0], node[1]):.300} (node {node[1]})" if node else f"{reason:.300}"


def strides(nodes: Nodes, start: str, end: str) -> dict[str, int]:
    """Returns the stride of every node between two nodes, for as long as only convolutions and pools of fixed size made
    it.

    What comes behind a resize or a pool over the whole map has a size of its own and is left out.
    """
    order = [n for n in topological(nodes, [end], frozenset({start})) if nodes[n].op != "Const"]
    known = {start: 1}
    for name in order:
        node = nodes[name]
        before = [known[i] for i in inputs(node) if i in known]
        if name == start or not before or node.op in ("AvgPool", "Mean", "ResizeBilinear"):
            continue
        own = node.attr["strides"].list.i[1] if node.op in CONVOLUTIONS or node.op == "MaxPool" else 1
        known[name] = max(before) * int(own)
    return known


def topological(nodes: Nodes, roots: Iterable[str], stop: frozenset[str] = frozenset()) -> list[str]:
    """Returns the nodes that the roots need, each behind its inputs. Raises GraphError for a cycle."""
    done: dict[str, bool] = {}
    order: list[str] = []
    todo = list(roots)
    while todo:
        name = todo[-1]
        if done.get(name):
            todo.pop()
            continue
        missing = [] if name in stop else [i for i in inputs(nodes[name]) if not done.get(i)]
        if name in done and missing:
            raise GraphError(f"damaged graph: {name} is part of a cycle")
        if missing:
            done[name] = False
            todo.extend(missing)
            continue
        done[name] = True
        order.append(todo.pop())
    return order


def shapes(graph: GraphDef, placeholder: str, shape: tuple[int, ...], outputs: list[str]) -> dict[str, Shape]:
    """Returns static shapes of what the outputs need, when the tensor `placeholder` is float32 of `shape`."""
    cut = cut_at(graph, placeholder, shape, outputs)
    with tf.Graph().as_default() as scope:
        load(cut)
        return {
            op.name: tuple(op.outputs[0].shape.as_list()) if op.outputs[0].shape.rank is not None else ()
            for op in scope.get_operations()
            if op.outputs
        }


def cut_at(graph: GraphDef, tensor: str, shape: tuple[int, ...], outputs: list[str]) -> GraphDef:
    """Returns the part of the graph between `tensor`, which becomes a float32 placeholder, and the outputs."""
    cut = tf.compat.v1.GraphDef(versions=graph.versions)
    for node in graph.node:
        new = cut.node.add()
        if node.name == tensor:
            new.name, new.op = node.name, "Placeholder"
            new.attr["dtype"].type = tf.float32.as_datatype_enum
            new.attr["shape"].shape.CopyFrom(tf.TensorShape(shape).as_proto())
        else:
            new.CopyFrom(node)
    return prune(cut, outputs)


def constant(nodes: Nodes, name: str, user: str) -> Any:
    """Returns the value of a constant input, worked out where the graph computes it from constants."""
    node = nodes[name]
    if node.op == "Const":
        return tf.make_ndarray(node.attr["value"].tensor)
    graph = tf.compat.v1.GraphDef()
    graph.node.extend(nodes[n] for n in ancestors(nodes, [name]))
    try:
        return evaluate(graph, [name], {})[0]
    except GraphError as exc:
        raise GraphError(f"{user}: expected constant input {name}, it depends on the picture") from exc


def set_constant(nodes: Nodes, name: str, value: Any) -> str:
    """Puts a Const node among the nodes, in the place of one of that name; returns its name."""
    node = tf.compat.v1.NodeDef(name=name, op="Const")
    array = np.asarray(value)
    node.attr["dtype"].type = tf.as_dtype(array.dtype).as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array))
    nodes[name] = node
    return name


def kernel_hw(nodes: Nodes, conv: NodeDef) -> tuple[int, int]:
    """Returns height and width of a convolution's kernel."""
    height, width = constant(nodes, inputs(conv)[1], conv.name).shape[:2]
    return height, width


def rates(conv: NodeDef) -> tuple[int, int]:
    """Returns the atrous rates of a convolution for height and width, 1 where it has none."""
    if "dilations" not in conv.attr:
        return 1, 1
    _, height, width, _ = conv.attr["dilations"].list.i
    return int(height), int(width)
