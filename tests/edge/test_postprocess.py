from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.postprocess import Postprocess, nearest
from edge.upsample import Upsample

NODES, PIXELS, CLASSES = st.integers(1, 9), st.integers(1, 40), st.integers(2, 23)
KINDS = st.sampled_from(["float", "smooth", "int8", "uint8", "few", "equal"])


def scores(kind: str, size_hw: tuple[int, int], classes: int, seed: int) -> np.ndarray:
    random, shape = np.random.default_rng(seed), (*size_hw, classes)
    if kind == "float":
        return random.normal(size=shape).astype(np.float32)
    if kind == "smooth":
        return np.cumsum(np.cumsum(random.integers(-3, 4, shape), 0), 1).clip(-128, 127).astype(np.int8)
    if kind == "equal":
        return np.full(shape, random.integers(-128, 128), np.int8)
    if kind == "few":  # ties everywhere
        return random.integers(-2, 3, shape).astype(np.int8)
    return random.integers(np.iinfo(kind).min, np.iinfo(kind).max + 1, shape).astype(kind)


def interpolation(nodes: int, pixels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """compute_interpolation_weights of TensorFlow's resize_bilinear_op.cc, align_corners, in float32."""
    scale = np.float32(nodes - 1) / np.float32(pixels - 1) if pixels > 1 else np.float32(nodes)
    position = np.arange(pixels, dtype=np.float32) * scale
    upper = np.minimum(np.ceil(position).astype(int), nodes - 1)
    return np.minimum(np.floor(position).astype(int), upper), upper, position - np.floor(position)


def upsampled(logits: np.ndarray, out_hw: tuple[int, int]) -> np.ndarray:
    """compute_lerp of the same file: across first, then down."""
    x = logits.astype(np.float32)
    top, bottom, down = interpolation(x.shape[0], out_hw[0])
    left, right, across = interpolation(x.shape[1], out_hw[1])
    across, down = across[None, :, None], down[:, None, None]
    upper = x[top][:, left] + (x[top][:, right] - x[top][:, left]) * across
    lower = x[bottom][:, left] + (x[bottom][:, right] - x[bottom][:, left]) * across
    full: np.ndarray = upper + (lower - upper) * down
    return full


@settings(deadline=None, max_examples=400)
@given(KINDS, NODES, NODES, CLASSES, PIXELS, PIXELS, st.integers(0, 1 << 30))
@example("float", 1, 1, 2, 1, 1, 0)
@example("few", 1, 9, 5, 40, 1, 0)
@example("few", 8, 7, 20, 36, 43, 3)
@example("int8", 9, 9, 23, 3, 2, 0)
def test_labels_are_the_argmax_of_tensorflows_arithmetic(
    kind: str, height: int, width: int, classes: int, out_h: int, out_w: int, seed: int
) -> None:
    logits = scores(kind, (height, width), classes, seed)
    ids = Upsample((height, width), (out_h, out_w))(logits)
    assert ids.dtype == np.uint8
    assert np.array_equal(ids, upsampled(logits, (out_h, out_w)).argmax(axis=2))


@pytest.mark.parametrize("kind", ["float", "smooth", "few"])
@pytest.mark.parametrize(("size_hw", "out_hw"), [((33, 65), (180, 320)), ((17, 33), (257, 513)), ((33, 17), (9, 40))])
def test_labels_of_whole_pictures(kind: str, size_hw: tuple[int, int], out_hw: tuple[int, int]) -> None:
    logits = scores(kind, size_hw, 6, 11)
    assert np.array_equal(Upsample(size_hw, out_hw)(logits), upsampled(logits, out_hw).argmax(axis=2))


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", ["float", "smooth", "few"])
def test_labels_are_tensorflows(kind: str) -> None:
    from convert.tensorflow import tf

    for size_hw, out_hw in (((17, 33), (131, 200)), ((9, 5), (4, 31)), ((1, 4), (7, 1))):
        logits = scores(kind, size_hw, 19, 5)
        full = tf.compat.v1.image.resize_bilinear(logits[None].astype(np.float32), out_hw, align_corners=True)
        assert np.array_equal(Upsample(size_hw, out_hw)(logits), tf.argmax(full, axis=3).numpy()[0])


@pytest.mark.tensorflow
@settings(deadline=None, max_examples=60)
@given(KINDS, NODES, NODES, CLASSES, PIXELS, PIXELS, st.integers(0, 1 << 30))
@example("few", 1, 9, 5, 40, 1, 0)
@example("float", 3, 4, 19, 40, 39, 0)
@example("float", 9, 9, 19, 3, 4, 0)
def test_labels_are_tensorflows_by_the_other_rules(
    kind: str, height: int, width: int, classes: int, out_h: int, out_w: int, seed: int
) -> None:
    from convert.tensorflow import tf

    logits = scores(kind, (height, width), classes, seed)
    for rule, half_pixel in (("half_pixel_centers", True), ("asymmetric", False)):
        full = tf.raw_ops.ResizeBilinear(
            images=logits[None].astype(np.float32), size=(out_h, out_w), half_pixel_centers=half_pixel
        )
        ids = Upsample((height, width), (out_h, out_w), rule=rule)(logits)  # type: ignore[arg-type]
        assert np.array_equal(ids, tf.argmax(full, axis=3).numpy()[0])


@pytest.mark.parametrize("seed", range(20))
def test_a_padded_picture_of_one_row_has_the_labels_of_that_row(seed: int) -> None:
    """A picture so flat that one row of the input is all there is of it."""
    random = np.random.default_rng(seed)
    height, width, out_h, out_w = (int(side) for side in random.integers(2, 30, 4))
    logits = random.normal(size=(height, width, 5)).astype(np.float32)
    ids = Upsample((height, width), (out_h, out_w), ((30, 9), (1, 9)))(logits)
    alone = Upsample((1, width), (1, out_w), ((1, 9), (1, 9)))(logits[:1])
    assert np.array_equal(ids, np.repeat(alone, out_h, axis=0))


def test_rows_above_the_first_node_are_those_of_the_first_node() -> None:
    """Thirds, which float32 does not hold, tie there in truth and not in its arithmetic, or the other way round."""
    random = np.random.default_rng(0)
    for _ in range(400):
        height, width, out_w = (int(side) for side in random.integers(2, 9, 3))
        thirds = (random.integers(-3, 4, (height, width, 2)) / 3).astype(np.float32)
        ids = Upsample((height, width), (30, out_w), rule="half_pixel_centers")(thirds)
        alone = Upsample((1, width), (30, out_w), rule="half_pixel_centers")(thirds[:1])
        assert np.array_equal(ids[0], alone[0])


@pytest.mark.parametrize("rule", ["half_pixel_centers", "asymmetric"])
def test_scores_are_enlarged_to_the_input_by_the_rule_and_from_there_by_corners(rule: str) -> None:
    """A picture comes to the input by align_corners, whatever the graph does to its scores."""
    logits = scores("smooth", (9, 17), 6, 4)
    at_input = Upsample((9, 17), (65, 129), rule=rule)(logits)  # type: ignore[arg-type]
    larger = Postprocess((65, 129), pads=False, rule=rule)(logits[None], (129, 257)).ids  # type: ignore[arg-type]
    assert np.array_equal(larger[::2, ::2], at_input)
    corner = Postprocess((65, 129), rule=rule)(logits[None], (40, 100)).ids  # type: ignore[arg-type]
    assert np.array_equal(corner, at_input[:40, :100])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38, -3e38])
def test_scores_that_are_no_numbers_spoil_only_what_they_touch(bad: float) -> None:
    logits = scores("float", (20, 20), 19, 0)
    spoilt = logits.copy()
    spoilt[5, 5] = bad
    spoilt[5, 5, ::2] *= -1
    upsample = Upsample((20, 20), (191, 191))
    ids, expected = upsample(spoilt), upsample(logits)
    assert ids.max() < 19
    far = np.ones((191, 191), bool)
    far[40:61, 40:61] = False  # ten pixels a cell, node 5 at 50
    assert np.array_equal(ids[far], expected[far])


def test_all_nan_is_labelled_with_some_class() -> None:
    assert Upsample((3, 4), (30, 40))(np.full((3, 4, 7), np.nan, np.float32)).max() < 7


@pytest.mark.tensorflow
@settings(deadline=None, max_examples=100)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 120), st.integers(1, 120))
@example(2, 4, 83, 75)  # float32 misses a half
def test_nearest_is_tensorflows(height: int, width: int, out_h: int, out_w: int) -> None:
    from convert.tensorflow import tf

    ids = np.random.default_rng(height).integers(0, 256, (height, width)).astype(np.uint8)
    expected = tf.compat.v1.image.resize_nearest_neighbor(ids[None, ..., None], (out_h, out_w), align_corners=True)
    assert np.array_equal(nearest(ids, (out_h, out_w)), expected.numpy()[0, ..., 0])


def test_nearest_maps_corners_to_corners() -> None:
    ids = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    assert nearest(ids, (3, 5)).tolist() == [[1, 2, 2, 3, 3], [4, 5, 5, 6, 6], [4, 5, 5, 6, 6]]


def test_every_frame_size_gets_its_own_geometry() -> None:
    logits = scores("int8", (5, 9), 4, 1)
    postprocess = Postprocess()
    for size_hw in ((20, 30), (7, 50), (20, 30)):
        found = postprocess(logits[None], size_hw).ids
        assert np.array_equal(found, upsampled(logits, size_hw).argmax(axis=2))
    smaller = scores("int8", (4, 3), 4, 1)
    assert np.array_equal(postprocess(smaller[None], (20, 30)).ids, upsampled(smaller, (20, 30)).argmax(axis=2))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_label_maps_are_resized_without_new_labels(dtype: type) -> None:
    labels: np.ndarray = np.array([[[0, 18], [7, 254]]], dtype)
    ids = Postprocess()(labels, (2, 4)).ids
    assert (ids.dtype, ids.tolist()) == (dtype, [[0, 0, 18, 18], [7, 7, 254, 254]])
