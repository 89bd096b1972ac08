"""Reads the weights of a SavedModel from its checkpoint, without running its graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from convert.graph.anatomy import MAX_ELEMENTS
from convert.graph.graphdef import NodeDef, ancestors, by_name, first_line, inputs, producer
from convert.tensorflow import tf
from edge.errors import GraphError

VARIABLES = frozenset({"VarHandleOp", "Variable", "VariableV2"})
OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"  # the key of what TensorFlow 2 writes about a checkpoint's objects
VALUE = "VARIABLE_VALUE"
ANEW = "export it again, for example with Keras' model.export()"

Weights = dict[str, NDArray[Any]]  # by the node of a variable


def read_weights(meta: Any, needed: Mapping[str, NodeDef], folder: Path) -> Weights:
    """Returns the values of the variables among the nodes `needed` of a MetaGraphDef. Raises GraphError."""
    variables = [name for name, node in needed.items() if node.op in VARIABLES]
    if not variables:
        return {}
    prefix = folder / "variables" / "variables"
    if not prefix.with_suffix(".index").is_file():
        raise GraphError(
            "a SavedModel whose variables are missing: expected variables/variables.index beside saved_model.pb; copy "
            "the whole folder"
        )
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes = reader.get_variable_to_shape_map()
        places = _restored(meta)
        if OBJECTS in shapes:
            places |= {name: (key, "") for name, key in _keys_of_objects(meta, needed, reader).items()}
        missing = next((name for name in variables if places.get(name, ("", ""))[0] not in shapes), None)
        if missing is not None:
            raise GraphError(f"a SavedModel whose checkpoint has no value for the variable {missing}; {ANEW}")
        keys = {places[name][0] for name in variables}
        elements = sum(tf.TensorShape(shapes[key]).num_elements() for key in keys)
        if elements > MAX_ELEMENTS:
            raise GraphError(f"a SavedModel of {elements:,} weights, expected {MAX_ELEMENTS:,} at most")
        values = {key: reader.get_tensor(key) for key in keys}
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as exc:
        raise GraphError(f"a SavedModel whose variables cannot be read: {first_line(exc)}; copy it again") from exc
    return {name: _part(values[places[name][0]], places[name][1], name) for name in variables}


def _restored(meta: Any) -> dict[str, tuple[str, str]]:
    """Returns the checkpoint's keys of variables as TensorFlow 1 restores them, RestoreV2, then an Assign each; and
    which part of the value there a variable is, empty where it is all of it.
    """
    nodes, restore = by_name(meta.graph_def), producer(meta.saver_def.restore_op_name)
    found = {}
    for name in ancestors(nodes, [restore]) if restore in nodes else ():
        node = nodes[name]
        if node.op not in ("Assign", "AssignVariableOp") or len(node.input) < 2:
            continue
        variable, value = producer(node.input[0]), node.input[1]
        while nodes[producer(value)].op == "Identity":
            value = nodes[producer(value)].input[0]
        reading, place = nodes[producer(value)], int(value.partition(":")[2] or 0)
        if reading.op != "RestoreV2":
            found[variable] = (_text(reading, 0), "")
        elif len(reading.input) == 3:
            keys, parts = (nodes[source] for source in inputs(reading)[1:3])
            found[variable] = (_text(keys, place), _text(parts, place))
    return {variable: known for variable, known in found.items() if known[0]}


def _text(node: NodeDef, place: int) -> str:
    """Returns one of the texts in a constant, empty where it is none."""
    listed = tf.make_ndarray(node.attr["value"].tensor).ravel().tolist() if node.op == "Const" else []
    return listed[place].decode(errors="replace") if place < len(listed) and isinstance(listed[place], bytes) else ""


def _part(value: NDArray[Any], part: str, name: str) -> NDArray[Any]:
    """Returns the part of a value that a variable is of a partitioned one: `part` is its whole shape, then a start and
    a length for every axis, or `-` for all of it, as in `3 3 8 0,3:-:4,2`. Raises GraphError.
    """
    if not part:
        return value
    *shape, ranges = part.split(" ")
    window = [(0, n) if text == "-" else _pair(text) for text, n in zip(ranges.split(":"), value.shape, strict=False)]
    fits = all(start >= 0 and 0 < length <= n - start for (start, length), n in zip(window, value.shape, strict=False))
    if shape != [str(n) for n in value.shape] or ranges.count(":") + 1 != value.ndim or not fits:
        raise GraphError(f"a SavedModel whose variable {name} is no part ({part:.80}) of {value.shape}; {ANEW}")
    return value[tuple(slice(start, start + length) for start, length in window)]


def _pair(text: str) -> tuple[int, int]:
    start, _, length = text.partition(",")
    return (int(start), int(length)) if len(text) < 32 and start.isdecimal() and length.isdecimal() else (0, 0)


def _keys_of_objects(meta: Any, needed: Mapping[str, NodeDef], reader: Any) -> dict[str, str]:
    """Returns the checkpoint's keys of variables as TensorFlow 2 has them: functions are bound to objects, which have
    their values in the checkpoint.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

    saved = meta.object_graph_def
    try:
        kept = TrackableObjectGraph.FromString(reader.get_tensor(OBJECTS))
    except DecodeError as exc:
        raise GraphError(f"a SavedModel whose checkpoint is damaged; {ANEW}") from exc
    keys_of_objects = _side_by_side(saved.nodes, kept.nodes)
    keys = {}
    for node in needed.values():
        function = node.attr["f"].func.name if "f" in node.attr else ""
        bound = saved.concrete_functions[function].bound_inputs if function in saved.concrete_functions else []
        captured = list(node.input)[-len(bound) :] if bound else []
        for tensor, place in zip(captured, bound, strict=False):
            if place in keys_of_objects:
                keys[producer(tensor)] = keys_of_objects[place]
    return keys


def _side_by_side(saved: Any, kept: Any) -> dict[int, str]:
    """Walks the objects of a SavedModel and those of its checkpoint from their roots by the same names; returns the
    keys of values by the place of an object in the SavedModel.
    """
    keys, todo, seen = dict[int, str](), [(0, 0)], set[int]()
    while todo:
        here, there = todo.pop()
        if here in seen or here >= len(saved) or there >= len(kept):
            continue
        seen.add(here)
        for attribute in kept[there].attributes:
            if attribute.name == VALUE:
                keys[here] = attribute.checkpoint_key
        children = {child.local_name: child.node_id for child in kept[there].children}
        todo.extend((c.node_id, children[c.local_name]) for c in saved[here].children if c.local_name in children)
    return keys
