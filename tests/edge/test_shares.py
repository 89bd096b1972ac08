from __future__ import annotations

import numpy as np
import pytest

from edge.classes import ClassSet
from edge.data import IGNORE, LabelMap
from edge.errors import UsageError
from edge.shares import Polygon, label_shares, region_shares

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


def test_a_triangle_has_the_shares_that_geometry_says() -> None:
    """A triangle over the whole width with its tip in the upper middle: half of it lies left of the middle."""
    shares = region_shares(halves(300, 401), CLASSES, {"cone": [(0.0, 1.0), (0.5, 0.0), (1.0, 1.0)]})
    assert shares["cone"]["road"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("polygon", "words"),
    [
        ([(0.0, 0.0), (1.0, 1.0)], "expected three corners (x, y) or more, got 2"),
        ([(0.0, 0.0), (1.0, 1.0), (2.0, 0.0)], "expected corners (x, y) from 0 to 1, got (2.0, 0.0)"),
        ([(0.0, 0.0), (1.0, 1.0), (float("nan"), 0.0)], "expected corners (x, y) from 0 to 1, got (nan, 0.0)"),
    ],
)
def test_what_is_no_region_is_refused_by_name(polygon: Polygon, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        region_shares(halves(), CLASSES, {"door": polygon})
    assert str(caught.value) == f"region 'door': {words}"
