"""Quantized models with an input and an output of another dtype."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convert.ranges import Range
from convert.tflite.ends import END_TYPES, Ends, with_ends
from edge import card as cards
from edge.card import Card
from edge.data import Pixels
from edge.engine.base import Engine
from edge.engine.open import open_engine
from edge.errors import UsageError
from edge.preprocess import DEEPLAB, Preprocess
from edge.segmenter import Segmenter

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def picture() -> Pixels:
    return np.random.default_rng(3).integers(0, 256, (65, 129, 3), np.uint8)


@pytest.fixture(scope="module")
def card(int8_model: Path) -> Card:
    read = cards.read(int8_model.read_bytes(), "int8")
    assert read is not None
    return read


def scores(engine: Engine, picture: Pixels) -> np.ndarray:
    given = engine.invoke(Preprocess(engine.input, DEEPLAB)(picture))
    spec = engine.output
    return given if given.dtype == np.float32 else (given.astype(np.float32) - spec.zero_point) * spec.scale


@pytest.mark.parametrize("output", [None, *END_TYPES])
def test_uint8_changes_no_score_whatever_comes_out(output: str, int8_model: Path, picture: Pixels) -> None:
    model = int8_model.read_bytes()
    plain = open_engine(model, "int8")
    made = open_engine(with_ends(model, Ends("uint8", output), {}), "uint8")
    assert (made.input.dtype, made.output.dtype) == (np.uint8, output or "int8")
    assert (made.input.name, made.output.name) == (plain.input.name, plain.output.name)
    np.testing.assert_array_equal(Preprocess(made.input, DEEPLAB)(picture)[0], picture, "pixels go in as they are")
    np.testing.assert_allclose(scores(made, picture), scores(plain, picture), rtol=1e-6)


@pytest.mark.parametrize("runtime", ["litert", "openvino"])
@pytest.mark.parametrize("ends", [Ends("uint8"), Ends("float32", "float32"), Ends("uint8", "uint8")], ids=str)
def test_a_file_with_other_ends_labels_as_the_int8_file(
    ends: Ends, runtime: str, int8_model: Path, card: Card, picture: Pixels, tmp_path: Path
) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino")
    path = tmp_path / "ends.tflite"
    path.write_bytes(cards.attach(with_ends(int8_model.read_bytes(), ends, {}), card))
    made, plain = Segmenter(path, runtime=runtime), Segmenter(int8_model, runtime=runtime)
    # A float input rounds half grey levels to even sides of 0, an integer one upwards.
    assert np.mean(made(picture).ids == plain(picture).ids) >= (1.0 if ends.input == "uint8" else 0.97)


def test_a_model_whose_ends_stayed_in_float_gets_integers_by_their_ranges(float_model: Path, picture: Pixels) -> None:
    model = float_model.read_bytes()
    plain = open_engine(model, "float32")
    expected = scores(plain, picture)
    ranges = {
        plain.input.name: Range(-1.0, 1.0),
        plain.output.name: Range(float(expected.min()), float(expected.max())),
    }
    made = open_engine(with_ends(model, Ends("uint8", "int8"), ranges), "uint8")
    assert (made.input.dtype, made.output.dtype) == (np.uint8, np.int8)
    np.testing.assert_array_equal(Preprocess(made.input, DEEPLAB)(picture)[0], picture)
    assert np.mean(scores(made, picture).argmax(-1) == expected.argmax(-1)) > 0.9


def test_signatures_name_the_new_ends(int8_model: Path, picture: Pixels) -> None:
    from ai_edge_litert.interpreter import Interpreter

    model = with_ends(int8_model.read_bytes(), Ends("uint8", "float32"), {})
    run = Interpreter(model_content=model).get_signature_runner()
    assert run(image=picture[None])["logits"].dtype == np.float32


def test_what_is_there_already_stays(int8_model: Path) -> None:
    model = int8_model.read_bytes()
    assert with_ends(model, Ends(), {}) == model
    assert open_engine(with_ends(model, Ends("int8", "int8"), {}), "same").operators()["QUANTIZE"] == 0


def test_names_tell_the_files_apart_and_other_dtypes_are_refused() -> None:
    assert [Ends().suffix, Ends("int8").suffix, Ends("uint8").suffix] == ["", "", "-in-uint8"]
    assert Ends("uint8", "float32").suffix == "-in-uint8-out-float32"
    with pytest.raises(UsageError, match=r"`input_type`: expected one of float32, uint8, int8, got 'int16'"):
        Ends("int16")  # type: ignore[arg-type]
