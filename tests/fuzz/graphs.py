"""Damaged frozen graphs: nodes, inputs, attributes and constants are changed, now and then the bytes."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
from case import FLOATS, FRAMES, NUMBERS, TEXTS, Case, damaged, drive

from convert.graph.anatomy import KNOWN_OPS
from convert.graph.graphdef import GraphDef, NodeDef
from convert.tensorflow import tf


def make(chance: random.Random, material: Path) -> Case:
    """A command on a damaged graph: most look for its parts and move it to another size, some convert it."""
    files = {"g.pb": mutated(chance.choice(sorted(material.glob("*.pb"))).read_bytes(), chance)}
    if chance.random() < 0.93:
        return Case("inspect-model", ["g.pb", "--json", "--input-size", chance.choice(["33x49", "65x49"])], files)
    recipe = chance.choice(["float32"] * 6 + ["float16", "dynamic", "int8"])
    size = ["--input-size", chance.choice(["33x49", "17x33"]), "--output", "out", "--no-rescue", "--min-agreement", "0"]
    return Case("convert-model", ["g.pb", "--quantize", recipe, *size, *FRAMES], files | drive(material))


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Returns a serialized GraphDef with a few of its nodes changed."""
    graph = tf.compat.v1.GraphDef.FromString(data)
    for _ in range(chance.choice([1, 1, 2, 5])):
        chance.choice(MUTATIONS)(graph, chance.choice(graph.node), chance)
    made = graph.SerializeToString()
    return damaged(made, chance) if chance.random() < 0.2 else made


def _constants(graph: GraphDef) -> list[NodeDef]:
    return [n for n in graph.node if n.op == "Const" and n.attr["dtype"].type == tf.int32.as_datatype_enum]


def _change_number(graph: GraphDef, node: NodeDef, chance: random.Random) -> None:
    tensor = chance.choice(_constants(graph)).attr["value"].tensor
    value = np.array(tf.make_ndarray(tensor))
    if value.size:
        value.reshape(-1)[chance.randrange(value.size)] = chance.choice(NUMBERS)
        tensor.CopyFrom(tf.make_tensor_proto(value))


def _change_weight(graph: GraphDef, node: NodeDef, chance: random.Random) -> None:
    weights = [n for n in graph.node if n.op == "Const" and n.attr["dtype"].type == tf.float32.as_datatype_enum]
    tensor = chance.choice(weights).attr["value"].tensor
    value = np.array(tf.make_ndarray(tensor))
    if value.size:
        value.reshape(-1)[chance.randrange(value.size)] = chance.choice(FLOATS)
        tensor.CopyFrom(tf.make_tensor_proto(value))


def _change_shape(graph: GraphDef, node: NodeDef, chance: random.Random) -> None:
    tensor = chance.choice([n for n in graph.node if n.op == "Const"]).attr["value"].tensor
    tensor.tensor_shape.dim.add().size = chance.choice(NUMBERS)


def _change_list(graph: GraphDef, node: NodeDef, chance: random.Random) -> None:
    lists = [a.list.i for n in graph.node for a in n.attr.values() if a.HasField("list") and a.list.i]
    chosen = chance.choice(lists)
    chosen[chance.randrange(len(chosen))] = chance.choice([*NUMBERS, 2**62, -(2**63)])


def _drop_input(graph: GraphDef, node: NodeDef, chance: random.Random) -> None:
    del node.input[:1]


def _change_input(graph: GraphDef, node: NodeDef, chance: random.Random) -> None:
    for i in range(len(node.input)):
        node.input[i] = chance.choice(graph.node).name + chance.choice(["", "", ":1", ":x"])


def _add_input(graph: GraphDef, node: NodeDef, chance: random.Random) -> None:
    node.input.append(chance.choice(["", "^"]) + chance.choice(graph.node).name)


def _change_operator(graph: GraphDef, node: NodeDef, chance: random.Random) -> None:
    node.op = chance.choice(sorted(KNOWN_OPS))


def _change_attribute(graph: GraphDef, node: NodeDef, chance: random.Random) -> None:
    if node.attr:
        attribute = node.attr[chance.choice(sorted(node.attr))]
        attribute.type = chance.choice([0, 1, 2, 3, 4, 7, 9, 19, 23, 99, -5, 101])


def _drop_attribute(graph: GraphDef, node: NodeDef, chance: random.Random) -> None:
    if node.attr:
        del node.attr[chance.choice(sorted(node.attr))]


def _drop_node(graph: GraphDef, node: NodeDef, chance: random.Random) -> None:
    graph.node.remove(node)


def _rename(graph: GraphDef, node: NodeDef, chance: random.Random) -> None:
    node.name = chance.choice(["^x", "a:1", "%", node.name + "/y", chance.choice(graph.node).name, *TEXTS[:-3]])


def _repeat(graph: GraphDef, node: NodeDef, chance: random.Random) -> None:
    made = graph.node.add()
    made.CopyFrom(node)
    if chance.random() < 0.5:
        made.name += "_again"


def _add_function(graph: GraphDef, node: NodeDef, chance: random.Random) -> None:
    made = graph.library.function.add()
    made.signature.name = chance.choice([node.op, node.name])


MUTATIONS: list[Callable[[GraphDef, NodeDef, random.Random], None]] = [
    _change_number,
    _change_number,
    _change_weight,
    _change_shape,
    _change_list,
    _drop_input,
    _change_input,
    _add_input,
    _change_operator,
    _change_attribute,
    _drop_attribute,
    _drop_node,
    _rename,
    _repeat,
    _add_function,
]
