from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edge import preprocess
from edge.data import TensorSpec
from edge.preprocess import DEEPLAB, Normalisation, Preprocess, by_channel, lookup, resize

SIDES = st.integers(1, 40)
UNIT = Normalisation(0.0, 255.0)
IMAGENET = Normalisation((123.15, 115.9, 103.06), 1.0)  # of ResNet backbones
BOTH = Normalisation((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)


def spec(dtype: str, scale: float = 0.0, zero_point: int = 0, size_hw: tuple[int, int] = (9, 17)) -> TensorSpec:
    return TensorSpec("picture", (1, *size_hw, 3), np.dtype(dtype), scale, zero_point)


def align_corners(pixels: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Bilinear, source = target * (in - 1) / (out - 1), in float64 and pixel by pixel."""
    out = pixels.astype(np.float64)
    for axis, size in enumerate(size_hw):
        sides = out.shape[axis]
        at = np.arange(size) * ((sides - 1) / (size - 1) if size > 1 else 0.0)
        lower = np.minimum(at.astype(int), sides - 1)
        upper = np.minimum(lower + 1, sides - 1)
        weight = (at - lower).reshape([-1 if a == axis else 1 for a in range(3)])
        out = out.take(lower, axis) * (1 - weight) + out.take(upper, axis) * weight
    return out


@pytest.fixture(params=[True, False] if preprocess.WARPS_EXACTLY else [False], ids=lambda exact: f"warps {exact}")
def warps_exactly(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What OpenCV 4 needs works with OpenCV 5 too."""
    monkeypatch.setattr(preprocess, "WARPS_EXACTLY", request.param)


@pytest.mark.usefixtures("warps_exactly")
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SIDES, SIDES, SIDES, SIDES)
@example(1, 1, 3, 4)
@example(1, 7, 5, 1)
@example(40, 3, 1, 1)
@example(2, 40, 1, 39)
def test_resize_is_align_corners_rounded(height: int, width: int, out_h: int, out_w: int) -> None:
    pixels = noise(height, width)
    small = resize(pixels, (out_h, out_w))
    assert (small.shape, small.dtype, small.flags.c_contiguous) == ((out_h, out_w, 3), np.uint8, True)
    assert np.abs(small - align_corners(pixels, (out_h, out_w))).max() <= 0.51


@pytest.mark.usefixtures("warps_exactly")
def test_resize_is_as_exact_on_a_camera_frame() -> None:
    pixels = noise(720, 1280)
    assert np.abs(resize(pixels, (513, 1025)) - align_corners(pixels, (513, 1025))).max() <= 0.55


@pytest.mark.parametrize("view", [np.s_[:, :, ::-1], np.s_[::-1], np.s_[::2, ::3], np.s_[:, ::-1]])
def test_any_view_of_a_picture_is_resized_into_a_contiguous_one(view: tuple[slice, ...]) -> None:
    pixels = noise(40, 60)[view]
    for size_hw in (pixels.shape[:2], (33, 17)):
        small = resize(pixels, size_hw)
        assert small.flags.c_contiguous
        assert np.array_equal(small, resize(pixels.copy(), size_hw))


def test_the_same_size_stays_as_it_is() -> None:
    assert np.array_equal(resize(noise(20, 30), (20, 30)), noise(20, 30))


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("size_hw", "out_hw"), [((72, 128), (51, 103)), ((33, 65), (65, 129)), ((1, 9), (5, 1)), ((9, 1), (1, 4))]
)
def test_resize_is_tensorflows(size_hw: tuple[int, int], out_hw: tuple[int, int]) -> None:
    from convert.tensorflow import tf

    pixels = noise(*size_hw)
    expected = tf.compat.v1.image.resize_bilinear(pixels[None], out_hw, align_corners=True).numpy()[0]
    assert np.abs(resize(pixels, out_hw) - expected).max() <= 0.51


@pytest.mark.parametrize("scale", [1 / 127.5, float(np.float32(1 / 127.5))])
@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", -1), ("int8", 0), ("uint8", 127), ("uint8", 128)])
def test_deeplabs_grey_levels_do_not_merge_when_quantized(dtype: str, zero_point: int, scale: float) -> None:
    table = lookup(spec(dtype, scale, zero_point), DEEPLAB)
    steps = np.diff(table.astype(int))
    assert table.dtype == dtype
    assert len(set(table.tolist())) >= 255
    assert set(steps.tolist()) <= {0, 1}
    assert np.abs(scale * (table.astype(float) - zero_point) - (np.arange(256) / 127.5 - 1)).max() <= scale * 1.01


def test_the_usual_int8_input_stores_the_grey_level_itself() -> None:
    assert lookup(spec("int8", float(np.float32(1 / 127.5)), -1), DEEPLAB).tolist() == list(range(-128, 128))


def test_plain_grey_levels_fit_int8_at_its_lowest_zero_point() -> None:
    assert lookup(spec("int8", 1 / 255, -128), UNIT).tolist() == list(range(-128, 128))


@pytest.mark.parametrize(("dtype", "low", "high"), [("int8", -128, 127), ("uint8", 0, 255)])
def test_levels_beyond_the_tensors_range_are_clipped(dtype: str, low: int, high: int) -> None:
    table = lookup(spec(dtype, 1 / 255, (low + high + 1) // 2), DEEPLAB)
    assert (table[0], table[-1]) == (low, high)
    assert (np.diff(table.astype(int)) >= 0).all()


def test_float_inputs_get_the_normalised_value() -> None:
    table = lookup(spec("float32"), DEEPLAB)
    assert table.dtype == np.float32
    assert np.abs(table - (np.arange(256) / 127.5 - 1)).max() < 1e-7
    assert (table[0], table[255]) == (-1, 1)


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point"), [("float32", 0, 0), ("int8", 1 / 127.5, -1), ("uint8", 1 / 127.5, 128)]
)
def test_a_picture_becomes_the_models_input(dtype: str, scale: float, zero_point: int) -> None:
    made = spec(dtype, scale, zero_point)
    pixels = noise(45, 80)
    for view in (pixels, pixels[..., ::-1], resize(pixels, (9, 17))[..., ::-1]):
        x = Preprocess(made, DEEPLAB)(view)
        assert (x.shape, x.dtype) == ((1, 9, 17, 3), np.dtype(dtype))
        assert np.array_equal(x[0], lookup(made, DEEPLAB)[resize(view, (9, 17))])


@pytest.mark.parametrize("norm", [IMAGENET, BOTH])
@pytest.mark.parametrize(("dtype", "zero_point"), [("float32", 0), ("int8", -5), ("uint8", 123)])
def test_each_channel_gets_its_own_mean_and_deviation(dtype: str, zero_point: int, norm: Normalisation) -> None:
    low, high = norm.limits
    made = spec(dtype, (high - low) / 255 if dtype != "float32" else 0.0, zero_point)
    pixels = noise(9, 17)
    real = (pixels - np.array(norm.mean)) / np.array(norm.std)
    assert (real.min(), real.max()) >= (low, 0)
    assert real.max() <= high
    for fit in ("stretch", "pad"):
        x = Preprocess(made, norm, fit)(pixels)  # type: ignore[arg-type]
        assert (x.shape, x.dtype) == ((1, 9, 17, 3), np.dtype(dtype))
        stored = x[0].astype(np.float64)
        if dtype == "float32":
            assert np.abs(stored - real).max() <= 1e-4
            continue
        clipped = (stored == np.iinfo(dtype).min) | (stored == np.iinfo(dtype).max)
        assert clipped.mean() < 0.05
        assert np.abs(made.scale * (stored - zero_point) - real)[~clipped].max() <= made.scale * 0.51


def test_channels_that_are_alike_are_one_number() -> None:
    """So that they keep the fast way, and cards that older readers know."""
    assert by_channel((127.5,) * 3, (127.5,) * 3) == DEEPLAB
    assert by_channel(IMAGENET.mean, (1.0,) * 3) == IMAGENET  # type: ignore[arg-type]
    assert lookup(spec("int8", 1 / 127.5, -1), by_channel((127.5,) * 3, (127.5,) * 3)).shape == (256,)
    assert (str(DEEPLAB), str(IMAGENET)) == ("(pixel - 127.5) / 127.5", "(pixel - (123.15, 115.9, 103.06)) / 1")


def test_pictures_of_changing_size_do_not_leave_traces_in_each_other() -> None:
    preprocess = Preprocess(spec("int8", 1 / 127.5, -1), DEEPLAB)
    sizes = ((45, 80), (30, 20), (9, 17), (45, 80))
    kept = [preprocess(noise(*size)) for size in sizes]
    for size, x in zip(sizes, kept, strict=True):
        assert np.array_equal(x, Preprocess(spec("int8", 1 / 127.5, -1), DEEPLAB)(noise(*size)))
    before = noise(9, 17)
    preprocess(before)[...] = 0
    assert np.array_equal(before, noise(9, 17)), "a picture of the model's size is not written to"
