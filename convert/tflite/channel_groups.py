"""Finds the tensors of a network whose channels can take other scales without changing what it computes.

A convolution takes any scale of a channel at either end, in its weights. What works on each channel alone, and gives
twice as much for twice as much, hands a scale on: additions, pools, resizes, Relus, products with a gate. So tensors
fall into groups that must take the same scales, and a group that reaches anything else stays as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from convert.tflite.flatbuffer import FLOAT32, kind, makers, values

NONE, _RELU, RELU6 = 0, 1, 3  # ActivationFunctionType
_LINEAR = (NONE, _RELU)  # those that give twice as much for twice as much
# What works on each channel alone beside those that are looked at one by one.
_HANDING_ON = frozenset(
    {
        "AVERAGE_POOL_2D",
        "MAX_POOL_2D",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "RELU",
        "PAD",
        "SPACE_TO_BATCH_ND",
        "BATCH_TO_SPACE_ND",
    }
)


@dataclass(frozen=True, slots=True)
class HardSwish:
    """x * factor * relu6(x + shift) behind a convolution, as it is written for integers; tensors by their places."""

    x: int
    gate: int
    scaled: int
    result: int
    factor: float
    shift: float


@dataclass(slots=True)
class Groups:
    """Sets of tensors, by their places, that take the same scales."""

    _parents: dict[int, int] = field(default_factory=dict)
    _fixed: set[int] = field(default_factory=set)

    def of(self, place: int) -> int:
        """Returns the tensor that stands for the group."""
        while (parent := self._parents.setdefault(place, place)) != place:
            place = parent
        return place

    def join(self, *places: int) -> None:
        first, *others = map(self.of, places)
        for other in others:
            self._parents[other] = first
            if other in self._fixed:
                self._fixed.add(first)

    def fix(self, *places: int) -> None:
        self._fixed.update(map(self.of, places))

    def is_fixed(self, place: int) -> bool:
        return self.of(place) in self._fixed


def channel_groups(parsed: Any, swishes: Collection[HardSwish], unscaled: Collection[int]) -> dict[int, list[int]]:
    """Returns the groups of activations (1, h, w, channels) whose channels can be scaled, by a tensor of each.

    `unscaled` tensors stay as they are.
    """
    graph, groups = parsed.subgraphs[0], Groups()
    groups.fix(*map(int, graph.inputs), *map(int, graph.outputs), *unscaled)
    spelled = {place for swish in swishes for place in (swish.gate, swish.scaled, swish.result)}
    for swish in swishes:
        groups.join(swish.x, swish.result)
        groups.fix(swish.gate, swish.scaled)
    readers = Counter(int(place) for op in graph.operators for place in op.inputs)
    for op in graph.operators:
        if int(op.outputs[0]) not in spelled:
            _hand_on(parsed, op, readers, groups)
    found: dict[int, list[int]] = {}
    for place in (int(place) for op in graph.operators for place in op.outputs):
        if len(graph.tensors[place].shape) == 4 and not groups.is_fixed(place):
            found.setdefault(groups.of(place), []).append(place)
    return found


def _hand_on(parsed: Any, op: Any, readers: Counter[int], groups: Groups) -> None:
    """Joins what an operator hands scales on between, and fixes what it does not."""
    inputs, result, name = [int(place) for place in op.inputs], int(op.outputs[0]), operator_name(parsed, op)
    moving = [place for place in inputs if place >= 0 and not _is_constant(parsed, place)]
    linear = getattr(op.builtinOptions, "fusedActivationFunction", NONE) in _LINEAR
    if name in ("CONV_2D", "DEPTHWISE_CONV_2D") and _takes_scales(parsed, name, inputs, readers):
        if not linear:
            groups.fix(result)
    elif name == "ADD" and len(moving) == 2 and linear:
        groups.join(*moving, result)
    elif name == "MUL" and linear and len(moving) == 2:
        x, gate = sorted(moving, key=lambda place: -_cells(parsed, place))
        groups.join(x, result)
        groups.fix(gate)
    elif (name == "MUL" or name in _HANDING_ON) and linear and len(moving) == 1:
        groups.join(*moving, result)
    else:
        groups.fix(*moving, *map(int, op.outputs))


def _takes_scales(parsed: Any, name: str, inputs: list[int], readers: Counter[int]) -> bool:
    """Whether a convolution's weights are its own, in float32, and reach each channel of the input once."""
    tensors, constants = parsed.subgraphs[0].tensors, [place for place in inputs[1:] if place >= 0]
    if not all(
        _is_constant(parsed, place) and readers[place] == 1 and tensors[place].type == FLOAT32 for place in constants
    ):
        return False
    (x, kernel), biases = ([list(tensors[place].shape) for place in places] for places in (inputs[:2], constants[1:]))
    if len(x) != 4 or len(kernel) != 4 or x[3] != kernel[3]:
        return False
    return all(shape == [kernel[0 if name == "CONV_2D" else 3]] for shape in biases)


def hard_swishes(parsed: Any) -> Iterator[HardSwish]:
    """Yields what is spelled (x * factor) * relu6(x + shift), where a convolution makes x for nobody else."""
    graph = parsed.subgraphs[0]
    made, readers = makers(graph), Counter(int(place) for op in graph.operators for place in op.inputs)
    for op in graph.operators:
        ends = [int(place) for place in op.inputs]
        if operator_name(parsed, op) != "MUL" or op.builtinOptions.fusedActivationFunction != NONE:
            continue
        for scaled, gate in (ends, ends[::-1]):
            shifted = _with_scalar(parsed, made.get(gate), "ADD", RELU6)
            factored = _with_scalar(parsed, made.get(scaled), "MUL", NONE)
            if shifted is None or factored is None or shifted[0] != factored[0]:
                continue
            x, maker = shifted[0], made.get(shifted[0])
            convolved = maker is not None and operator_name(parsed, maker) in ("CONV_2D", "DEPTHWISE_CONV_2D")
            if convolved and (readers[x], readers[scaled], readers[gate]) == (2, 1, 1):
                yield HardSwish(x, gate, scaled, int(op.outputs[0]), factored[1], shifted[1])


def _with_scalar(parsed: Any, op: Any, name: str, activation: int) -> tuple[int, float] | None:
    """The tensor and the number that an operator of this name takes, with this activation; None for any other."""
    if op is None or operator_name(parsed, op) != name or op.builtinOptions.fusedActivationFunction != activation:
        return None
    tensors = parsed.subgraphs[0].tensors
    numbers = {int(place): values(parsed, tensors[place]) for place in op.inputs}
    moving = [place for place, number in numbers.items() if number is None]
    scalars = [number for number in numbers.values() if number is not None and number.size == 1]
    return (moving[0], float(scalars[0].ravel()[0])) if len(moving) == len(scalars) == 1 else None


def operator_name(parsed: Any, op: Any) -> str:
    """Returns an operator's name in `BuiltinOperator`."""
    return _names().get(kind(parsed, op), "CUSTOM")


@cache
def _names() -> dict[int, str]:
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    return {number: name for name, number in vars(BuiltinOperator).items() if not name.startswith("_")}


def _is_constant(parsed: Any, place: int) -> bool:
    data = parsed.buffers[parsed.subgraphs[0].tensors[place].buffer].data
    return data is not None and len(data) > 0


def _cells(parsed: Any, place: int) -> int:
    shape = parsed.subgraphs[0].tensors[place].shape
    return int(shape[1]) * int(shape[2]) if len(shape) == 4 else 0
