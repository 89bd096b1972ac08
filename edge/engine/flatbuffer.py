"""Reads just enough of the .tflite format to look at a model before a runtime does, to cut it short, and to mend the
texts in it.

Table layout: https://flatbuffers.dev/internals/; fields: tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

MODEL_CODES, MODEL_SUBGRAPHS, MODEL_BUFFERS, MODEL_SIGNATURES = 1, 2, 4, 7  # of Model
GRAPH_TENSORS, GRAPH_INPUTS, GRAPH_OUTPUTS, GRAPH_OPERATORS, GRAPH_NAME = 0, 1, 2, 3, 4  # of SubGraph
TENSOR_SHAPE, TENSOR_TYPE, TENSOR_BUFFER, TENSOR_NAME, TENSOR_SIGNATURE = 0, 1, 2, 3, 7  # of Tensor
OPERATOR_CODE, OPERATOR_INPUTS, OPERATOR_OUTPUTS, OPERATOR_OPTIONS = 0, 1, 2, 4  # of Operator
CODE_OLD, CODE_CUSTOM, CODE_BUILTIN = 0, 1, 3  # of OperatorCode
SIGNATURE_INPUTS, SIGNATURE_OUTPUTS, SIGNATURE_KEY = 0, 1, 2  # of SignatureDef
MAP_NAME = 0  # of TensorMap

MOST_TABLES = 1_000_000  # as many as FlatBuffers' own verifier allows: offsets may lead to one table again and again


def check_subgraphs(model: bytes) -> None:
    """Refuses a model that has no subgraph, or one without a list of tensors: runtimes verify it, then crash.

    Raises ValueError.
    """
    graphs = subgraphs(model)
    if not graphs:
        raise ValueError("it has no subgraph")
    for graph in graphs:
        if not field(model, graph, GRAPH_TENSORS):
            raise ValueError("a subgraph has no tensors")


def cut(model: bytes, length: int, outputs: Sequence[int]) -> bytes:
    """Returns the model's first `length` operators, with these tensors as its outputs.

    They are written into the bytes as they are: parsing and packing a model again takes longer than running it.
    """
    graph = subgraphs(model)[0]
    made = bytearray(model) + bytes(-len(model) % 4)
    _put(made, follow(model, field(model, graph, GRAPH_OPERATORS)), length)  # a vector begins with its length
    where = field(model, graph, GRAPH_OUTPUTS)
    _put(made, where, len(made) - where)
    for number in (len(outputs), *outputs):
        made += number.to_bytes(4, "little")
    return bytes(made)


def readable(model: bytes) -> bytes:
    """Returns a model whose names are all text: of one that is none, bytes outside UTF-8 are written as `\\xff`.

    Runtimes load such names, and their Python interfaces then fail on them. Raises ValueError for a model of more
    tables than any has.
    """
    made: bytearray | None = None
    for place in _names(model):
        start = follow(model, place) + 4
        name = model[start : start + number(model, start - 4)]
        try:
            name.decode()
        except UnicodeDecodeError:
            made = made or bytearray(model)
            made += bytes(-len(made) % 4)
            _put(made, place, len(made) - place)
            escaped = name.decode(errors="backslashreplace").encode()
            made += len(escaped).to_bytes(4, "little") + escaped + b"\0"
    return model if made is None else bytes(made)


def _names(model: bytes) -> Iterator[int]:
    """Yields the positions of the fields that hold names. Raises ValueError."""
    root = follow(model, 0)
    owners = [(table, CODE_CUSTOM) for table in tables(model, root, MODEL_CODES)]
    for graph in subgraphs(model):
        owners.append((graph, GRAPH_NAME))
        owners += ((table, TENSOR_NAME) for table in tables(model, graph, GRAPH_TENSORS))
        _check_number(owners)
    for signature in tables(model, root, MODEL_SIGNATURES):
        owners.append((signature, SIGNATURE_KEY))
        for ends in (SIGNATURE_INPUTS, SIGNATURE_OUTPUTS):
            owners += ((table, MAP_NAME) for table in tables(model, signature, ends))
        _check_number(owners)
    return (place for table, name in dict.fromkeys(owners) if (place := field(model, table, name)))


def _check_number(owners: Sequence[object]) -> None:
    if len(owners) > MOST_TABLES:
        raise ValueError(f"it has more than {MOST_TABLES} tables")


def subgraphs(model: bytes) -> list[int]:
    """Returns the positions of the subgraphs' tables."""
    return tables(model, follow(model, 0), MODEL_SUBGRAPHS)


def tables(model: bytes, table: int, index: int) -> list[int]:
    """Returns the positions of the tables in a field that is a vector of them."""
    return [follow(model, place) for place in _elements(model, table, index)]


def numbers(model: bytes, table: int, index: int) -> list[int]:
    """Returns what is in a field that is a vector of int32."""
    return [number(model, place) for place in _elements(model, table, index)]


def _elements(model: bytes, table: int, index: int) -> range:
    """The positions of a vector's elements of four bytes, none where the field is not there."""
    place = field(model, table, index)
    if not place:
        return range(0)
    first = follow(model, place) + 4
    return range(first, min(first + 4 * min(number(model, first - 4), MOST_TABLES + 1), len(model)), 4)


def field(model: bytes, table: int, index: int) -> int:
    """Returns the position of a table's field; 0 where it is not there."""
    vtable = table - int.from_bytes(model[table : table + 4], "little", signed=True)
    size = int.from_bytes(model[vtable : vtable + 2], "little")
    at = 4 + 2 * index
    offset = int.from_bytes(model[vtable + at : vtable + at + 2], "little") if at < size else 0
    return table + offset if offset else 0


def text(model: bytes, table: int, index: int) -> str:
    """Returns a field that is a text; empty where it is not there."""
    place = field(model, table, index)
    start = follow(model, place) + 4 if place else 0
    return model[start : start + number(model, start - 4)].decode(errors="backslashreplace") if place else ""


def follow(model: bytes, position: int) -> int:
    """Returns where an offset leads."""
    return position + number(model, position)


def number(model: bytes, position: int, size: int = 4) -> int:
    """Returns an unsigned number; 0 beyond the end."""
    return int.from_bytes(model[position : position + size], "little")


def _put(model: bytearray, position: int, value: int) -> None:
    model[position : position + 4] = value.to_bytes(4, "little")
