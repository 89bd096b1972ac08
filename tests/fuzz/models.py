"""Damaged models: every table of a .tflite is changed as its schema has it, or its bytes; the card is signed again."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from case import FLOATS, FRAMES, NUMBERS, TEXTS, Case, damaged, drive

from edge import card as cards

Mutation = Callable[[Any, random.Random], None]
TYPES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 99, 127)


def make(chance: random.Random, material: Path) -> Case:
    """A command on a damaged model."""
    path = chance.choice(sorted(material.glob("*.tflite")))
    data = path.read_bytes()
    card = cards.read(data, path.name)
    model = mutated(bare(data), chance)
    signed = card is not None and chance.random() < 0.9
    if signed and card is not None:
        model = cards.attach(model, card)
    return command(chance, material, model, signed=signed)


def source(chance: random.Random, material: Path) -> Case:
    """A damaged float model that another one is to be made of."""
    path = chance.choice([path for path in sorted(material.glob("*.tflite")) if "int8" not in path.name])
    data = path.read_bytes()
    card, model = cards.read(data, path.name), mutated(bare(data), chance)
    known = ["--normalise", "deeplab"]
    if card is not None and chance.random() < 0.7:
        model, known = cards.attach(model, card), []
    settings = ["--quantize", chance.choice(["int8", "float32,int8"]), "--min-agreement", "0", "--output", "out"]
    return Case("convert-model", ["m.tflite", *known, *settings, *FRAMES], {"m.tflite": model} | drive(material))


def command(chance: random.Random, material: Path, model: bytes, *, signed: bool) -> Case:
    """A command that opens a model, most often one that runs it."""
    files = {"m.tflite": model, "p/1.png": (material / "picture.png").read_bytes()}
    files["t/1.png"] = (material / "labels.png").read_bytes()
    known = [] if signed else ["--normalise", "deeplab"]
    chosen = chance.random()
    if chosen < 0.72:
        runtime = ["--runtime", "openvino"] if chance.random() < 0.1 else []
        outputs = ["--output", "labels:out/l", "--output", "out/f.mp4", "--stats", "out/s.json"]
        return Case("run-model", ["m.tflite", *known, *runtime, "--threads", "1", "--source", "p", *outputs], files)
    if chosen < 0.9:
        return Case("inspect-model", ["m.tflite", "--json"], files)
    if chosen < 0.99:
        return Case("evaluate-model", ["m.tflite", *known, "--source", "p", "--labels", "t", "--output", "out"], files)
    return Case("compare-models", ["m.tflite", "--source", "p", "--seconds", "0.1", "--json"], files)


@cache
def bare(data: bytes) -> bytes:
    """Returns a model without its card."""
    try:
        return data[: min(entry.header_offset for entry in zipfile.ZipFile(io.BytesIO(data)).infolist())]
    except zipfile.BadZipFile:
        return data  # it has none


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Returns a model with a few of its tables changed, now and then its bytes."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    if chance.random() < 0.15:
        return damaged(data, chance)
    while True:
        model = schema.ModelT.InitFromPackedBuf(data)
        for _ in range(chance.choice([1, 1, 1, 2, 3, 6])):
            try:
                chance.choice(MUTATIONS)(model, chance)
            except (IndexError, TypeError, AttributeError, ValueError):
                continue  # an earlier change has removed what this one changes
        builder = flatbuffers.Builder(len(data))
        try:
            builder.Finish(model.Pack(builder), b"TFL3")
        except (TypeError, ValueError, AttributeError, struct.error, AssertionError, OverflowError):
            continue  # what the format cannot hold is no model
        made = bytes(builder.Output())
        return damaged(made, chance) if chance.random() < 0.1 else made


def _graph(model: Any, chance: random.Random) -> Any:
    return chance.choice(model.subgraphs)


def _tensor(model: Any, chance: random.Random) -> Any:
    """A tensor, often one that an end of the model is."""
    graph = _graph(model, chance)
    ends = [*graph.inputs, *graph.outputs]
    return graph.tensors[chance.choice(ends)] if chance.random() < 0.4 else chance.choice(graph.tensors)


def _numbers(values: Any, chance: random.Random, choices: tuple[Any, ...] = NUMBERS) -> list[Any] | None:
    """A list with one entry changed, left out or put in; sometimes none of it is left."""
    made = [] if values is None else list(values)
    kind = chance.randrange(8)
    if kind == 0:
        return chance.choice([None, []])
    if kind == 1 and made:
        del made[chance.randrange(len(made))]
    elif kind == 2 or not made:
        made.insert(chance.randrange(len(made) + 1), chance.choice(choices))
    elif kind == 3:
        made *= chance.choice([2, 3, 100])
    elif kind == 4:
        place = chance.randrange(len(made))
        made[place] = made[place] + chance.choice([-1, 1, 2])
    else:
        made[chance.randrange(len(made))] = chance.choice(choices)
    return made


def _shape(model: Any, chance: random.Random) -> None:
    tensor = _tensor(model, chance)
    tensor.shape = _numbers(tensor.shape, chance)


def _signature(model: Any, chance: random.Random) -> None:
    tensor = _tensor(model, chance)
    tensor.shapeSignature = _numbers(tensor.shape, chance)


def _type(model: Any, chance: random.Random) -> None:
    _tensor(model, chance).type = chance.choice(TYPES)


def _which_buffer(model: Any, chance: random.Random) -> None:
    _tensor(model, chance).buffer = chance.choice([0, chance.randrange(len(model.buffers)), 2**31, 2**32 - 1])


def _variable(model: Any, chance: random.Random) -> None:
    _tensor(model, chance).isVariable = True


def _name(model: Any, chance: random.Random) -> None:
    _tensor(model, chance).name = chance.choice([None, b"\xff\xfe", *(t.encode("utf-8", "replace") for t in TEXTS)])


def _quantization(model: Any, chance: random.Random) -> None:
    from ai_edge_litert import schema_py_generated as schema

    tensor = _tensor(model, chance)
    tensor.quantization = tensor.quantization or schema.QuantizationParametersT()
    kind = chance.randrange(6)
    if kind == 0:
        tensor.quantization = None
    elif kind == 1:
        tensor.quantization.scale = _numbers(tensor.quantization.scale, chance, FLOATS)
    elif kind == 2:
        tensor.quantization.zeroPoint = _numbers(tensor.quantization.zeroPoint, chance, (*NUMBERS, 2**62))
    elif kind == 3:
        tensor.quantization.quantizedDimension = chance.choice(NUMBERS)
    elif kind == 4:
        tensor.quantization.detailsType = chance.choice([1, 2, 3, 255])
    else:
        tensor.quantization.scale, tensor.quantization.zeroPoint = [chance.choice(FLOATS)], [chance.choice(NUMBERS)]


def _buffer(model: Any, chance: random.Random) -> None:
    buffer = chance.choice([b for b in model.buffers if b.data is not None and len(b.data)])
    kind = chance.randrange(5)
    if kind == 0:
        buffer.data = None
    elif kind == 1:
        buffer.data = buffer.data[: chance.randrange(len(buffer.data))]
    elif kind == 2:
        buffer.data = np.concatenate([buffer.data] * 2)
    else:
        data = np.array(buffer.data)
        place = chance.randrange(max(1, len(data) // 4)) * 4
        word = np.frombuffer(struct.pack("<i", chance.choice(NUMBERS)), np.uint8)
        data[place : place + 4] = word[: len(data[place : place + 4])]
        buffer.data = data


def _buffer_place(model: Any, chance: random.Random) -> None:
    buffer = chance.choice(model.buffers)
    buffer.offset, buffer.size = chance.choice([0, 1, 2, 1 << 20, 2**63]), chance.choice([0, 1, 1 << 20, 2**63])


def _buffers(model: Any, chance: random.Random) -> None:
    model.buffers = _fewer(model.buffers, chance)


def _fewer(items: Any, chance: random.Random) -> Any:
    kind = chance.randrange(5)
    if kind == 0:
        return chance.choice([None, []])
    made = list(items)
    place = chance.randrange(len(made))
    if kind == 1:
        del made[place]
    elif kind == 2:
        made.insert(chance.randrange(len(made)), made[place])
    elif kind == 3:
        other = chance.randrange(len(made))
        made[place], made[other] = made[other], made[place]
    else:
        made = made[:place]
    return made


def _tensors(model: Any, chance: random.Random) -> None:
    graph = _graph(model, chance)
    graph.tensors = _fewer(graph.tensors, chance)


def _operators(model: Any, chance: random.Random) -> None:
    graph = _graph(model, chance)
    graph.operators = _fewer(graph.operators, chance)


def _subgraphs(model: Any, chance: random.Random) -> None:
    model.subgraphs = _fewer(model.subgraphs, chance)


def _codes(model: Any, chance: random.Random) -> None:
    model.operatorCodes = _fewer(model.operatorCodes, chance)


def _ends(model: Any, chance: random.Random) -> None:
    graph, which = _graph(model, chance), chance.choice(["inputs", "outputs"])
    places = tuple(range(len(graph.tensors)))
    setattr(graph, which, _numbers(getattr(graph, which), chance, NUMBERS + places))


def _indices(model: Any, chance: random.Random) -> None:
    graph = _graph(model, chance)
    operator, which = chance.choice(graph.operators), chance.choice(["inputs", "outputs", "intermediates"])
    places = tuple(range(len(graph.tensors)))
    setattr(operator, which, _numbers(getattr(operator, which), chance, places * 3 + NUMBERS))


def _opcode(model: Any, chance: random.Random) -> None:
    operator = chance.choice(_graph(model, chance).operators)
    operator.opcodeIndex = chance.choice([*range(len(model.operatorCodes)), 2**31, 2**32 - 1])


def _option(model: Any, chance: random.Random) -> None:
    operator = chance.choice(_graph(model, chance).operators)
    fields = [name for name in vars(operator.builtinOptions) if not name.startswith("_")]
    name = chance.choice(fields)
    old = getattr(operator.builtinOptions, name)
    choices = FLOATS if isinstance(old, float) else NUMBERS
    setattr(operator.builtinOptions, name, _numbers(old, chance) if isinstance(old, list) else chance.choice(choices))


def _options(model: Any, chance: random.Random) -> None:
    operator = chance.choice(_graph(model, chance).operators)
    kind = chance.randrange(3)
    if kind == 0:
        operator.builtinOptions, operator.builtinOptionsType = None, 0
    elif kind == 1:
        operator.builtinOptionsType = chance.choice([0, 1, 8, 11, 22, 97, 126, 255])
    else:
        operator.builtinOptions = None


def _code(model: Any, chance: random.Random) -> None:
    code = chance.choice(model.operatorCodes)
    kind = chance.randrange(4)
    if kind == 0:
        code.builtinCode = code.deprecatedBuiltinCode = chance.randrange(-1, 127)
    elif kind == 1:
        code.builtinCode = chance.choice([*range(210), -1, 2**31 - 1])
    elif kind == 2:
        code.version = chance.choice(NUMBERS)
    else:
        code.builtinCode, code.deprecatedBuiltinCode, code.customCode = 32, 32, chance.choice(["x", b"\xff", "FlexAdd"])


def _signatures(model: Any, chance: random.Random) -> None:
    from ai_edge_litert import schema_py_generated as schema

    made = schema.SignatureDefT()
    made.signatureKey, made.subgraphIndex = (
        chance.choice([None, "serving_default", b"\xff"]),
        chance.choice([0, 1, 2**31]),
    )
    made.inputs, made.outputs = [], []
    for ends in (made.inputs, made.outputs):
        end = schema.TensorMapT()
        end.name, end.tensorIndex = chance.choice([None, "x", b"\xff"]), chance.choice([0, 5, 2**31, 2**32 - 1])
        ends.append(end)
    model.signatureDefs = chance.choice([[made], [made, made]])


def _metadata(model: Any, chance: random.Random) -> None:
    from ai_edge_litert import schema_py_generated as schema

    made = schema.MetadataT()
    made.name = chance.choice([None, "min_runtime_version", "TFLITE_METADATA", b"\xff", "CONVERSION_METADATA"])
    made.buffer = chance.choice([0, 1, len(model.buffers), 2**32 - 1])
    model.metadata = [made]


def _version(model: Any, chance: random.Random) -> None:
    model.version = chance.choice([0, 1, 2, 4, 2**32 - 1])


MUTATIONS: tuple[Mutation, ...] = (
    *(_shape, _shape, _signature, _type, _which_buffer, _variable, _name, _quantization, _quantization),
    *(_buffer, _buffer, _buffer_place, _buffers, _tensors, _operators, _subgraphs, _codes, _ends),
    *(_indices, _indices, _opcode, _option, _option, _options, _code, _signatures, _metadata, _version),
)
