from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.card import Card, attach
from edge.classes import VOC, ClassSet, guess
from edge.data import TensorSpec
from edge.errors import ModelError, UsageError
from edge.model_outputs import Reading, interpret, reader
from edge.preprocess import DEEPLAB
from edge.segmenter import Segmenter

small_models = pytest.importorskip("small_models")

Saved = Callable[[bytes], Path]
SINGLE_SHAPES = [(1, 9, 17), (9, 17), (1, 9, 17, 1), (1, 1, 9, 17)]


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    def save(model: bytes) -> Path:
        path = tmp_path / "own.tflite"
        path.write_bytes(model)
        return path

    return save


@pytest.fixture(params=["litert", "openvino"])
def runtime(request: pytest.FixtureRequest) -> str:
    if request.param == "openvino":
        pytest.importorskip("openvino")
    return str(request.param)


def thirds() -> np.ndarray:
    """Red, green and blue, from left to right."""
    pixels = np.full((9, 17, 3), 40, np.uint8)
    for channel in range(3):
        pixels[:, channel * 6 : (channel + 1) * 6, channel] = 200
    return pixels


def labelled(path: Path, runtime: str = "litert", **options: Any) -> list[int]:
    """The labels in the middle of each third."""
    return [int(label) for label in Segmenter(path, norm=DEEPLAB, runtime=runtime, **options)(thirds()).ids[4, 3::6]]


def spec(shape: Sequence[int], dtype: str = "float32", **others: Any) -> TensorSpec:
    return TensorSpec(
        "t", tuple(shape), np.dtype(dtype), *(others.pop(key, 0) for key in ("scale", "zero_point")), **others
    )


@pytest.mark.parametrize("make", ["channels_first", "channels_first_throughout"])
def test_channels_may_come_first(saved: Saved, runtime: str, make: str) -> None:
    path = saved(getattr(small_models, make)())
    assert labelled(path, runtime) == [0, 1, 2]
    assert "(1, 3, 9, 17) is read as 3 classes of 9x17" in " ".join(Segmenter(path, norm=DEEPLAB).assumed)


def test_scores_with_channels_first_are_upsampled_like_others(saved: Saved) -> None:
    first, last = (
        Segmenter(saved(model), norm=DEEPLAB) for model in (small_models.channels_first(), small_models.several("s"))
    )
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    assert np.array_equal(first(pixels).ids, last(pixels).ids)


@pytest.mark.parametrize(
    ("shape", "input_hw", "expected"),
    [
        ((1, 19, 64, 128), (64, 128), ((64, 128), 19, True)),
        ((1, 19, 33, 65), (513, 1025), ((33, 65), 19, True)),
        ((1, 21, 33, 33), (513, 513), ((33, 33), 21, True)),
        ((1, 33, 65, 19), (513, 1025), ((33, 65), 19, False)),
        ((1, 64, 128, 300), (64, 128), None),
        ((1, 300, 64, 128), (64, 128), None),
        ((1, 10, 4, 91), (300, 300), None),
    ],
)
def test_where_the_channels_are_shows_in_the_inputs_shape(
    shape: tuple[int, ...], input_hw: tuple[int, int], expected: tuple[Any, ...] | None
) -> None:
    if expected is None:
        with pytest.raises(ModelError, match="2 to 255 classes"):
            interpret(spec(shape), input_hw, "x")
    else:
        found = interpret(spec(shape), input_hw, "x")
        assert (found.size_hw, found.classes, found.channels_first) == expected


def test_scores_of_two_meanings_are_refused_until_something_tells() -> None:
    cube, slab = spec((1, 21, 21, 21)), spec((1, 16, 32, 64))
    with pytest.raises(ModelError, match=r"may be 21 classes of 21x21 or 21 of 21x21; convert it"):
        interpret(cube, (321, 321), "x")
    with pytest.raises(ModelError, match=r"may be 64 classes of 16x32 or 16 of 32x64; name its `classes`"):
        interpret(slab, (128, 256), "x")
    assert interpret(slab, (128, 256), "x", classes=64).size_hw == (16, 32)
    assert interpret(slab, (128, 256), "x", classes=16).size_hw == (32, 64)
    by_convolution = spec((1, 21, 21, 21), channels_last=True)
    assert interpret(by_convolution, (321, 321), "x") == Reading("logits", (21, 21), 21)


def test_operators_that_put_channels_last_are_known(
    saved: Saved, tiny_model: Callable[..., bytes], runtime: str
) -> None:
    assert Segmenter(saved(tiny_model()), norm=DEEPLAB, runtime=runtime).engine.output.channels_last
    assert not Segmenter(
        saved(small_models.channels_first()), norm=DEEPLAB, runtime=runtime
    ).engine.output.channels_last


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, "probabilities (its last operator"),
        ({"sigmoid": False}, "logits"),
        ({"dtype": "uint8", "scale": 1 / 256}, "probabilities (its last operator"),
        (
            {"dtype": "int8", "scale": 1 / 255, "zero_point": -128, "sigmoid": False},
            "probabilities (its quantized range",
        ),
        ({"dtype": "int8", "scale": 1 / 64, "zero_point": 3, "sigmoid": False}, "logits"),
    ],
)
@pytest.mark.parametrize("shape", SINGLE_SHAPES)
def test_one_score_per_pixel_makes_two_classes(
    saved: Saved, runtime: str, options: dict[str, Any], kind: str, shape: tuple[int, ...]
) -> None:
    path = saved(small_models.blueness(**options, shape=shape))
    made = Segmenter(path, norm=DEEPLAB, runtime=runtime)
    assert f"taken for {kind}" in " ".join(made.assumed)
    assert (made.card.output, made.card.classes.names) == ("logits", ("class 0", "class 1"))
    assert labelled(path, runtime) == [0, 0, 1]
    pixels = np.repeat(np.arange(0, 255, 15, dtype=np.uint8)[None, :, None], 9, 0).repeat(3, 2)  # blue from -1 to 0.88
    scores = made.engine.invoke(made.preprocess(pixels)).reshape(9, 17).astype(float)
    quantized = made.engine.output
    real = (scores - quantized.zero_point) * quantized.scale if quantized.scale else scores
    assert np.array_equal(made(pixels).ids, real > (0.5 if "probabilities" in kind else 0.0))


@pytest.mark.parametrize("shape", SINGLE_SHAPES)
@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "float32", "float16"]
)
def test_labels_come_in_every_whole_type_and_shape(
    saved: Saved, runtime: str, dtype: str, shape: tuple[int, ...]
) -> None:
    assert labelled(saved(small_models.strongest(dtype, shape=shape)), runtime) == [0, 1, 2]


def test_a_mask_of_truth_values_has_two_labels(saved: Saved) -> None:
    assert labelled(saved(small_models.strongest("bool"))) == [0, 1, 1]


def test_quantized_labels_are_what_their_scale_says() -> None:
    stored = spec((1, 1, 3), "int8", scale=0.5, zero_point=-10, values="ids")
    read = reader(interpret(stored, (1, 3), "x"), stored, "x", 4, guessed=False)
    assert read(np.array([[[-10, -8, -4]]], np.int8)).tolist() == [[[0, 1, 3]]]


def labels(classes: int, *, dtype: str = "int64", guessed: bool = False) -> Callable[[np.ndarray], np.ndarray]:
    shaped = spec((1, 1, 4), dtype, values="ids")
    return reader(interpret(shaped, (1, 4), "x.tflite"), shaped, "x.tflite", classes, guessed)


def test_negative_labels_and_the_largest_are_ignored_pixels() -> None:
    narrow, wide = labels(5)(np.array([[[-1, 255, 4, 0]]])), labels(300)(np.array([[[-1, 65535, 255, 299]]]))
    assert (narrow.dtype, narrow.tolist()) == (np.uint8, [[[255, 255, 4, 0]]])
    assert (wide.dtype, wide.tolist()) == (np.uint16, [[[65535, 65535, 255, 299]]])


def test_labels_of_a_byte_are_not_copied() -> None:
    bytes_ = np.array([[[0, 1, 2, 3]]], np.uint8)
    assert labels(4, dtype="uint8")(bytes_) is bytes_ or np.shares_memory(labels(4, dtype="uint8")(bytes_), bytes_)


@pytest.mark.parametrize(
    ("values", "guessed", "found"),
    [
        (
            [0, 20, 57, 57],
            True,
            r"3 of 4 pixels have 2 labels that stand for no class \(20, 57\): 19 classes were guessed",
        ),
        ([0, 1, 2, 300], False, r"1 of 4 pixels have 1 label that stands for no class \(300\): 19 classes are named"),
        ([256, 511, 767, 1023], False, r"4 of 4 pixels have 4 labels that stand for no class \(256, 511, 767, 1023\)"),
    ],
)
def test_labels_beyond_the_names_are_an_error_that_counts_them(values: list[int], guessed: bool, found: str) -> None:
    with pytest.raises(ModelError, match=rf"x\.tflite: {found}.*0 to 18; name all of the model's `classes`"):
        labels(19, guessed=guessed)(np.array([[values]]))


@pytest.mark.parametrize("odd", [0.5, np.nan, np.inf, -np.inf])
def test_labels_that_are_no_whole_numbers_are_refused(odd: float) -> None:
    with pytest.raises(ModelError, match="expected labels, which are whole numbers"):
        labels(19, dtype="float32")(np.array([[[0, 1, odd, 2]]], np.float32))


def test_a_model_with_hundreds_of_labels_is_right_where_they_are_named(saved: Saved, runtime: str) -> None:
    path = saved(small_models.strongest("int32", times=149))
    with pytest.raises(ModelError, match=r"\(149, 298\): 19 classes were guessed"):
        labelled(path, runtime)
    assert labelled(path, runtime, classes=guess(299)) == [0, 149, 298]
    assert Segmenter(path, norm=DEEPLAB, classes=guess(299))(thirds()).ids.dtype == np.uint16


def test_the_only_scores_among_outputs_are_taken_and_a_name_takes_another(
    saved: Saved, tiny_model: Callable[..., bytes], runtime: str
) -> None:
    path = saved(tiny_model(output="both"))
    made = Segmenter(path, norm=DEEPLAB, runtime=runtime)
    assert (made.engine.output.name, made.card.output) == ("scores", "logits")
    assert "of its 2 outputs scores is read, not labels; `output_tensor` names another" in made.assumed
    assert labelled(path, runtime) == [0, 1, 2]
    for named in ("labels", "1"):
        other = Segmenter(path, norm=DEEPLAB, runtime=runtime, output_tensor=named)
        assert (other.engine.output.name, other.card.output) == ("labels", "labels")
        assert labelled(path, runtime, output_tensor=named) == [0, 1, 2]


def test_of_several_scores_one_must_be_named(saved: Saved, runtime: str) -> None:
    path = saved(small_models.several("main", b"aux\xff"))
    with pytest.raises(ModelError, match=r"2 outputs \(main .*aux\\xff .*; name one of them: `output_tensor`"):
        Segmenter(path, norm=DEEPLAB, runtime=runtime)
    x = np.ones((1, 9, 17, 3), np.float32)
    for place, name in enumerate(("main", r"aux\xff"), start=1):
        made = Segmenter(path, norm=DEEPLAB, runtime=runtime, output_tensor=name)
        assert made.engine.invoke(x).max() == place
    with pytest.raises(UsageError, match=r"`output_tensor`: .*expected one of main, aux\\xff, got 'nope'"):
        Segmenter(path, norm=DEEPLAB, runtime=runtime, output_tensor="nope")


def test_a_byte_without_a_scale_takes_pixels_as_they_are(saved: Saved, tiny_model: Callable[..., bytes]) -> None:
    path = saved(tiny_model("uint8"))
    for norm in (None, DEEPLAB):
        made = Segmenter(path, norm=norm)
        assert np.array_equal(made.preprocess(thirds())[0], thirds())
        assert (made.card.norm.mean, made.card.norm.std) == (0.0, 1.0)
    assert "its uint8 input has no scale: pixels go in as they are" in made.assumed


def test_names_are_a_guess_until_somebody_says_them(saved: Saved) -> None:
    path = saved(small_models.strongest())
    made = Segmenter(path, norm=DEEPLAB)
    assert not made.names_known
    assert "Cityscapes are a guess; `classes` names them" in " ".join(made.assumed)
    told = Segmenter(path, norm=DEEPLAB, classes=VOC)
    assert (told.names_known, told.assumed) == (True, ())
    rgb = ClassSet(("red", "green", "blue"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)))
    card = Card("tiny", "float32", (9, 17), 1, DEEPLAB, "labels", rgb)
    carded = Segmenter(saved(attach(path.read_bytes(), card)))
    assert (carded.names_known, carded.assumed) == (True, ())
