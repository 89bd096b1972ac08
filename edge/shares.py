"""Tells how much of a picture, or of regions of it, each class has."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import cv2
import numpy as np

from edge.classes import ClassSet
from edge.data import Ids, LabelMap
from edge.regions import Polygon, checked
from edge.renderer import class_counts


def label_shares(labels: LabelMap, classes: ClassSet) -> dict[str, float]:
    """Returns the share of the picture's pixels that each class has, 0..1, by name in the order of ids.

    Ignored pixels count as part of the picture, so that the shares may add up to less than 1.
    """
    return _shares(labels.ids, classes, None)


def region_shares(labels: LabelMap, classes: ClassSet, regions: Mapping[str, Polygon]) -> dict[str, dict[str, float]]:
    """Returns the share of each region's pixels that each class has, 0..1, by the region's name and the class's.

    A pixel belongs to a region where its middle lies within the polygon or on its line; regions may overlap. Raises
    UsageError for a region of fewer than three corners, or with a corner outside the picture.
    """
    masks = {name: _mask(checked(name, polygon), labels.ids.shape) for name, polygon in regions.items()}
    return {name: _shares(labels.ids, classes, mask) for name, mask in masks.items()}


def _shares(ids: Ids, classes: ClassSet, mask: Ids | None) -> dict[str, float]:
    whole = ids.size if mask is None else cv2.countNonZero(mask)
    counts = class_counts(ids, classes, mask)
    return dict(zip(classes.names, (counts / whole).tolist(), strict=True))


@lru_cache(maxsize=64)
def _mask(corners: tuple[tuple[float, float], ...], size_hw: tuple[int, int]) -> Ids:
    """1 within a polygon, else 0; uint8 (H, W). It is not to be written to."""
    height, width = size_hw
    fraction = 8  # bits; corners lie between pixels
    at = np.array(corners) * (width - 1, height - 1) * (1 << fraction)
    mask = np.zeros(size_hw, np.uint8)
    cv2.fillPoly(mask, [np.rint(at).astype(np.int32)], 1, shift=fraction)
    mask.flags.writeable = False
    return mask
