"""Damages a small graph in many ways and reports the first that ends otherwise than accepted or refused.

    python fuzz.py COUNT

A script, because what a graph does to TensorFlow could end the process or take forever.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable

import nets
import numpy as np

from convert.graph.anatomy import KNOWN_OPS, discover
from convert.graph.graphdef import GraphDef, NodeDef, evaluate, parse
from convert.graph.retarget import retarget
from convert.tensorflow import tf
from edge.errors import RoadliteError

PICTURE = np.zeros((1, 33, 41, 3), np.uint8)
NUMBERS = (0, 1, -1, 2, 3, 7, 1000, 2**31 - 1, -(2**31))


def _constants(graph: GraphDef) -> list[NodeDef]:
    return [n for n in graph.node if n.op == "Const" and n.attr["dtype"].type == tf.int32.as_datatype_enum]


def _change_number(graph: GraphDef, node: NodeDef, chance: random.Random) -> None:
    tensor = chance.choice(_constants(graph)).attr["value"].tensor
    value = np.array(tf.make_ndarray(tensor))
    if value.size:
        value.reshape(-1)[chance.randrange(value.size)] = chance.choice(NUMBERS)
        tensor.CopyFrom(tf.make_tensor_proto(value))


def _change_shape(graph: GraphDef, node: NodeDef, chance: random.Random) -> None:
    tensor = chance.choice([n for n in graph.node if n.op == "Const"]).attr["value"].tensor
    tensor.tensor_shape.dim.add().size = chance.choice(NUMBERS)


def _change_list(graph: GraphDef, node: NodeDef, chance: random.Random) -> None:
    lists = [a.list.i for n in graph.node for a in n.attr.values() if a.HasField("list") and a.list.i]
    chosen = chance.choice(lists)
    chosen[chance.randrange(len(chosen))] = chance.choice([*NUMBERS, 2**62])


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
    node.name = chance.choice(["", "^x", "a:1", "%", node.name + "/y"])


MUTATIONS: list[Callable[[GraphDef, NodeDef, random.Random], None]] = [
    _change_number,
    _change_number,
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
]


def _mutated(seed: int) -> bytes:
    chance, graph = random.Random(seed), nets.net((33, 41), classes=3)
    for _ in range(chance.choice([1, 1, 2, 5])):
        chance.choice(MUTATIONS)(graph, chance.choice(graph.node), chance)
    data = bytearray(graph.SerializeToString())
    for _ in range(chance.choice([0, 0, 0, 0, 1, 20])):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def fuzz(count: int) -> str:
    refused = 0
    for seed in range(count):
        sys.stderr.write(f"seed {seed}\n")
        try:
            graph = parse(_mutated(seed), "net.pb")
            anatomy = discover(graph, "net.pb")
            retarget(graph, anatomy, (65, 49), 16)
            evaluate(graph, [anatomy.labels], {anatomy.image: PICTURE})
        except RoadliteError as exc:
            refused += 1
            if "\n" in str(exc):
                raise AssertionError("more than one line") from exc
    return f"{refused} {count - refused}"


if __name__ == "__main__":
    sys.stdout.write(fuzz(int(sys.argv[1])))
