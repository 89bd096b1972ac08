"""Tells how a delegate split a model among itself and the interpreter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Partitions:
    """The parts of a model; one partition and nothing outside is the fast case."""

    delegated: int  # parts that run in the delegate
    outside: int  # operators left to the interpreter


def count_partitions(ops: list[dict[str, Any]]) -> Partitions:
    """Counts the parts in an interpreter's operator list, where a delegate node stands behind the operators it
    replaced.
    """
    delegates = sum(is_delegate(op["op_name"]) for op in ops)
    return Partitions(delegates, len(ops) - delegates - len(delegated_operators(ops)))


def delegated_operators(ops: list[dict[str, Any]]) -> set[int]:
    """Returns the places, among the operators of the model, of those that a delegate took.

    A delegate node names only the tensors at its border: what it replaced is found by walking back from its
    outputs to its inputs.
    """
    delegates, plain = ([op for op in ops if is_delegate(op["op_name"]) is wanted] for wanted in (True, False))
    maker = {int(tensor): i for i, op in enumerate(plain) for tensor in op["outputs"]}
    covered: set[int] = set()
    for delegate in delegates:
        border = {int(tensor) for tensor in delegate["inputs"]}
        todo = [int(tensor) for tensor in delegate["outputs"]]
        while todo:
            tensor = todo.pop()
            if tensor in border or tensor not in maker or maker[tensor] in covered:
                continue
            covered.add(maker[tensor])
            todo.extend(int(t) for t in plain[maker[tensor]]["inputs"])
    return covered


def is_delegate(operator: str) -> bool:
    return "DELEGATE" in operator.upper()
