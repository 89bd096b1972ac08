"""Reads just enough of the .tflite format to look at a model before a runtime does, and to cut it short.

Table layout: https://flatbuffers.dev/internals/; fields: tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from __future__ import annotations

from collections.abc import Sequence

_SUBGRAPHS = 2  # of Model
_TENSORS, _OUTPUTS, _OPERATORS = 0, 2, 3  # of SubGraph


def check_subgraphs(model: bytes) -> None:
    """Refuses a model of which a subgraph has no list of tensors: runtimes verify it, then crash. Raises ValueError."""
    for graph in _subgraphs(model):
        if not _field(model, graph, _TENSORS):
            raise ValueError("a subgraph has no tensors")


def cut(model: bytes, length: int, outputs: Sequence[int]) -> bytes:
    """Returns the model's first `length` operators, with these tensors as its outputs.

    They are written into the bytes as they are: parsing and packing a model again takes longer than running it.
    """
    graph = _subgraphs(model)[0]
    made = bytearray(model) + bytes(-len(model) % 4)
    _put(made, _follow(model, _field(model, graph, _OPERATORS)), length)  # a vector begins with its length
    where = _field(model, graph, _OUTPUTS)
    _put(made, where, len(made) - where)
    for number in (len(outputs), *outputs):
        made += number.to_bytes(4, "little")
    return bytes(made)


def _subgraphs(model: bytes) -> list[int]:
    """Positions of the subgraphs' tables."""
    graphs = _follow(model, _field(model, _follow(model, 0), _SUBGRAPHS))
    first = graphs + 4
    count = int.from_bytes(model[graphs:first], "little")
    return [_follow(model, place) for place in range(first, min(first + 4 * count, len(model)), 4)]


def _field(model: bytes, table: int, index: int) -> int:
    """Position of a table's field; 0 where it is not there."""
    vtable = table - int.from_bytes(model[table : table + 4], "little", signed=True)
    size = int.from_bytes(model[vtable : vtable + 2], "little")
    at = 4 + 2 * index
    offset = int.from_bytes(model[vtable + at : vtable + at + 2], "little") if at < size else 0
    return table + offset if offset else 0


def _follow(model: bytes, position: int) -> int:
    return position + int.from_bytes(model[position : position + 4], "little")


def _put(model: bytearray, position: int, number: int) -> None:
    model[position : position + 4] = number.to_bytes(4, "little")
