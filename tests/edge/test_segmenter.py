from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.card import Card, attach
from edge.classes import CITYSCAPES, ClassSet
from edge.data import TensorSpec
from edge.engine.open import open_engine
from edge.errors import CardError, ModelError, UsageError
from edge.model_description import Told, describe
from edge.preprocess import DEEPLAB, Normalisation, resize
from edge.segmenter import Segmenter
from edge.upsample import Upsample

Tiny = Callable[..., bytes]
RGB = ClassSet(("red", "green", "blue"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)))


@pytest.fixture
def saved(tmp_path: Path, tiny_model: Tiny) -> Callable[..., Path]:
    """A model file of the tiny network, with a card where one is given."""

    def save(dtype: str = "float32", *, card: Card | None = None, **options: Any) -> Path:
        if dtype != "float32":
            options = {"scale": 1 / 127.5, "zero_point": -1 if dtype == "int8" else 127} | options
        data = tiny_model(dtype, **options)
        path = tmp_path / f"tiny-{dtype}.tflite"
        path.write_bytes(data if card is None else attach(data, card))
        return path

    return save


def card(**changes: Any) -> Card:
    fields = {
        "name": "tiny",
        "recipe": "float32",
        "input_hw": (9, 17),
        "output_stride": 2,
        "norm": DEEPLAB,
        "output": "logits",
        "classes": RGB,
    }
    return Card(**(fields | changes))


def thirds(height: int = 45, width: int = 90) -> np.ndarray:
    """Red, green and blue, from left to right."""
    pixels = np.full((height, width, 3), 40, np.uint8)
    for channel in range(3):
        pixels[:, channel * width // 3 : (channel + 1) * width // 3, channel] = 200
    return pixels


def refusal(path: Path, kind: type[ModelError] = ModelError, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        Segmenter(path, **options)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_a_picture_is_labelled_at_its_own_size(saved: Callable[..., Path], dtype: str) -> None:
    labels = Segmenter(saved(dtype, card=card()))(thirds())
    assert (labels.ids.shape, labels.ids.dtype) == ((45, 90), np.uint8)
    assert [int(labels.ids[20, x]) for x in (5, 20, 45, 70, 88)] == [0, 0, 1, 2, 2]


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_labels_are_the_argmax_of_the_upsampled_scores(saved: Callable[..., Path], dtype: str) -> None:
    pixels = cv2.resize(np.random.default_rng(3).integers(0, 256, (6, 9, 3), np.uint8), (90, 45))
    segment = Segmenter(saved(dtype, card=card()))
    scores = resize(pixels, (9, 17))[::2, ::2].astype(np.float32)
    agreeing = np.mean(segment(pixels).ids == Upsample((5, 9), (45, 90))(scores))
    assert agreeing == 1 if dtype == "float32" else agreeing > 0.98


def test_any_rgb_view_works(saved: Callable[..., Path]) -> None:
    segment = Segmenter(saved("int8", card=card()))
    for size in ((45, 90), (9, 17)):
        pixels = thirds(*size)
        bgr = np.ascontiguousarray(pixels[..., ::-1])
        frozen = pixels.copy()
        frozen.flags.writeable = False
        for view in (bgr[..., ::-1], np.asfortranarray(pixels), np.dstack([pixels, pixels])[..., :3], frozen):
            assert np.array_equal(segment(view).ids, segment(pixels).ids)
        assert np.array_equal(segment(pixels[:, ::-1]).ids[:, ::-1], segment(pixels).ids)


def test_a_picture_of_one_pixel_is_one_label(saved: Callable[..., Path]) -> None:
    assert Segmenter(saved(card=card()))(np.array([[[1, 2, 9]]], np.uint8)).ids.tolist() == [[2]]


@pytest.mark.parametrize(
    ("pixels", "found"),
    [
        (thirds().astype(np.float32) / 255, r"float32 \(45, 90, 3\)"),
        (thirds()[..., 0], r"uint8 \(45, 90\)"),
        (np.dstack([thirds(), thirds()])[..., :4], r"uint8 \(45, 90, 4\)"),
        (thirds()[None], r"uint8 \(1, 45, 90, 3\)"),
        (thirds()[:0], r"uint8 \(0, 90, 3\)"),
        (thirds()[:, :0], r"uint8 \(45, 0, 3\)"),
        (thirds().astype(np.int64), "int64"),
        (thirds().tolist(), "list"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_rgb_picture_is_refused(saved: Callable[..., Path], pixels: Any, found: str) -> None:
    with pytest.raises(UsageError, match=r"expected a picture as a uint8 array \(H, W, 3\).*" + found):
        Segmenter(saved(card=card()))(pixels)


@pytest.mark.parametrize("replace", [os.replace, lambda new, old: old.write_bytes(new.read_bytes())])
def test_replacing_the_file_does_not_touch_a_running_model(
    saved: Callable[..., Path], tmp_path: Path, replace: Callable[[Path, Path], object]
) -> None:
    path = saved("int8", card=card())
    segment = Segmenter(path)
    before = segment(thirds()).ids
    other = tmp_path / "other"
    other.write_bytes(b"x" * 10)
    replace(other, path)
    assert np.array_equal(segment(thirds()).ids, before)


def test_an_output_whose_size_is_free(saved: Callable[..., Path]) -> None:
    assert [*Segmenter(saved(output="free", card=card()))(thirds()).ids[20, ::44]] == [0, 1, 2]


def test_a_label_map_as_output(saved: Callable[..., Path]) -> None:
    segment = Segmenter(saved(output="labels"), norm=DEEPLAB)
    assert [*segment(thirds()).ids[20, ::44]] == [0, 1, 2]
    assert segment.card.output == "labels"
    assert segment.card.classes == CITYSCAPES


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_a_quantized_model_without_a_card_says_itself_how_pixels_are_normalised(
    saved: Callable[..., Path], dtype: str
) -> None:
    segment = Segmenter(saved(dtype))
    assert segment.card.norm == DEEPLAB
    assert segment.card.classes.names == ("class 0", "class 1", "class 2")
    assert [*segment(thirds()).ids[20, ::44]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("scale", "zero_point", "norm"),
    [
        (1 / 255, -128, Normalisation(0.0, 255.0)),
        (1.0, -128, Normalisation(0.0, 1.0)),
        (1 / 128, 0, DEEPLAB),
    ],
)
def test_normalisation_is_read_off_the_inputs_scale(
    saved: Callable[..., Path], scale: float, zero_point: int, norm: Normalisation
) -> None:
    assert Segmenter(saved("int8", scale=scale, zero_point=zero_point)).card.norm == norm


def test_a_quantized_input_of_unusual_range_is_not_guessed(saved: Callable[..., Path]) -> None:
    path = saved("int8", scale=4 / 255, zero_point=10)
    assert "`normalise`" in refusal(path)
    assert Segmenter(path, norm=Normalisation(110.0, 60.0)).card.norm == Normalisation(110.0, 60.0)


def test_a_float_model_without_a_card_is_refused_until_told(saved: Callable[..., Path]) -> None:
    path = saved()
    assert "`normalise` deeplab" in refusal(path)
    assert [*Segmenter(path, norm=DEEPLAB)(thirds()).ids[20, ::44]] == [0, 1, 2]


def test_the_wrong_number_of_class_names_is_refused(saved: Callable[..., Path]) -> None:
    assert "expected 3 class names for its output, got 19" in refusal(saved("int8"), classes=CITYSCAPES)
    assert "got 19" in refusal(saved(card=card(classes=CITYSCAPES)))


def test_options_override_the_card(saved: Callable[..., Path]) -> None:
    names = ClassSet(("a", "b", "c"), RGB.colours)
    found = Segmenter(saved(card=card()), norm=Normalisation(0.0, 255.0), classes=names).card
    assert (found.norm, found.classes, found.name) == (Normalisation(0.0, 255.0), names, "tiny")


@pytest.mark.parametrize("changes", [{"input_hw": (9, 18)}, {"output": "labels"}])
def test_a_card_that_contradicts_the_tensors_is_refused(saved: Callable[..., Path], changes: dict[str, Any]) -> None:
    assert "card does not fit" in refusal(saved(card=card(**changes)))


def test_a_damaged_file_is_refused_by_its_card(saved: Callable[..., Path]) -> None:
    path = saved(card=card())
    data = bytearray(path.read_bytes())
    data[300] ^= 255
    path.write_bytes(data)
    assert "not the one its card was written for" in refusal(path, CardError)


def test_every_truncation_of_a_file_is_refused(saved: Callable[..., Path]) -> None:
    path = saved("int8", card=card())
    whole = path.read_bytes()
    model = len(saved("int8").read_bytes())
    for end in (0, 1, 7, 100, model // 2, model - 12, model + 60, (model + len(whole)) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        refusal(path)


def spec(shape: tuple[int, ...], dtype: str = "float32", scale: float = 0.0) -> TensorSpec:
    return TensorSpec("t", shape, np.dtype(dtype), scale, 0)


@pytest.mark.parametrize(
    ("shape", "dtype", "scale"),
    [
        ((1, 224, 224, 1), "float32", 0),
        ((2, 224, 224, 3), "float32", 0),
        ((1, 4, 224, 224), "float32", 0),
        ((1, 224, 3), "float32", 0),
        ((), "float32", 0),
        ((1, 0, 224, 3), "float32", 0),
        ((1, 99999, 224, 3), "float32", 0),
        ((1, 9, 17, 3), "float64", 0),
        ((1, 9, 17, 3), "int32", 1),
        ((1, 9, 17, 3), "int8", 0),
        ((1, 9, 17, 3), "uint8", -1),
        ((1, 9, 17, 3), "int8", float("nan")),
    ],
)
def test_inputs_that_are_no_picture_are_refused(shape: tuple[int, ...], dtype: str, scale: float) -> None:
    with pytest.raises(ModelError, match=r"x\.tflite: .*input"):
        describe(spec(shape, dtype, scale), [spec((1, 5, 9, 3))], 0, None, "x.tflite", Told(DEEPLAB))


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((1, 1001), "float32"),
        ((1, 25, 9), "float32"),
        ((1, 25, 9, 1), "float32"),
        ((1, 5, 9, 256), "float32"),
        ((5, 9, 3), "float32"),
        ((45, 9), "int64"),
        ((4, 5, 9, 3), "float32"),
        ((1, 5, 9, 3), "int64"),
        ((1, 0, 9, 3), "float32"),
        ((), "float32"),
        ((1, 2, 5, 9, 3), "float32"),
        ((1, 5, 9, 3), "bool"),
    ],
)
def test_models_that_do_not_segment_are_refused(shape: tuple[int, ...], dtype: str) -> None:
    with pytest.raises(ModelError, match=r"x\.tflite: not a segmentation model"):
        describe(spec((1, 9, 17, 3)), [spec(shape, dtype)], 0, None, "x.tflite", Told(DEEPLAB))


def test_a_missing_file_names_the_command_that_makes_one(tmp_path: Path) -> None:
    assert "convert-model" in refusal(tmp_path / "none.tflite")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_regular_file_is_refused(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "odd.tflite")
    assert "no regular file" in refusal(tmp_path / "odd.tflite")


def test_a_file_as_large_as_no_model_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "big.tflite").open("wb") as file:
        file.truncate(3 << 30)
    assert "3072 MiB" in refusal(tmp_path / "big.tflite")


def test_the_kits_int8_and_float_models_say_the_same(float_model: Path, int8_model: Path) -> None:
    pixels = thirds(240, 320)
    first, second = Segmenter(float_model), Segmenter(int8_model)
    assert (first.card.recipe, second.card.recipe, first.card.input_hw) == ("float32", "int8", (65, 129))
    logits = first.engine.invoke(first.preprocess(pixels))[0]
    assert np.array_equal(first(pixels).ids, Upsample(logits.shape[:2], (240, 320))(logits))
    assert second(pixels).ids.shape == (240, 320)


def test_a_third_party_model_without_a_card(shared: Callable[[str], Path]) -> None:
    segment = Segmenter(shared("models/coral_deeplab_slim_cityscapes_uint8.tflite"))
    assert (segment.card.norm, segment.card.output, segment.card.input_hw) == (DEEPLAB, "labels", (513, 513))
    picture = cv2.imread(str(shared("images/cityscapes_segmentation.bmp")))[..., ::-1]
    mask = cv2.imread(str(shared("images/cityscapes_segmentation_mask.bmp")), cv2.IMREAD_UNCHANGED)
    ids = segment(picture).ids
    assert ids.shape == mask.shape[:2]
    assert np.mean(ids == (mask if mask.ndim == 2 else mask[..., 0])) > 0.9


def test_a_third_party_float_model_needs_its_normalisation(shared: Callable[[str], Path]) -> None:
    path = shared("models/tfhub_deeplab_mnv3large_cityscapes_1025x2049.tflite")
    refusal(path)
    engine = open_engine(path.read_bytes(), path.name)
    assert describe(engine.input, engine.outputs, 0, None, path.name, Told(DEEPLAB)).card.classes == CITYSCAPES
