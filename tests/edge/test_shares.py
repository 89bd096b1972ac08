from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from edge import shares as areas
from edge.classes import ClassSet
from edge.data import IGNORE, LabelMap
from edge.errors import UsageError
from edge.regions import Polygon
from edge.shares import Shares, label_shares, region_shares

CLASSES = ClassSet(("road", "person"), ((128, 64, 128), (220, 20, 60)))


def halves(height: int = 60, width: int = 80) -> LabelMap:
    """Road on the left half, a person on the right, and the last column ignored."""
    ids = np.zeros((height, width), np.uint8)
    ids[:, width // 2 :] = 1
    ids[:, -1] = IGNORE
    return LabelMap(ids)


def test_shares_are_of_all_pixels_and_ignored_ones_belong_to_no_class() -> None:
    shares = label_shares(halves(), CLASSES)
    assert list(shares) == ["road", "person"]
    assert shares == pytest.approx({"road": 40 / 80, "person": 39 / 80})


def test_more_than_255_classes_are_counted() -> None:
    many = ClassSet(tuple(map(str, range(300))), ((0, 0, 0),) * 300)
    ids = np.full((4, 5), 299, np.uint16)
    ids[0] = 65535
    shares = label_shares(LabelMap(ids), many)
    assert (shares["299"], sum(shares.values())) == (0.75, 0.75)


def test_regions_count_their_own_pixels() -> None:
    shares = region_shares(
        halves(),
        CLASSES,
        {
            "left": [(0.0, 0.0), (0.4, 0.0), (0.4, 1.0), (0.0, 1.0)],
            "right": [(0.6, 0.2), (0.9, 0.2), (0.9, 0.8), (0.6, 0.8)],
            "point": [(0.1, 0.1), (0.1, 0.1), (0.1, 0.1)],
        },
    )
    assert shares["left"] == {"road": 1.0, "person": 0.0}
    assert shares["right"] == {"road": 0.0, "person": 1.0}
    assert shares["point"] == {"road": 1.0, "person": 0.0}, "of one pixel"


def pixels_of(polygon: Polygon, width: int, height: int) -> set[tuple[int, int]]:
    """The pixels (x, y) of a region, as shares of a picture tell of which every pixel has a class of its own."""
    many = ClassSet(tuple(map(str, range(width * height))), ((0, 0, 0),) * (width * height))
    ids = np.arange(width * height, dtype=np.uint16).reshape(height, width)
    shares = region_shares(LabelMap(ids), many, {"it": polygon})["it"]
    found = {(int(name) % width, int(name) // width) for name, share in shares.items() if share}
    assert [shares[str(y * width + x)] for x, y in found] == pytest.approx([1 / len(found)] * len(found))
    return found


def box(left: float, top: float, right: float, bottom: float) -> Polygon:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


@pytest.mark.parametrize(
    ("polygon", "count"),
    [
        (box(0, 0, 0.5, 1), 30 * 40),
        (box(0.5, 0, 1, 1), 30 * 40),
        (box(0, 0, 1, 1), 60 * 40),
        (box(0, 0, 0.05, 0.05), 3 * 2),
        (box(0.95, 0.95, 1, 1), 3 * 2),
        (box(0.575, 0.7125, 0.775, 0.9375), 12 * 9),
        ([(0, 0), (1, 0), (0, 1)], 30 * 40),
        ([(0.5, 0.5), (0.5, 0.5), (0.5, 0.5)], 1),
        (box(0.501, 0.501, 0.502, 0.502), 1),
    ],
)
def test_a_region_has_exactly_the_pixels_whose_middles_lie_within(polygon: Polygon, count: int) -> None:
    assert len(pixels_of(polygon, 60, 40)) == count
    assert len(pixels_of(polygon[::-1], 60, 40)) == count


def test_a_middle_on_the_line_belongs_to_the_neighbour_on_the_right_or_below() -> None:
    assert len(pixels_of(box(0, 0, 0.5, 1), 61, 1)) == 30
    assert len(pixels_of(box(0.5, 0, 1, 1), 61, 1)) == 31
    assert len(pixels_of(box(0, 0, 1, 0.5), 1, 41)) == 20
    assert len(pixels_of(box(0, 0.5, 1, 1), 1, 41)) == 21
    for column in range(200):  # as decimals and binary fractions have it
        assert len(pixels_of(box(0, 0, (column + 0.5) / 200, 1), 200, 1)) == max(column, 1)


def test_neighbours_share_no_pixel_and_leave_none() -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        middle = tuple(rng.uniform(0.2, 0.8, 2))
        rim = [(x, 0.0) for x in (0, *sorted(rng.uniform(0, 1, 3)))] + [(1.0, 0.0), (1.0, 1.0), (0.3, 1.0), (0.0, 1.0)]
        slices = [pixels_of([middle, one, other], 53, 37) for one, other in pairwise([*rim, rim[0]])]
        assert sum(map(len, slices)) == len(set.union(*slices)) == 53 * 37


def test_any_polygon_has_the_pixels_that_exact_arithmetic_says() -> None:
    rng = np.random.default_rng(4)
    for corners in rng.integers(0, 65, (20, 7, 2)) / 64:
        polygon = [(float(x), float(y)) for x, y in corners]
        assert pixels_of(polygon, 48, 31) == even_odd(polygon, 48, 31), "one that crosses itself, too"


def even_odd(polygon: Polygon, width: int, height: int) -> set[tuple[int, int]]:
    found = set()
    for place in range(width * height):
        x, y = Fraction(2 * (place % width) + 1, 2 * width), Fraction(2 * (place // width) + 1, 2 * height)
        crossed = 0
        for (x0, y0), (x1, y1) in pairwise([*polygon, polygon[0]]):
            if (Fraction(y0) <= y) != (Fraction(y1) <= y):
                slope = (Fraction(x1) - Fraction(x0)) / (Fraction(y1) - Fraction(y0))
                crossed += Fraction(x0) + (y - Fraction(y0)) * slope <= x
        if crossed % 2:
            found.add((place % width, place // width))
    return found


def test_a_frame_is_counted_once_for_all_who_ask() -> None:
    shares, labels = Shares(CLASSES, {"left": box(0, 0, 0.5, 1)}), halves()
    first = dict(shares.of(labels)), dict(shares.of(labels, "left"))
    labels.ids[:] = 1
    assert (shares.of(labels), shares.of(labels, "left")) == first
    assert shares.of(LabelMap(labels.ids), "left") == {"road": 0.0, "person": 1.0}, "the next frame"


def test_regions_that_come_later_are_counted_from_the_next_frame_on() -> None:
    shares, ends = Shares(CLASSES, {"a": box(0, 0, 0.5, 1)}), box(0.5, 0, 1, 1)
    assert shares.of(halves(), "a")["road"] == 1
    shares.use({"a": ends, "b": box(0, 0, 0.5, 1)})
    assert shares.of(halves(), "a")["road"] == 0
    assert shares.of(halves(), "b")["road"] == 1
    with pytest.raises(UsageError, match="region 'c'"):
        shares.use({"c": []})
    assert shares.regions == ("a", "b")


def test_pictures_may_change_their_size() -> None:
    shares = Shares(CLASSES, {"right": box(0.75, 0, 1, 1)})
    for height, width in ((60, 80), (30, 40), (60, 80), (80, 60)):
        assert dict(shares.of(halves(height, width), "right")) == pytest.approx(
            {"road": 0, "person": 1 - 4 / width}, abs=1e-9
        )


def test_one_more_region_lets_the_masks_of_the_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    within = areas._within
    monkeypatch.setattr(areas, "_within", lambda at, size_hw: made.append(at) or within(at, size_hw))
    regions = {str(place): box(0.123, 0.01 * place, 0.456, 1) for place in range(20)}
    shares = Shares(CLASSES, regions)
    shares.of(halves(), "0")
    assert len(made) == 20
    shares.use({**regions, "more": box(0.1, 0.2, 0.3, 0.4), "0": box(0.11, 0.2, 0.3, 0.4)})
    for name in shares.regions:
        shares.of(halves(), name)
    assert len(made) == 22, "the new one, and the one in place of another"
    shares.of(halves(30, 40), "more")
    assert len(made) == 22 + 21, "of another size"


def test_shares_of_all_classes_add_up() -> None:
    """So far that a rule can compare them: a tenth as float32 is off by 1e-9."""
    ids = np.arange(10, dtype=np.uint8).repeat(7).reshape(7, 10)
    ten = ClassSet(tuple(map(str, range(10))), ((0, 0, 0),) * 10)
    assert sum(label_shares(LabelMap(ids), ten).values()) == pytest.approx(1, abs=1e-12)


def test_a_triangle_has_the_shares_that_geometry_says() -> None:
    """A triangle over the whole width with its tip in the upper middle: half of it lies left of the middle."""
    shares = region_shares(halves(300, 401), CLASSES, {"cone": [(0.0, 1.0), (0.5, 0.0), (1.0, 1.0)]})
    assert shares["cone"]["road"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("polygon", "words"),
    [
        ([(0.0, 0.0), (1.0, 1.0)], "expected three corners (x, y) or more, got 2"),
        ([(0.0, 0.0), (1.0, 1.0), (2.0, 0.0)], "expected corners (x, y) from 0 to 1, got (2.0, 0.0)"),
        ([(0.0, 0.0), (1.0, 1.0), (10**400, 0.0)], "expected corners (x, y) from 0 to 1, got (inf, 0.0)"),
        ([(0.0, 0.0), (1.0, 1.0), (float("nan"), 0.0)], "expected corners (x, y) from 0 to 1, got (nan, 0.0)"),
    ],
)
def test_what_is_no_region_is_refused_by_name(polygon: Polygon, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        region_shares(halves(), CLASSES, {"door": polygon})
    assert str(caught.value) == f"region 'door': {words}"
