"""A .tflite as the source of others: its network is the same, and what is made of it agrees with it."""

from __future__ import annotations

import re
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import interpreter
from small_models import Graph, strongest_colour

from convert.cli.convert_model import main
from convert.conversion import run
from convert.job import Job
from convert.ranges import Range
from convert.tflite.export import quantized
from convert.tflite.flatbuffer import add_constant, add_tensor, kind, operator, pack, parse, values
from convert.tflite.float_network import float_network
from convert.tflite.integer_forms import spelled_for_integers
from convert.tflite.quantize import measure_ranges
from convert.tflite.recipes import RECIPES, parse_recipes
from convert.tflite.source import load_tflite
from edge import card as cards
from edge.data import Upsampling
from edge.engine.open import open_engine
from edge.errors import ConversionError, ModelError
from edge.evaluation.metrics import agreement
from edge.model_description import Told
from edge.preprocess import DEEPLAB, Normalisation
from edge.scene import Scene
from edge.segmenter import Segmenter

SMALL = ["--calibration-frames", "4", "--verification-frames", "2"]


@pytest.fixture(scope="module")
def bare(float_model: Path) -> bytes:
    """The float model of the demo network, 65x129, as a stranger's: without card and metadata."""
    parsed = parse(float_model.read_bytes())
    for entry in parsed.metadata:
        parsed.buffers[entry.buffer].data = None
    parsed.metadata = None
    return pack(parsed)


def answer(model: bytes, x: np.ndarray, output: int = 0) -> np.ndarray:
    engine = open_engine(model, "x", choose=lambda *_: output)
    return engine.invoke(x)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """A scene as the demo network takes it."""
    return DEEPLAB.real(Scene(3).draw(1.0, (65, 129))[0].astype(np.float32))[None]


def lengthened(model: bytes, *, softmax: bool, argmax: bool, rule: dict[str, bool]) -> bytes:
    """A model with what exporters put behind the scores: a resize to the picture's size, softmax, argmax, cast."""
    from ai_edge_litert import schema_py_generated as schema

    parsed = parse(model)
    graph, kinds = parsed.subgraphs[0], schema.BuiltinOperator
    last = int(graph.outputs[0])
    height, width = graph.tensors[int(graph.inputs[0])].shape[1:3]

    def integers(numbers: list[int]) -> int:
        place = add_tensor(graph, f"numbers {len(graph.tensors)}", graph.tensors[last])
        tensor, buffer = graph.tensors[place], schema.BufferT()
        tensor.type, tensor.shape, tensor.shapeSignature = (
            schema.TensorType.INT32,
            np.array([len(numbers)], np.int32),
            None,
        )
        buffer.data = np.frombuffer(np.array(numbers, np.int32).tobytes(), np.uint8)
        tensor.buffer = len(parsed.buffers)
        parsed.buffers.append(buffer)
        return place

    def then(number: int, name: str, options: str, *more: int, shape: list[int] | None = None, **fields: Any) -> None:
        nonlocal last
        made = add_tensor(graph, name, graph.tensors[last])
        if shape:
            graph.tensors[made].shape, graph.tensors[made].shapeSignature = np.array(shape, np.int32), None
        graph.operators.append(operator(parsed, number, [last, *more], [made], options, **fields))
        last = made

    classes = int(graph.tensors[last].shape[3])
    size = [1, int(height), int(width), classes]
    then(kinds.RESIZE_BILINEAR, "large", "ResizeBilinearOptions", integers(size[1:3]), shape=size, **rule)
    then(kinds.RESIZE_BILINEAR, "again", "ResizeBilinearOptions", integers(size[1:3]), shape=size, alignCorners=True)
    if softmax:
        then(kinds.SOFTMAX, "shares", "SoftmaxOptions", beta=1.0)
    if argmax:
        then(kinds.ARG_MAX, "ids", "ArgMaxOptions", integers([3]), shape=size[:3], outputType=schema.TensorType.INT64)
        graph.tensors[last].type = schema.TensorType.INT64
        then(kinds.CAST, "small ids", "CastOptions", inDataType=schema.TensorType.INT64, outDataType=0)
        graph.tensors[last].type = schema.TensorType.INT32
        graph.operators[-1].builtinOptions.outDataType = schema.TensorType.INT32
    graph.outputs = np.array([last], np.int32)
    parsed.signatureDefs = None
    return pack(parsed)


@pytest.mark.parametrize(
    ("rule", "upsampling"),
    [
        ({"alignCorners": True}, "align_corners"),
        ({"halfPixelCenters": True}, "half_pixel_centers"),
        ({}, "asymmetric"),
    ],
)
@pytest.mark.parametrize(("softmax", "argmax"), [(False, False), (True, False), (False, True), (True, True)])
def test_what_comes_after_the_scores_is_left_out(
    bare: bytes, picture: np.ndarray, rule: dict[str, bool], upsampling: Upsampling, softmax: bool, argmax: bool
) -> None:
    exported = lengthened(bare, softmax=softmax, argmax=argmax, rule=rule)
    found = float_network(exported, 0, "x")
    assert found.upsampling == upsampling
    assert np.array_equal(answer(found.model, picture), answer(bare, picture))
    assert np.array_equal(answer(found.whole, picture), answer(exported, picture))
    assert len(found.model) <= len(bare) + 1000
    assert found.output_stride == 16


def test_an_argmax_over_something_else_stays(bare: bytes) -> None:
    exported = parse(lengthened(bare, softmax=False, argmax=True, rule={"alignCorners": True}))
    graph = exported.subgraphs[0]
    axis = graph.tensors[int(graph.operators[-2].inputs[1])]
    exported.buffers[axis.buffer].data = np.frombuffer(np.array([1], np.int32).tobytes(), np.uint8)
    assert open_engine(float_network(pack(exported), 0, "x").model, "x").output.name == "small ids"


@pytest.fixture(scope="module")
def stored(bare: bytes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The demo network as TensorFlow's converter stores it: in float16, and with int8 weights."""
    from convert.models.load import load_frozen_graph

    folder = tmp_path_factory.mktemp("stored")
    job = Job(parse_recipes("float16,dynamic"), (65, 129), "auto", folder, ["demo"], 4, 2, 0.0, None)
    made = run(load_frozen_graph("demo", notice=pytest.fail), job)
    return {outcome.recipe.name: outcome.path.read_bytes() for outcome in made}


@pytest.mark.parametrize(("recipe", "type_", "near"), [("float16", "float16", 1e-3), ("dynamic", "int8", 0.05)])
def test_weights_get_back_what_they_stand_for(
    stored: dict[str, bytes], bare: bytes, picture: np.ndarray, recipe: str, type_: str, near: float
) -> None:
    found = float_network(stored[recipe], 0, "x")
    assert found.stored == {type_}
    parsed = parse(found.model)
    assert {values(parsed, tensor).dtype for tensor in parsed.subgraphs[0].tensors if _is_kernel(parsed, tensor)} == {
        np.dtype(np.float32)
    }
    before, after = answer(bare, picture), answer(found.model, picture)
    assert np.abs(after - before).max() < near * np.abs(before).max()
    assert open_engine(found.model, "x").operators()["DEQUANTIZE"] == 0


def _is_kernel(parsed: Any, tensor: Any) -> bool:
    return tensor.shape is not None and len(tensor.shape) == 4 and values(parsed, tensor) is not None


def test_older_files_name_their_operators_in_the_older_field(bare: bytes) -> None:
    parsed = parse(bare)
    for code in parsed.operatorCodes:
        code.builtinCode = 0
    from ai_edge_litert.tools import flatbuffer_utils

    older = bytes(flatbuffer_utils.convert_object_to_bytearray(parsed))
    again = parse(older)
    assert [kind(again, op) for op in again.subgraphs[0].operators] == [
        kind(parse(bare), op) for op in parse(bare).subgraphs[0].operators
    ]


def test_tensors_without_a_name_or_with_that_of_another_get_one(bare: bytes, picture: np.ndarray) -> None:
    """Ranges are kept by names, and so are operators that stay in float."""
    parsed = parse(bare)
    for place, tensor in enumerate(parsed.subgraphs[0].tensors):
        tensor.name = [None, b"same", tensor.name][place % 3]
    found = float_network(pack(parsed), 0, "x")
    names = [tensor.name for tensor in parse(found.model).subgraphs[0].tensors]
    assert None not in names
    assert len({*names}) == len(names)
    ranges = measure_ranges(spelled_for_integers(found.model), [picture], Range(-1, 1))
    assert np.abs(answer(quantized(found.model, ranges, RECIPES["int8"]), _stored(picture))).max() > 0


def _stored(picture: np.ndarray) -> np.ndarray:
    return np.round(picture * 127).astype(np.int8)


def test_what_only_plain_kernels_run_is_measured_on_them(
    bare: bytes, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XNNPACK may refuse what it takes when fewer tensors are asked for."""
    expected = measure_ranges(bare, [picture], Range(-1, 1))

    def refusing(*arguments: Any, experimental_op_resolver_type: Any, **more: Any) -> Any:
        asked.append(experimental_op_resolver_type)
        if experimental_op_resolver_type in refused:
            raise RuntimeError("failed to delegate CONV_2D node #65")
        return real(*arguments, experimental_op_resolver_type=experimental_op_resolver_type, **more)

    real, asked = interpreter.Interpreter, list[Any]()
    kinds = interpreter.OpResolverType
    refused = {kinds.AUTO}
    monkeypatch.setattr(interpreter, "Interpreter", refusing)
    measured = measure_ranges(bare, [picture], Range(-1, 1))
    assert asked == [kinds.AUTO, kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES]
    assert all(np.allclose(astuple(measured[name]), astuple(known), atol=1e-2) for name, known in expected.items())
    refused.add(kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    with pytest.raises(ConversionError, match="its activations cannot be measured: failed to delegate"):
        measure_ranges(bare, [picture], Range(-1, 1))


def test_scalars_that_older_files_give_no_shape_have_one(bare: bytes) -> None:
    parsed = parse(bare)
    add_constant(parsed, "three", np.array(3.0, np.float32))
    parsed.subgraphs[0].tensors[-1].shape = None
    assert parse(pack(parsed)).subgraphs[0].tensors[-1].shape.tolist() == []


def test_the_form_for_integers_says_the_same() -> None:
    """Hard swish, and a Relu that its maker cannot take because another reads that too."""
    graph = Graph()
    picture, swished = graph.tensor("picture", (1, 9, 17, 3)), graph.tensor("swished", (1, 9, 17, 3))
    cut, scores = graph.tensor("cut", (1, 9, 17, 3)), graph.tensor("scores", (1, 9, 17, 3))
    graph.operator("HARD_SWISH", [picture], [swished], "HardSwishOptions")
    graph.operator("RELU6", [swished], [cut])
    graph.operator("ADD", [swished, cut], [scores], "AddOptions")
    model = graph.packed([picture], [scores])
    spelled = spelled_for_integers(model)
    assert {*open_engine(spelled, "x").operators()} == {"ADD", "MUL", "MAX_POOL_2D"}
    x = np.linspace(-8, 8, 9 * 17 * 3, dtype=np.float32).reshape(1, 9, 17, 3)
    assert np.allclose(answer(spelled, x), answer(model, x), atol=1e-5)


def test_int8_of_a_float_file_agrees_with_it_and_keeps_what_its_card_says(
    float_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(float_model), "--quantize", "float32,int8", *SMALL, "--output", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "test: a .tflite of 19 classes, 65x129 at output stride 16" in said.err
    paths = {recipe: tmp_path / f"test-65x129-os16-{recipe}.tflite" for recipe in ("float32", "int8")}
    original, made = Segmenter(float_model), {recipe: Segmenter(path) for recipe, path in paths.items()}
    frame = Scene(5).draw(1.0, (130, 258))[0]
    assert agreement(made["float32"](frame).ids, original(frame).ids) == 1.0
    assert agreement(made["int8"](frame).ids, original(frame).ids) > 0.9
    card = made["int8"].card
    assert replace(card, provenance={}, recipe="float32") == replace(original.card, provenance={})
    assert card.provenance["source"]["origin"] == float_model.name
    assert card.provenance["verification"]["fidelity"] > 0.95
    assert made["int8"].engine.partitions().outside == 0


def test_int8_of_a_strangers_file(bare: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No card, labels as output: normalisation is asked for, names are a guess that is told."""
    path = tmp_path / "stranger.tflite"
    path.write_bytes(lengthened(bare, softmax=True, argmax=True, rule={"halfPixelCenters": True}))
    arguments = [str(path), *SMALL, "--output", str(tmp_path / "out")]
    assert main(arguments) == 1
    assert "stranger.tflite: has no model card and a float input" in capsys.readouterr().err
    assert main([*arguments, "--normalise", "deeplab"]) == 0
    assert "are a guess by their number; --classes names them" in capsys.readouterr().err
    made = Segmenter(tmp_path / "out" / "stranger-65x129-os16-int8.tflite")
    assert (made.card.upsampling, made.card.output_stride) == ("half_pixel_centers", 16)
    assert made.engine.output.dtype == np.int8
    frame = Scene(5).draw(1.0, (65, 129))[0]
    assert agreement(made(frame).ids, Segmenter(path, norm=DEEPLAB)(frame).ids) > 0.9


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--input-size", "33x65"], "--input-size: .* has a fixed size of 65x129; for another one convert its graph"),
        (["--output-stride", "8"], "--output-stride: .* has a fixed output stride of 16; for another one"),
        (["--quantize", "float16,int8"], "of a .tflite only float32 and int8 are made, not float16; convert its graph"),
    ],
)
def test_what_a_tflite_cannot_become(
    float_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], why: str
) -> None:
    assert main([str(float_model), *SMALL, *options, "--output", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert re.search(why, line)
    assert not list(tmp_path.iterdir())


def test_a_size_and_stride_that_are_its_own_may_be_asked_for(float_model: Path) -> None:
    source = load_tflite(float_model)
    network = source.network(Told())
    source.check_asked(network, [RECIPES["int8"]], (65, 129), "16")
    assert network.norm == DEEPLAB


def refusal(model: bytes, folder: Path, norm: Normalisation | None = DEEPLAB) -> str:
    path = folder / "x.tflite"
    path.write_bytes(model)
    with pytest.raises(ModelError) as caught:
        load_tflite(path).network(Told(norm))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_files_that_are_no_source_are_refused_by_name(int8_model: Path, bare: bytes, tmp_path: Path) -> None:
    assert "takes int8 pictures; a source for other files takes float32 ones" in refusal(
        int8_model.read_bytes(), tmp_path
    )
    assert "cannot load it as a .tflite model" in refusal(bare[: len(bare) // 2], tmp_path)
    assert "expected scores (1, h, w, classes) before what chooses the classes" in refusal(_thresholds(), tmp_path)


def test_activations_that_are_integers_between_float_ends_are_refused(tmp_path: Path) -> None:
    graph = Graph()
    picture, whole = graph.tensor("picture", (1, 9, 17, 3)), graph.tensor("whole", (1, 9, 17, 3), "int8", scale=0.1)
    scores = graph.tensor("scores", (1, 9, 17, 3))
    graph.operator("QUANTIZE", [picture], [whole])
    graph.operator("DEQUANTIZE", [whole], [scores])
    said = refusal(graph.packed([picture], [scores]), tmp_path)
    assert "its activations are quantized already; give the float .tflite or the frozen graph" in said


def test_a_constant_that_does_not_fit_its_shape_is_damage(bare: bytes, tmp_path: Path) -> None:
    parsed = parse(bare)
    bias = next(t for t in parsed.subgraphs[0].tensors if len(t.shape) == 1 and values(parsed, t) is not None)
    bias.shape = np.array([int(bias.shape[0]) - 1], np.int32)
    with pytest.raises(ModelError, match="bytes and a shape for"):
        float_network(pack(parsed), 0, "x.tflite")


def test_a_file_that_reads_what_is_not_there_is_damaged(tmp_path: Path) -> None:
    """Runtimes take it for a variable, which holds what was in the memory before."""
    graph = Graph()
    picture, scores = graph.tensor("picture", (1, 9, 17, 3)), graph.tensor("scores", (1, 9, 17, 3))
    nowhere = graph.tensor("nowhere", (1, 9, 17, 3))
    graph.operator("ADD", [picture, nowhere], [scores], "AddOptions")
    said = refusal(graph.packed([picture], [scores]), tmp_path)
    assert "x.tflite: reads nowhere, which it neither holds nor makes: it is damaged" in said


def test_one_of_several_outputs_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = Graph()
    picture, one, other = (graph.tensor(name, (1, 9, 17, 3)) for name in ("picture", "one", "other"))
    graph.operator("RELU", [picture], [one])
    graph.operator("LOGISTIC", [picture], [other])
    path = tmp_path / "two.tflite"
    path.write_bytes(graph.packed([picture], [one, other]))
    assert main([str(path), "--normalise", "deeplab", "--output", str(tmp_path / "out")]) == 1
    assert "name one of them: --output-tensor" in capsys.readouterr().err
    for name in ("one", "other"):
        network = load_tflite(path).network(Told(DEEPLAB, output_tensor=name))
        assert network.logits == name
        x = np.linspace(-1, 1, 9 * 17 * 3, dtype=np.float32).reshape(1, 9, 17, 3)
        expected = np.maximum(x, 0) if name == "one" else 1 / (1 + np.exp(-x))
        assert np.allclose(answer(network.model, x), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["../../elsewhere", "/root/x", "a/b", "..", "."])
def test_a_card_does_not_choose_where_files_are_written(float_model: Path, tmp_path: Path, name: str) -> None:
    data = float_model.read_bytes()
    card = cards.read(data, "x")
    assert card is not None
    parsed = pack(parse(data))
    path = tmp_path / "mine.tflite"
    path.write_bytes(cards.attach(parsed, replace(card, name=name)))
    name_of_files = load_tflite(path).name
    assert (tmp_path / f"{name_of_files}-x.tflite").resolve().parent == tmp_path.resolve()
    assert "/" not in name_of_files


def _thresholds() -> bytes:
    """A model of one score per pixel."""
    graph = Graph()
    picture, score = graph.tensor("picture", (1, 9, 17, 3)), graph.tensor("score", (1, 9, 17, 1))
    graph.operator("SUM", [picture, graph.constant(np.array([3], np.int32))], [score], "ReducerOptions", keepDims=True)
    return graph.packed([picture], [score])


def test_a_network_without_weights_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tiny.tflite"
    path.write_bytes(strongest_colour())
    arguments = [str(path), "--normalise", "unit", *SMALL, "--output", str(tmp_path / "out")]
    assert main(arguments) == 1
    assert "found no convolution weights of 1024 numbers or more to check" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []
