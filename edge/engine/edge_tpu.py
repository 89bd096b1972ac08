"""Tells whether a model fits Google Coral's Edge TPU, and what of it would stay on the processor.

What the Edge TPU takes is from https://coral.ai/docs/edgetpu/models-intro/, its table of operators included. The
compiler maps what comes before the first operator that it does not take; the rest runs on the processor. Numbers of
operators and fields are those of tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from edge.engine.flatbuffer import (
    GRAPH_INPUTS,
    GRAPH_OPERATORS,
    GRAPH_OUTPUTS,
    GRAPH_TENSORS,
    MODEL_BUFFERS,
    MODEL_CODES,
    OPERATOR_CODE,
    OPERATOR_INPUTS,
    OPERATOR_OPTIONS,
    OPERATOR_OUTPUTS,
    TENSOR_BUFFER,
    TENSOR_NAME,
    TENSOR_SHAPE,
    TENSOR_SIGNATURE,
    TENSOR_TYPE,
    field,
    follow,
    number,
    numbers,
    subgraphs,
    tables,
    text,
)
from edge.engine.operators import EDGE_TPU, builtin, custom_operators
from edge.engine.runtimes import import_runtime
from edge.errors import RuntimeMissing
from edge.text import counted, one_line

ON_CHIP = 8_000_000  # bytes of the memory beside the Edge TPU, for constants: "roughly 8 MB"
_WAY_OUT = "make an int8 file of its graph with convert-model"
_TYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8"}
_EIGHT_BITS, _WHOLE = frozenset({3, 9}), frozenset({2, 4})

# ADD, AVERAGE_POOL_2D, CONCATENATION, CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, L2_NORMALIZATION, LOGISTIC,
# MAX_POOL_2D, MUL, RELU, RELU_N1_TO_1, RELU6, RESHAPE, RESIZE_BILINEAR, SOFTMAX, SPACE_TO_DEPTH, TANH, PAD, TRANSPOSE,
# MEAN, SUB, SQUEEZE, UNIDIRECTIONAL_SEQUENCE_LSTM, STRIDED_SLICE, SPLIT, PRELU, MAXIMUM, MINIMUM, SLICE,
# TRANSPOSE_CONV, EXPAND_DIMS, SUM, RSQRT, REDUCE_MAX, PACK, REDUCE_MIN, RESIZE_NEAREST_NEIGHBOR, SQUARED_DIFFERENCE,
# QUANTIZE
_TAKEN = frozenset(
    {0, 1, 2, 3, 4, 9, 11, 14, 17, 18, 19, 20, 21, 22, 23, 25, 26, 28, 34, 39, 40, 41, 43, 44, 45, 49, 54}
)
_TAKEN |= {55, 57, 65, 67, 70, 74, 76, 82, 83, 89, 97, 99, 114}
_ARG_MAX = 56
_FUSED = {1: 5, 17: 5, 2: 1}  # AVERAGE_POOL_2D, MAX_POOL_2D, CONCATENATION: the field of a fused activation function
_RATES = {3: (4, 5), 4: (5, 6)}  # CONV_2D, DEPTHWISE_CONV_2D: the fields of their rates across and down


@dataclass(frozen=True, slots=True)
class Fitness:
    """What an Edge TPU makes of a model; sentences with the way out."""

    faults: tuple[str, ...]  # why it cannot be compiled for one, or nothing of it would run there
    remarks: tuple[str, ...]  # what costs time there

    @property
    def fits(self) -> bool:
        return not self.faults


def fitness(model: bytes) -> Fitness:
    """Returns what an Edge TPU makes of a model that a runtime has loaded."""
    if EDGE_TPU in custom_operators(model):
        return Fitness((), ("It is compiled for an Edge TPU already; `delegate` libedgetpu.so.1 runs it there.",))
    graph = _Graph(model, subgraphs(model)[0])
    faults = (*graph.ends(), *graph.sizes(), *graph.computation())
    return Fitness(faults, (*graph.left_to_the_processor(), *graph.constants()))


class _Graph:
    """The main graph of a model."""

    def __init__(self, model: bytes, graph: int) -> None:
        self._model = model
        self._tensors = tables(model, graph, GRAPH_TENSORS)
        self._inputs, self._outputs = (numbers(model, graph, ends) for ends in (GRAPH_INPUTS, GRAPH_OUTPUTS))
        codes = [builtin(model, code) for code in tables(model, follow(model, 0), MODEL_CODES)]
        self._operators = tables(model, graph, GRAPH_OPERATORS)
        self._codes = [codes[self._number(operator, OPERATOR_CODE)] for operator in self._operators]
        buffers = tables(model, follow(model, 0), MODEL_BUFFERS)
        self._constant_bytes = [self._size(buffers, tensor) for tensor in self._tensors]

    def ends(self) -> list[str]:
        """Inputs and outputs that are not of 8 bits; labels, which ARG_MAX makes as whole numbers, may be longer."""
        faults = []
        for what, ends, types in (
            ("input", self._inputs, _EIGHT_BITS),
            ("output", self._outputs, _EIGHT_BITS | (_WHOLE if _ARG_MAX in self._codes else frozenset())),
        ):
            faults += [
                f"Its {what} {self._name(end)} is {self._type(end)}, expected int8 or uint8: {_WAY_OUT}."
                for end in ends
                if self._code(end) not in types
            ]
        return faults

    def sizes(self) -> list[str]:
        """Tensors whose size is free, or that have more than three sides."""
        free = [end for end in (*self._inputs, *self._outputs) if -1 in self._signed(end, TENSOR_SIGNATURE)]
        faults = [f"The size of {self._name(end)} is free, expected a fixed one: convert it with one." for end in free]
        deep = [place for place in self._made() if any(side > 1 for side in self._shape(place)[:-3])]
        if deep:
            faults.append(
                f"{counted(len(deep), 'tensor')}, {self._name(deep[0])} first, of more than three sides longer than 1, "
                "expected three: convert the graph with a batch of 1."
            )
        return faults

    def computation(self) -> list[str]:
        """Operators that compute in anything but 8 bits."""
        other: Counter[str] = Counter()
        for operator, code in zip(self._operators, self._codes, strict=True):
            types = {self._code(tensor) for tensor in self._ends_of(operator) if not self._constant_bytes[tensor]}
            wrong = types - _EIGHT_BITS - (_WHOLE if code == _ARG_MAX else frozenset())
            other.update(_TYPES.get(code, f"type {code}") for code in wrong)
        if not other:
            return []
        found = ", ".join(f"{count} in {name}" for name, count in other.most_common())
        return [
            f"Of its {counted(len(self._operators), 'operator')} some do not compute in 8 bits ({found}), expected all "
            f"to: {_WAY_OUT}; float16 and dynamic store small weights and compute in float32."
        ]

    def left_to_the_processor(self) -> list[str]:
        """The first operator that the table does not have or limits, which leaves the rest to the processor."""
        for place, (operator, code) in enumerate(zip(self._operators, self._codes, strict=True)):
            if why := self._refused(operator, code):
                rest = len(self._operators) - place
                way_out = " Networks of output stride 32 have no rates." if "rate" in why else ""
                return [
                    f"Operator {place + 1} of {len(self._operators)}, {_kind(code)}, {why}: by Coral's table the "
                    f"compiler leaves it and what follows, {counted(rest, 'operator')}, to the processor; newer ones "
                    f"take more, which `edgetpu_compiler -s` shows.{way_out}"
                ]
        return []

    def constants(self) -> list[str]:
        whole = sum(self._constant_bytes)
        if whole <= ON_CHIP:
            return []
        return [
            f"Its constants take {whole / 1e6:.1f} MB and {ON_CHIP / 1e6:.0f} MB fit beside the Edge TPU: the rest is "
            "sent there again for each picture, which is slow over USB; a narrower network avoids it."
        ]

    def _refused(self, operator: int, code: int) -> str:
        if code not in _TAKEN:
            return "is not in the table"
        options = field(self._model, operator, OPERATOR_OPTIONS)
        at = follow(self._model, options) if options else 0
        if at and code in _FUSED and self._byte(at, _FUSED[code]):
            return "has an activation function in it"
        if at and code in _RATES:
            across, down = (self._number(at, place, 1) for place in _RATES[code])
            if across != down:
                return f"has other rates across than down ({across}, {down})"
            if code == 4 and across > 1:
                return f"has a rate of {across}"
        return ""

    def _made(self) -> list[int]:
        return [tensor for operator in self._operators for tensor in self._ends_of(operator, OPERATOR_OUTPUTS)]

    def _ends_of(self, operator: int, *which: int) -> list[int]:
        return [
            tensor
            for ends in which or (OPERATOR_INPUTS, OPERATOR_OUTPUTS)
            for tensor in numbers(self._model, operator, ends)
            if tensor < len(self._tensors)  # one that is left out is -1
        ]

    def _size(self, buffers: list[int], tensor: int) -> int:
        place = self._number(tensor, TENSOR_BUFFER)
        data = field(self._model, buffers[place], 0) if 0 < place < len(buffers) else 0
        return number(self._model, follow(self._model, data)) if data else 0

    def _signed(self, tensor: int, which: int) -> list[int]:
        return [side - (1 << 32) if side >> 31 else side for side in numbers(self._model, self._tensors[tensor], which)]

    def _shape(self, tensor: int) -> list[int]:
        return self._signed(tensor, TENSOR_SHAPE)

    def _code(self, tensor: int) -> int:
        return self._byte(self._tensors[tensor], TENSOR_TYPE)

    def _type(self, tensor: int) -> str:
        return _TYPES.get(self._code(tensor), f"of type {self._code(tensor)}")

    def _name(self, tensor: int) -> str:
        return one_line(text(self._model, self._tensors[tensor], TENSOR_NAME))

    def _byte(self, table: int, index: int) -> int:
        place = field(self._model, table, index)
        return number(self._model, place, 1) if place else 0

    def _number(self, table: int, index: int, default: int = 0) -> int:
        place = field(self._model, table, index)
        return number(self._model, place) if place else default


def _kind(code: int) -> str:
    """The name of an operator, which LiteRT's schema knows; its number where LiteRT is not there."""
    try:
        names = vars(import_runtime("litert", "ai_edge_litert.schema_py_generated").BuiltinOperator)
    except RuntimeMissing:
        names = {}
    return next((name for name, value in names.items() if value == code), f"of the kind {code}")
