"""The contract of an inference runtime's engine, and of what times its layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from edge.data import TensorSpec
from edge.engine.partitions import Partitions
from edge.errors import ModelError


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of a model, or one node of what a runtime compiled from it, in the order in which they run."""

    kind: str  # CONV_2D, ADD, ...
    name: str  # of the tensor it makes, or of the node
    macs: int | None = None  # multiply-accumulates; None where the runtime does not tell
    delegated: bool | None = None  # whether a delegate runs it; None where the runtime has none


class LayerTimer(Protocol):
    """Tells how long parts of one model take, for one input that is set once.

    A runtime that counts its operators' times itself has `count`, the others time the beginnings of the model through
    `prefix`; what a timer has not is None.
    """

    operators: list[Operator]
    count: Callable[[], list[float]] | None
    """Invokes once, and returns the seconds of each of `operators`."""
    prefix: Callable[[int], Callable[[], None]] | None
    """Returns what runs the first so many operators. Raises ModelError, in the run too."""


ChooseOutput = Callable[[TensorSpec, Sequence[TensorSpec]], int]
"""Takes a model's input and its outputs, and returns the place of the output that is wanted. Raises ModelError."""


class Engine(Protocol):
    """A loaded model with one input, of whose outputs one is wanted.

    An engine serves one thread at a time and is freed with its last reference.
    """

    runtime: str  # a name of `edge.engine.runtimes`
    threads: int
    input: TensorSpec
    output: TensorSpec
    outputs: tuple[TensorSpec, ...]
    """All of them, `output` among them."""
    notice: str
    """What is unusual about how it runs, in a sentence; empty where nothing is."""
    delegate: str
    """The name of the external delegate that it runs with; empty where it runs with none."""
    delegate_operators: int
    """How many of the model's operators that delegate took."""
    reduced_layers: int
    """How many layers compute with smaller weights than the file's, because kernels of this processor would lose what
    is beyond 16 bits."""

    def invoke(self, x: NDArray[Any]) -> NDArray[Any]:
        """Takes an array of `input`'s shape and dtype, returns a new one of `output`'s. Raises ModelError."""
        ...

    def partitions(self) -> Partitions:
        """Returns how a delegate split the model."""
        ...

    def operators(self) -> Counter[str]:
        """Returns how often each kind of operator occurs, before a delegate took it, as the runtime spells it."""
        ...

    def macs(self) -> int:
        """Returns the multiply-accumulates of an invoke."""
        ...

    def layer_timer(self, model: bytes, x: NDArray[Any]) -> LayerTimer:
        """Makes a timer of the layers for the input `x`; `model` is the bytes that this engine was made of."""
        ...


def only_input(inputs: Sequence[TensorSpec], where: str) -> TensorSpec:
    """Returns the one input of a model. Raises ModelError where there are more or none."""
    return inputs[_only(inputs, where, "input")]


def only_output(where: str) -> ChooseOutput:
    """Returns a choice that refuses a model with more than one output, or none."""
    return lambda _, outputs: _only(outputs, where, "output")


def _only(tensors: Sequence[TensorSpec], where: str, what: str) -> int:
    if len(tensors) != 1:
        names = ", ".join(tensor.name for tensor in tensors)
        raise ModelError(f"{where}: expected one {what} tensor, got {len(tensors)} ({names})")
    return 0
