"""Takes the conditions out of a graph without functions: of two ways, the one that is always gone stays.

A network that was exported with its training asks at many places whether it is trained. Frozen, that is a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from convert.graph.anatomy import KNOWN_OPS
from convert.graph.graphdef import GraphDef, NodeDef, Nodes, ancestors, by_name, evaluate, producer, prune, topological
from convert.models.shapes import fix_shapes
from convert.tensorflow import tf
from edge.errors import GraphError

CONDITIONS = frozenset({"Switch", "Merge"})  # what TensorFlow makes of every `tf.cond`
DROPOUT = frozenset({"RandomUniform", "RandomStandardNormal"})  # stands in the way that only training goes


def without_conditions(graph: GraphDef, image: str, roots: Sequence[str], kind: str) -> GraphDef:
    """Returns the part of a graph that its roots need once every condition is decided. Its control edges are gone.

    `image` is the node of the picture, `kind` is what the graph is of.

    Raises GraphError where a condition depends on the picture or on another input.
    """
    nodes = by_name(graph)
    if not any(node.op in CONDITIONS for node in nodes.values()):
        return graph
    ways = _Ways(nodes, image, kind)
    for name in topological(_with_control_edges(nodes), roots):
        ways.pass_through(nodes[name])
    if not ways.never.isdisjoint(roots):
        raise GraphError(f"{kind} of a damaged graph: no way leads to its answer")
    return prune(graph, roots)


def _with_control_edges(nodes: Nodes) -> Nodes:
    """Returns nodes that read as data what those of a graph wait for: a constant of one way only waits for it."""
    made = {}
    for name, node in nodes.items():
        made[name] = tf.compat.v1.NodeDef(name=name, op=node.op, input=[producer(tensor) for tensor in node.input])
    return made


@dataclass(slots=True)
class _Ways:
    """What is known of the nodes that were passed through so far, each behind its inputs. Tensors are `node:0`."""

    nodes: Nodes
    image: str
    kind: str
    never: set[str] = field(default_factory=set)  # nodes and tensors of ways that are never gone
    sources: dict[str, str] = field(default_factory=dict)  # of tensors that a Switch or a Merge only hands on
    answers: dict[str, bool] = field(default_factory=dict)  # of conditions

    def pass_through(self, node: NodeDef) -> None:
        """Reads a node's inputs from what makes them, and decides it. Raises GraphError."""
        read = [self.sources.get(tensor, tensor) for tensor in map(_numbered, node.input)]
        alive = [tensor for tensor in read if self.never.isdisjoint((tensor, producer(tensor)))]
        data = [tensor for tensor in alive if not tensor.startswith("^")]
        if node.op == "Merge":
            self._join(node, data)
        elif len(alive) < len(read):
            self.never.add(node.name)
        elif node.op == "Switch":
            taken, other = (1, 0) if self._answer(data[1]) else (0, 1)
            self.sources[f"{node.name}:{taken}"] = data[0]
            self.never.add(f"{node.name}:{other}")
        else:
            node.input[:] = [tensor.removesuffix(":0") for tensor in data]

    def _join(self, node: NodeDef, alive: list[str]) -> None:
        if len(alive) > 1:
            raise GraphError(f"{self.kind} of a damaged graph: both ways to {node.name} are gone")
        if alive:
            self.sources[f"{node.name}:0"] = alive[0]
        else:
            self.never.add(node.name)

    def _answer(self, condition: str) -> bool:
        if condition not in self.answers:
            self.answers[condition] = self._decided(condition)
        return self.answers[condition]

    def _decided(self, condition: str) -> bool:
        name = producer(condition)
        part = tf.compat.v1.GraphDef()
        part.node.extend(self.nodes[needed] for needed in ancestors(self.nodes, [name]))
        fix_shapes(part)
        part = prune(part, [name])
        for node in part.node:
            if node.name == self.image or node.op == "Placeholder" or node.op not in KNOWN_OPS:
                raise GraphError(
                    f"{self.kind} that goes one of two ways by {name}, which depends on {node.name}, a {node.op}: "
                    "expected a condition that is constant; export the network for inference, with training=False"
                )
        value = evaluate(part, [name], {})[0]
        if value.shape != () or value.dtype != bool:
            raise GraphError(f"{self.kind} of a damaged graph: its condition {name} is no bool")
        return bool(value)


def _numbered(tensor: str) -> str:
    """Returns a tensor with the number that says which output of its node it is; control edges have none."""
    return tensor if tensor.startswith("^") or ":" in tensor else f"{tensor}:0"
