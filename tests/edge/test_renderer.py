import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.classes import CITYSCAPES, VOC, ClassSet, guess, spread_colours
from edge.controls import Controls
from edge.errors import UsageError
from edge.renderer import Renderer, printable

ROAD, SKY, CAR = 0, 10, 13
RNG = np.random.default_rng(7)


def picture(height: int, width: int) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), np.uint8)


def bare(view: str = "overlay", alpha: float = 0.5) -> Renderer:
    return Renderer(CITYSCAPES, Controls(view, alpha), legend=False, hud=False)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_overlay_blends_every_class_colour_with_its_weight(alpha):
    pixels, ids = picture(60, 80), RNG.integers(0, 19, (60, 80), np.uint8)
    colours = np.array(CITYSCAPES.colours, np.float64)[ids]
    expected = (1 - alpha) * pixels + alpha * colours
    assert np.abs(bare(alpha=alpha)(pixels, ids) - expected).max() <= (0.5 if alpha == 0.5 else 1)


@pytest.mark.parametrize("alpha", [0.4, 0.5])
def test_large_pictures_are_painted_as_their_parts_are(alpha):
    pixels, ids = picture(700, 900), RNG.integers(0, 20, (700, 900), np.uint8)
    ids[ids == 19] = 255
    whole, parts = bare(alpha=alpha)(pixels, ids), bare(alpha=alpha)
    for top in range(0, 700, 70):
        rows = slice(top, top + 70)
        assert np.array_equal(whole[rows], parts(pixels[rows], ids[rows]))


def test_overlay_leaves_ignored_pixels_untouched():
    pixels, ids = picture(40, 50), np.full((40, 50), ROAD, np.uint8)
    ids[:, 20:] = 255
    shown = bare()(pixels, ids)
    assert np.array_equal(shown[:, 20:], pixels[:, 20:])
    assert not np.array_equal(shown[:, :20], pixels[:, :20])


def test_overlay_does_not_darken_the_background():
    pixels, ids = picture(40, 50), np.zeros((40, 50), np.uint8)
    ids[:, 20:] = 1
    shown = Renderer(VOC, Controls(), legend=False, hud=False)(pixels, ids)
    assert np.array_equal(shown[:, :20], pixels[:, :20])
    assert not np.array_equal(shown[:, 20:], pixels[:, 20:])


def test_mask_is_the_colour_table():
    ids = np.array([[ROAD, SKY, CAR, 255]], np.uint8)
    assert bare("mask")(picture(1, 4), ids)[0].tolist() == [[128, 64, 128], [70, 130, 180], [0, 0, 142], [0, 0, 0]]


@pytest.mark.parametrize("hidden", [frozenset(), frozenset({4, 300})])
def test_hundreds_of_classes_are_painted_as_few_are(hidden):
    few, many = guess(200), guess(400)
    pixels, ids = picture(90, 120), np.sort(RNG.integers(0, 200, (90, 120), np.uint8))
    for view in ("overlay", "mask", "side-by-side"):
        controls = Controls(view, hidden=hidden, boundaries=True)
        narrow, wide = (Renderer(classes, controls, hud=False, legend=False) for classes in (few, many))
        assert np.array_equal(narrow(pixels, ids), wide(pixels, ids.astype(np.uint16)))
    beyond = np.full((90, 120), 399, np.uint16)
    beyond[:, 60:] = 65535
    shown = Renderer(many, Controls("mask"), hud=False)(pixels, beyond)
    assert shown[80, 10].tolist() == list(many.colours[399])
    assert shown[80, 100].tolist() == [0, 0, 0]
    assert not np.array_equal(shown[:40, :60], np.broadcast_to(many.colours[399], (40, 60, 3))), "no legend"


def test_side_by_side_is_the_picture_left_of_the_mask():
    pixels, ids = picture(30, 40), RNG.integers(0, 19, (30, 40), np.uint8)
    shown = bare("side-by-side")(pixels, ids)
    assert np.array_equal(shown[:, :40], pixels)
    assert np.array_equal(shown[:, 40:], bare("mask")(pixels, ids))


@pytest.mark.parametrize("view", ["overlay", "mask", "side-by-side"])
def test_arguments_stay_untouched_and_results_are_independent(view):
    pixels, ids = picture(240, 320), np.zeros((240, 320), np.uint8)
    before = pixels.copy()
    render = Renderer(CITYSCAPES, Controls(view))
    first = render(pixels, ids, "12 ms")
    kept = first.copy()
    render(np.zeros_like(pixels), np.full_like(ids, SKY), "99 ms")
    assert np.array_equal(pixels, before)
    assert not ids.any()
    assert np.array_equal(first, kept)


def swatch_colours(shown: np.ndarray) -> list[tuple[int, int, int]]:
    """The class colours met while walking down through the swatches of the legend."""
    known = set(CITYSCAPES.colours)
    column = [tuple(pixel) for pixel in shown[: shown.shape[0] // 2, 12].tolist()]
    return [c for i, c in enumerate(column) if c in known and (i == 0 or column[i - 1] != c)]


def test_legend_lists_classes_in_view_largest_first():
    ids = np.full((240, 320), ROAD, np.uint8)
    ids[:100] = SKY
    ids[200:220, :50] = CAR
    pixels = np.full((240, 320, 3), 255, np.uint8)
    shown = Renderer(CITYSCAPES, Controls(alpha=0.0))(pixels, ids)
    assert swatch_colours(shown) == [CITYSCAPES.colours[i] for i in (ROAD, SKY, CAR)]


def test_legend_shows_whole_rows_only():
    ids = RNG.integers(0, 19, (240, 320), np.uint8)
    shown = Renderer(CITYSCAPES, Controls(alpha=0.0))(np.full((240, 320, 3), 255, np.uint8), ids)
    assert 3 < len(swatch_colours(shown)) < 19
    assert (shown[119, :100] == 255).all() or (shown[119, :100] == shown[119, 0]).all(), "a row is cut in two"


def test_nothing_in_view_needs_no_legend():
    pixels = picture(240, 320)
    assert np.array_equal(Renderer(CITYSCAPES, Controls())(pixels, np.full((240, 320), 255, np.uint8)), pixels)


def test_a_long_line_is_cut_before_the_edge():
    render = Renderer(CITYSCAPES, Controls("mask"), legend=False)
    shown = render(picture(240, 320), np.full((240, 320), 255, np.uint8), "w" * 200)
    assert shown[:, 160:300].any()
    assert not shown[:, 314:].any()


@pytest.mark.parametrize("size_hw", [(240, 320), (720, 1280), (2160, 3840)])
def test_text_covers_only_the_upper_half_and_legend_the_left(size_hw):
    ids = RNG.integers(0, 19, size_hw, np.uint8)
    pixels = np.full((*size_hw, 3), 200, np.uint8)
    changed = (Renderer(CITYSCAPES, Controls(alpha=0.0))(pixels, ids, "15.2 fps") != pixels).any(axis=2)
    height, width = size_hw
    assert changed.any()
    assert not changed[height // 2 :].any()
    assert not changed[height // 6 :, width // 2 :].any()


@pytest.mark.parametrize("height", [240, 720, 2160])
def test_text_grows_with_the_picture(height):
    pixels = np.zeros((height, height * 4 // 3, 3), np.uint8)
    shown = Renderer(CITYSCAPES, Controls(alpha=0.0), legend=False)(pixels, np.zeros(pixels.shape[:2], np.uint8), "HH")
    rows = np.flatnonzero(shown.max(axis=(1, 2)) > 128)
    assert height / 60 <= np.ptp(rows) + 1 <= max(11, height / 40)


def test_percentages_follow_the_shares():
    pixels, ids = np.zeros((240, 320, 3), np.uint8), np.zeros((240, 320), np.uint8)
    render = Renderer(ClassSet(("a", "b"), ((9, 9, 9), (90, 90, 90))), Controls(alpha=0.0))
    ids[:30] = 1
    one = render(pixels, ids)
    ids[:60] = 1
    two = render(pixels, ids)
    ids[:61] = 1
    assert not np.array_equal(one, two)
    assert np.array_equal(two, render(pixels, ids)), "25.0 and 25.4 % read the same"


def test_legend_and_hud_can_be_switched_off():
    pixels, ids = picture(240, 320), np.zeros((240, 320), np.uint8)
    plain = bare()(pixels, ids, "text")
    assert not np.array_equal(Renderer(CITYSCAPES, Controls(), hud=False)(pixels, ids, "text"), plain)
    assert not np.array_equal(Renderer(CITYSCAPES, Controls(), legend=False)(pixels, ids, "text"), plain)
    assert np.array_equal(Renderer(CITYSCAPES, Controls(), legend=False)(pixels, ids, ""), plain)


def test_ids_without_a_class_are_drawn_but_not_listed():
    pixels, ids = picture(240, 320), np.full((240, 320), 77, np.uint8)
    assert not Renderer(CITYSCAPES, Controls("mask"))(pixels, ids).any()


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from(["overlay", "mask", "side-by-side"]),
    st.lists(st.text(min_size=1, max_size=64), min_size=1, max_size=30),
    st.text(max_size=200),
)
def test_any_size_and_any_text_can_be_drawn(height, width, view, names, line):
    classes = ClassSet(tuple(names), ((1, 2, 3),) * len(names))
    ids = RNG.integers(0, 256, (height, width), np.uint8)
    shown = Renderer(classes, Controls(view))(picture(height, width), ids, line)
    assert shown.shape == (height, width * (2 if view == "side-by-side" else 1), 3)
    assert shown.dtype == np.uint8


def test_text_is_made_drawable(monkeypatch):
    monkeypatch.setattr("edge.renderer._DRAWS_UNICODE", False)
    assert printable("Fußgänger\n道路\x1b") == "Fu?ganger ???"
    monkeypatch.setattr("edge.renderer._DRAWS_UNICODE", True)
    assert printable("Fußgänger\n道路\x1b\udcff") == "Fußgänger 道路??"


def test_bad_options_are_refused():
    with pytest.raises(UsageError, match=r"'heatmap'.*overlay, mask, side-by-side"):
        Renderer(CITYSCAPES, Controls("heatmap"))
    for alpha in (-0.1, 1.5, float("nan")):
        with pytest.raises(UsageError, match="alpha"):
            Renderer(CITYSCAPES, Controls(alpha=alpha))


def test_long_names_leave_room_for_the_picture():
    classes = ClassSet(("w" * 64,), ((255, 0, 0),))
    pixels = np.full((240, 320, 3), 200, np.uint8)
    shown = Renderer(classes, Controls(alpha=0.0))(pixels, np.zeros((240, 320), np.uint8))
    assert np.array_equal(shown[:, 165:], pixels[:, 165:])
    assert cv2.countNonZero((shown != pixels).any(axis=2).astype(np.uint8)) > 0


def test_a_changed_control_shows_in_the_next_picture():
    controls = Controls("mask")
    render = Renderer(CITYSCAPES, controls, legend=False, hud=False)
    pixels, ids = picture(30, 40), np.full((30, 40), CAR, np.uint8)
    assert render(pixels, ids)[0, 0].tolist() == [0, 0, 142]
    controls.view, controls.alpha = "overlay", 0.0
    assert np.array_equal(render(pixels, ids), pixels)
    controls.view = "side-by-side"
    assert render(pixels, ids).shape == (30, 80, 3)


def test_hidden_classes_are_neither_painted_nor_listed():
    ids = np.full((240, 320), ROAD, np.uint8)
    ids[:100], ids[200:220] = SKY, CAR
    pixels = np.full((240, 320, 3), 255, np.uint8)
    controls = Controls(hidden=frozenset({ROAD, CAR}))
    shown = Renderer(CITYSCAPES, controls, legend=False)(pixels, ids)
    assert np.array_equal(shown[100:], pixels[100:])
    assert (shown[:100] != 255).any(axis=2).all()
    controls.alpha = 0.0
    assert swatch_colours(Renderer(CITYSCAPES, controls)(pixels, ids)) == [CITYSCAPES.colours[SKY]]
    controls.view = "mask"
    assert not Renderer(CITYSCAPES, controls, legend=False)(pixels, ids)[100:].any()
    assert ids[150, 0] == ROAD, "the labels themselves stay"


@pytest.mark.parametrize("view", ["overlay", "mask"])
@pytest.mark.parametrize("height", [120, 720])
def test_boundaries_outline_the_areas_that_are_painted(view, height):
    ids = np.full((height, 200), ROAD, np.uint8)
    ids[:, 100:], ids[height // 2 :, 150:] = SKY, CAR
    pixels = np.zeros((height, 200, 3), np.uint8)
    controls = Controls(view, boundaries=True)
    render = Renderer(CITYSCAPES, controls, legend=False)
    white = (render(pixels, ids) == 255).all(axis=2)
    assert white[:, 98:102].any(axis=1).all()
    assert white[height // 2 - 2 : height // 2 + 2, 155:].any(axis=0).all()
    assert not white[:, :96].any()
    assert white.sum() <= (height + height // 2 + 50) * (3 if height == 720 else 1)
    controls.hidden = frozenset({SKY, CAR})
    assert not (render(pixels, ids) == 255).all(axis=2)[:, 105:].any(), "no line between two hidden areas"


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 9), (9, 1)])
def test_boundaries_of_the_smallest_pictures(size_hw):
    shown = Renderer(CITYSCAPES, Controls("mask", boundaries=True))(picture(*size_hw), np.zeros(size_hw, np.uint8))
    assert shown.shape == (*size_hw, 3)


@pytest.mark.parametrize(
    "size_hw", [(40, 60), (96, 160), (240, 320), (720, 1280), (1280, 720), (1080, 1920), (60, 900)]
)
@pytest.mark.parametrize("name", ["{}", "a class whose name is as long as files may have it, number {}"])
@pytest.mark.parametrize("count", [2, 19, 150])
def test_the_legend_hides_a_sixth_of_the_picture_at_most(size_hw: tuple[int, int], name: str, count: int) -> None:
    classes = ClassSet(tuple(map(name.format, range(count))), spread_colours(count))
    ids = (np.arange(size_hw[0] * size_hw[1]) % count).reshape(size_hw).astype(np.uint8)
    pixels = np.full((*size_hw, 3), 255, np.uint8)
    for view in ("overlay", "mask", "side-by-side"):
        shown, bare = (
            Renderer(classes, Controls(view, alpha=0.2), legend=legend)(pixels, ids, "") for legend in (True, False)
        )
        rows, columns = np.nonzero((shown != bare).any(axis=2))
        hidden = (np.ptp(rows) + 1) * (np.ptp(columns) + 1) if rows.size else 0
        assert hidden <= ids.size / 6
        assert hidden or min(size_hw) < 96


def test_what_has_no_room_in_the_legend_is_told_in_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr("edge.renderer._stamp", lambda area, text, *place: written.append(text))
    ids = np.zeros((720, 1280), np.uint8)
    ids[:, :560] = np.arange(560) // 14  # fourteen columns each, and class 0 has the rest too
    classes = ClassSet(tuple(f"class {index}" for index in range(40)), spread_colours(40))
    Renderer(classes, Controls())(np.zeros((720, 1280, 3), np.uint8), ids)
    assert written[:2] == ["class 0", "57 %"]
    more, share = written[-2:]
    folded = int(more.removesuffix(" more"))
    assert folded == 40 - (len(written) // 2 - 1)
    assert int(share.removesuffix(" %")) == pytest.approx(folded * 14 / 12.8, abs=1), "counted on every seventh column"
