"""Tells how much of a picture, or of regions of it, each class has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from weakref import WeakValueDictionary

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.classes import ClassSet
from edge.data import Ids, LabelMap
from edge.regions import Corners, Polygon, checked

_DIGITS = 9  # of a pixel: what is written in decimals lies on the middle of a pixel where it should


class Shares:
    """Counts the pixels of a frame's classes in the picture and in `regions`, once for all who ask in one thread.

    Raises UsageError for a region of fewer than three corners, or with a corner outside the picture.
    """

    def __init__(self, classes: ClassSet, regions: Mapping[str, Polygon]) -> None:
        self.classes = classes
        self._areas: tuple[Mapping[str, Corners], tuple[int, int], Mapping[str, _Area]] | None = None
        self.use(regions)
        self._labels: LabelMap | None = None  # those that were counted last
        self._counted: dict[str | None, dict[str, float]] = {}

    @property
    def regions(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._regions)

    def use(self, regions: Mapping[str, Polygon]) -> None:
        """Counts in these regions from the next frame on; any thread may call it. Raises UsageError as above."""
        self._regions: Mapping[str, Corners] = {name: checked(name, polygon) for name, polygon in regions.items()}

    def of(self, labels: LabelMap, region: str | None = None) -> Mapping[str, float]:
        """Returns the share of the picture's pixels, or of a region's, that each class has, as `label_shares` does."""
        if self._labels is not labels:
            self._labels, self._counted = labels, {}
        if region not in self._counted:
            self._counted[region] = self._count(labels.ids, region)
        return self._counted[region]

    def _count(self, ids: Ids, region: str | None) -> dict[str, float]:
        area = None if region is None else self._area(region, (ids.shape[0], ids.shape[1]))
        if area is None:
            counts, whole = class_counts(ids, self.classes), ids.size
        else:
            counts, whole = class_counts(ids[area.rows, area.columns], self.classes, area.mask), area.pixels
        return dict(zip(self.classes.names, (counts.astype(np.float64) / whole).tolist(), strict=True))

    def _area(self, region: str, size_hw: tuple[int, int]) -> _Area:
        regions = self._regions  # another thread may put others there
        if self._areas is None or self._areas[0] is not regions or self._areas[1] != size_hw:
            areas = _areas(tuple(regions.values()), size_hw)
            self._areas = regions, size_hw, dict(zip(regions, areas, strict=True))
        return self._areas[2][region]


def label_shares(labels: LabelMap, classes: ClassSet) -> dict[str, float]:
    """Returns the share of the picture's pixels that each class has, 0..1, by name in the order of ids.

    Ignored pixels count as part of the picture, so that the shares may add up to less than 1.
    """
    return dict(Shares(classes, {}).of(labels))


def region_shares(labels: LabelMap, classes: ClassSet, regions: Mapping[str, Polygon]) -> dict[str, dict[str, float]]:
    """Returns the share of each region's pixels that each class has, 0..1, by the region's name and the class's.

    A pixel belongs to a region where its middle lies within the polygon, or on a line that has the region on its right
    or below it: neighbours share no pixel. A region within which no middle lies is the pixel that has the middle of its
    corners. Regions may overlap; where one crosses itself, what it encloses twice is outside.

    Raises UsageError for a region of fewer than three corners, or with a corner outside the picture.
    """
    shares = Shares(classes, regions)
    return {name: dict(shares.of(labels, name)) for name in shares.regions}


def class_counts(ids: Ids, classes: ClassSet, mask: Ids | None = None) -> NDArray[np.float32]:
    """Returns how many pixels each class has, (classes,); with a mask, of those where it is not 0."""
    values = 1 << 16 if classes.is_wide else 1 << 8
    counts: NDArray[Any] = cv2.calcHist([ids], [0], mask, [values], [0, values])
    return counts.ravel()[: len(classes)]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class _Area:
    """The pixels of a region."""

    rows: slice
    columns: slice
    mask: Ids | None  # 1 in the region, else 0; uint8 of these rows and columns. None where all of them are in it
    pixels: int  # how many are in it, 1 or more


_KNOWN: WeakValueDictionary[tuple[Corners, tuple[int, int]], _Area] = WeakValueDictionary()
"""The areas that `_areas` or anybody else still holds: a set of regions that has one more shares the others."""


@lru_cache(maxsize=4)
def _areas(polygons: tuple[Corners, ...], size_hw: tuple[int, int]) -> tuple[_Area, ...]:
    """Those of all regions that are counted together, so that many of them do not drive each other out."""
    return tuple(_known_area(corners, size_hw) for corners in polygons)


def _known_area(corners: Corners, size_hw: tuple[int, int]) -> _Area:
    area = _KNOWN.get((corners, size_hw))
    if area is None:
        area = _KNOWN[corners, size_hw] = _area(corners, size_hw)
    return area


def _area(corners: Corners, size_hw: tuple[int, int]) -> _Area:
    height, width = size_hw
    at = np.round(np.array(corners) * (width, height) - 0.5, _DIGITS)  # the middles of pixels are whole numbers
    (left, top), (right, bottom) = (np.ceil(end(at, axis=0)).astype(int) for end in (np.min, np.max))
    mask = _within(at - (left, top), (bottom - top, right - left))
    pixels = int(np.count_nonzero(mask))
    if pixels:
        whole = pixels == mask.size
        return _Area(slice(top, bottom), slice(left, right), None if whole else mask, pixels)
    x, y = (
        min(side - 1, int(share * side)) for share, side in zip(np.mean(corners, axis=0), (width, height), strict=True)
    )
    return _Area(slice(y, y + 1), slice(x, x + 1), None, 1)


def _within(at: NDArray[np.float64], size_hw: tuple[int, int]) -> Ids:
    """1 where a whole number (x, y) lies within the polygon, else 0; uint8 of this size.

    By the rule of even and odd: each edge turns over all that is on its right, in the rows from its upper end to before
    its lower one. An edge gives the same whichever region it belongs to.
    """
    height, width = size_hw
    turns = np.zeros((height, width + 1), np.uint8)
    for one, other in zip(at, np.roll(at, -1, axis=0), strict=True):
        (x, y), (end_x, end_y) = sorted((one, other), key=lambda corner: (corner[1], corner[0]))
        rows = np.arange(np.ceil(y), np.ceil(end_y))
        if len(rows):
            crossed = np.round(x + (rows - y) * ((end_x - x) / (end_y - y)), _DIGITS)
            turns[rows.astype(int), np.clip(np.ceil(crossed).astype(int), 0, width)] ^= 1
    mask: Ids = np.bitwise_xor.accumulate(turns, axis=1)[:, :-1]
    mask = np.ascontiguousarray(mask)
    mask.flags.writeable = False
    return mask
