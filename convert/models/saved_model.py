"""Reads a SavedModel: its signature, what its graph would run, and its weights. Only a process of its own does that.

Nothing of the SavedModel is run but the known arithmetic that a condition follows from, not even what restores its
variables: their values are read from the checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from convert.graph.anatomy import KNOWN_OPS
from convert.graph.graphdef import GraphDef, NodeDef, ancestors, by_name, first_line, producer, prune
from convert.models.conditions import CONDITIONS, DROPOUT
from convert.models.freeze import SAVED_MODEL, Frozen
from convert.models.frozen_form import check_outputs, check_picture, in_frozen_form
from convert.models.variables import ANEW, VARIABLES, Weights, read_weights
from convert.tensorflow import tf
from edge.errors import GraphError
from edge.text import counted

FILE_BYTES = 2 << 30  # no protobuf message can be longer
CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall", "If", "StatelessIf"})
ALLOWED = KNOWN_OPS | CALLS | CONDITIONS | DROPOUT | VARIABLES | {"IdentityN", "ReadVariableOp"}
SERVING = "serving_default"
HIDDEN = "__saved_model"  # what TensorFlow itself keeps among the signatures


def freeze_saved_model(folder: Path) -> Frozen:
    """Returns the frozen graph of a SavedModel. Raises GraphError."""
    meta = _meta_graph(_read(folder / SAVED_MODEL))
    signature = _signature(meta)
    image, outputs = _picture(signature), {name: info.name for name, info in sorted(signature.outputs.items())}
    _check_shapes(signature)
    nodes, functions = by_name(meta.graph_def), {f.signature.name: f for f in meta.graph_def.library.function}
    wanted = [producer(tensor) for tensor in outputs.values()]
    _check_ops(nodes, functions, wanted)
    graph = prune(meta.graph_def, wanted)
    weights = read_weights(meta, by_name(graph), folder)
    graph.library.function.extend(meta.graph_def.library.function)
    return in_frozen_form(_with_weights(graph, wanted, weights), producer(image), outputs, "a SavedModel")


def _read(path: Path) -> Any:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    try:
        size = path.stat().st_size
        if not 0 < size <= FILE_BYTES:
            raise GraphError(f"{SAVED_MODEL} has {size:,} bytes, expected 1 to {FILE_BYTES:,}; {ANEW}")
        saved = SavedModel.FromString(path.read_bytes())
    except OSError as exc:
        raise GraphError(f"{SAVED_MODEL} cannot be read: {exc.strerror}") from exc
    except DecodeError as exc:
        raise GraphError(f"a SavedModel whose {SAVED_MODEL} is damaged or cut short; {ANEW}") from exc
    if not saved.meta_graphs:
        raise GraphError(f"a SavedModel without a graph in its {SAVED_MODEL}; {ANEW}")
    return saved


def _meta_graph(saved: Any) -> Any:
    serving = [meta for meta in saved.meta_graphs if "serve" in meta.meta_info_def.tags] or list(saved.meta_graphs)
    if len(serving) > 1:
        tags = "; ".join(", ".join(meta.meta_info_def.tags) for meta in serving)
        raise GraphError(f"a SavedModel of {len(serving)} graphs, expected one tagged serve, got the tags {tags}")
    return serving[0]


def _signature(meta: Any) -> Any:
    found = {n: s for n, s in sorted(meta.signature_def.items()) if not n.startswith(HIDDEN) and s.outputs}
    if SERVING in found:
        return found[SERVING]
    if len(found) == 1:
        return next(iter(found.values()))
    if not found:
        raise GraphError(f"a SavedModel without a signature, expected {SERVING}; {ANEW}")
    raise GraphError(
        f"a SavedModel of {len(found)} signatures ({', '.join(found)}), expected {SERVING} or a single one; export it "
        f"with the one that labels pictures as {SERVING}"
    )


def _picture(signature: Any) -> str:
    names = sorted(signature.inputs)
    if len(names) != 1:
        raise GraphError(
            f"a SavedModel of a network with {counted(len(names), 'input')}{': ' if names else ''}{', '.join(names)}; "
            "expected one, the picture"
        )
    name: str = signature.inputs[names[0]].name
    return name


def _check_shapes(signature: Any) -> None:
    """What the signature says of shapes tells what kind of network it is, before any of its operators does."""
    picture = next(iter(signature.inputs.values()))
    check_picture(_shape(picture), "a SavedModel")
    check_outputs([_shape(info) for info in signature.outputs.values()], "a SavedModel")


def _shape(info: Any) -> tuple[int | None, ...] | None:
    if info.tensor_shape.unknown_rank:
        return None
    return tuple(dim.size if dim.size >= 0 else None for dim in info.tensor_shape.dim)


def _check_ops(nodes: dict[str, NodeDef], functions: dict[str, Any], roots: Iterable[str]) -> None:
    """Raises GraphError for the first node, of a function too, that the roots need and that is no known operator."""
    names = ancestors(nodes, roots)
    todo: list[NodeDef] = [node for name, node in nodes.items() if name in names]
    entered = set[str]()
    for node in todo:  # grows while it is walked
        called = {a.func.name for a in node.attr.values() if a.func.name} | (functions.keys() & {node.op})
        called |= {function.name for a in node.attr.values() for function in a.list.func}
        if node.op not in ALLOWED and node.op not in functions:
            raise GraphError(f"a SavedModel whose node {node.name} is a {node.op}: {_why(node.op)}; it is not run")
        for name in sorted(called - entered):
            if name not in functions:
                raise GraphError(f"a damaged SavedModel: node {node.name} calls a function {name!r} that is not there")
            entered.add(name)
            todo.extend(functions[name].node_def)


def _why(op: str) -> str:
    if op.startswith(("MatMul", "BatchMatMul", "Einsum")):
        return "a matrix product, as classifiers and transformers have, no network of convolutions"
    if "BackpropInput" in op:
        return "a transposed convolution, which no DeepLab network has"
    return "no network that labels pictures needs that"


@dataclass(frozen=True, slots=True)
class _Reader:
    """Answers TensorFlow's converter, which asks a session for the values of variables."""

    weights: Weights

    def run(self, tensors: list[str]) -> list[NDArray[Any]]:
        return [self.weights[tensor.removesuffix(":0").removesuffix("/Read/ReadVariableOp")] for tensor in tensors]


def _with_weights(graph: GraphDef, outputs: list[str], weights: Weights) -> GraphDef:
    """Returns the graph with its variables as constants."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_from_session_graph

    try:
        return convert_variables_to_constants_from_session_graph(_Reader(weights), graph, outputs)
    except (tf.errors.OpError, ValueError, TypeError, KeyError) as exc:
        raise GraphError(f"a SavedModel that TensorFlow cannot freeze: {first_line(exc)}; {ANEW}") from exc
