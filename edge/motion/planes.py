"""Holds a label map as few soft pictures, which can be moved, fitted to a frame and enlarged like any picture.

The classes in view are numbered, and each bit of the numbers is one picture: where two classes meet, all bits in which
they differ change along the same line, whatever is done to the pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data import Ids
from edge.motion.flow import Grey, Places, moved

HW = tuple[int, int]
_TOGETHER = 4  # pictures to an array: OpenCV moves no more channels at once
_FINE_PX = 960  # label maps with a longer side than this are made at half their size, which nobody sees
_SIDE_PX = 7  # of the neighbourhood that decides where an edge is, in pixels of the small frame
_EVEN = 6.5  # variance of grey levels below which a neighbourhood has no edge


@dataclass(frozen=True, slots=True)
class Planes:
    """A label map, small and soft."""

    groups: tuple[NDArray[np.uint8], ...]  # (h, w, 1 to 4) each, 0 to 255: how much of a pixel has this bit
    table: Ids  # (numbers,), the class of each number


def moving_hw(size_hw: HW) -> HW:
    """Returns the size at which labels of frames of a size are moved: where these are large, half of it."""
    step = 2 if max(size_hw) >= _FINE_PX else 1
    return -(-size_hw[0] // step), -(-size_hw[1] // step)


def split(ids: Ids, size_hw: HW) -> Planes:
    """Returns label ids (H, W) as planes of another size."""
    if max(ids.shape) >= _FINE_PX:
        ids = np.ascontiguousarray(ids[::2, ::2])
    present, numbers = _numbered(ids)
    bits = max(1, (len(present) - 1).bit_length())
    planes = [_plane(numbers, bit, size_hw) for bit in range(bits)]
    table = np.zeros(1 << bits, ids.dtype)
    table[: len(present)] = present
    # Numbers that no class has come up where three classes meet; without their highest bit they name one.
    table[len(present) :] = table[np.arange(len(present), 1 << bits) - (1 << (bits - 1))]
    groups = (np.dstack(planes[first : first + _TOGETHER]) for first in range(0, bits, _TOGETHER))
    return Planes(tuple(groups), table)


def moved_planes(planes: Planes, places: Places) -> Planes:
    """Returns planes that have at each pixel what they had at its place."""
    return replace(planes, groups=tuple(_with_channels(moved(group, places)) for group in planes.groups))


def snapped(planes: Planes, grey: Grey) -> Planes:
    """Returns planes whose edges lie where the frame, of the same size, has its own.

    Each is the guided filter of He, Sun and Tang (2013): near every pixel the plane is what follows best from grey.
    """
    mean = _box(grey)
    squares = cv2.sqrBoxFilter(grey, cv2.CV_32F, (_SIDE_PX, _SIDE_PX))
    variance = cv2.subtract(squares, cv2.multiply(mean, mean))
    steepness = np.reciprocal(np.maximum(variance, 0) + np.float32(_EVEN))
    return replace(planes, groups=tuple(_guided(group, grey, mean, steepness) for group in planes.groups))


def ids_of(planes: Planes, size_hw: HW) -> Ids:
    """Returns the label ids, (H, W) in the dtype that they had."""
    height, width = moving_hw(size_hw)
    channels = [channel for group in planes.groups for channel in cv2.split(group)]
    numbers: Ids = np.zeros((height, width), np.uint8 if len(channels) <= 8 else np.uint16)
    for bit, channel in enumerate(channels):
        fine = cv2.resize(channel, (width, height), interpolation=cv2.INTER_LINEAR)
        _, has = cv2.threshold(fine.astype(numbers.dtype, copy=False), 127, 1 << bit, cv2.THRESH_BINARY)
        cv2.bitwise_or(numbers, has, dst=numbers)
    ids = _looked_up(numbers, planes.table)
    return ids if ids.shape == size_hw else _doubled(ids, size_hw)


def _numbered(ids: Ids) -> tuple[Ids, Ids]:
    """The classes in view, the largest first, and the map with their places in that list instead.

    Large ones share few bits then, and what is small and thin mostly differs from what is behind it in one.
    """
    counts = np.bincount(ids.ravel())
    present = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    table = np.zeros(256 if ids.dtype == np.uint8 else len(counts), ids.dtype)
    table[present] = np.arange(len(present))
    return present.astype(ids.dtype), _looked_up(ids, table)


def _plane(numbers: Ids, bit: int, size_hw: HW) -> NDArray[np.uint8]:
    has = (((numbers >> numbers.dtype.type(bit)) & numbers.dtype.type(1)) * numbers.dtype.type(255)).astype(np.uint8)
    return np.asarray(cv2.resize(has, size_hw[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _guided(group: NDArray[np.uint8], grey: Grey, mean: Any, steepness: Any) -> NDArray[np.uint8]:
    wide, mean, steepness = (cv2.merge([one] * group.shape[2]) for one in (grey, mean, steepness))
    offset, slope = _box(group), _box(cv2.multiply(group, wide, dtype=cv2.CV_32F))
    slope = cv2.multiply(cv2.subtract(slope, cv2.multiply(offset, mean)), steepness)
    offset = _box(cv2.subtract(offset, cv2.multiply(slope, mean)))
    slope = cv2.multiply(_box(slope), wide, dtype=cv2.CV_32F)
    return np.asarray(_with_channels(cv2.add(slope, offset, dtype=cv2.CV_8U)), np.uint8)  # rounded, 0 to 255


def _box(picture: Any) -> Any:
    """The mean around each pixel, float32."""
    return cv2.boxFilter(picture, cv2.CV_32F, (_SIDE_PX, _SIDE_PX))


def _with_channels(picture: Any) -> Any:
    """OpenCV leaves a single channel's axis out."""
    return picture if picture.ndim == 3 else picture[..., None]


def _looked_up(ids: Ids, table: Ids) -> Ids:
    if ids.dtype == np.uint8 and table.dtype == np.uint8:
        whole = np.zeros(256, np.uint8)
        whole[: len(table)] = table
        return np.asarray(cv2.LUT(ids, whole), np.uint8)
    return table.take(ids)


def _doubled(ids: Ids, size_hw: HW) -> Ids:
    """Every pixel twice in both directions, cut to a size: two at once as one number of twice the width."""
    pair = np.dtype(f"u{2 * ids.dtype.itemsize}")
    twice = np.multiply(ids, (1 << 8 * ids.dtype.itemsize) + 1, dtype=pair)
    return np.ascontiguousarray(np.repeat(twice, 2, axis=0).view(ids.dtype)[: size_hw[0], : size_hw[1]])
