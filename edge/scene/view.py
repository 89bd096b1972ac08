"""The camera at one moment, and the canvas it paints on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

NEAR_M = 0.7  # nothing closer than this is drawn
SUBPIXEL_BITS = 4

Metres = NDArray[np.float32]
Painted = tuple[int, int, int, int]
"""R, G, B and trainId: one fill paints picture and label alike."""


@dataclass(frozen=True, slots=True)
class Bend:
    """The road's centre line: metres to the right at a distance along the road."""

    amplitude_m: float
    length_m: float
    phase: float

    def at(self, s_m: float) -> float:
        return self.amplitude_m * math.sin(s_m / self.length_m + self.phase)

    def slope(self, s_m: float) -> float:
        return self.amplitude_m / self.length_m * math.cos(s_m / self.length_m + self.phase)


@dataclass(frozen=True, slots=True)
class View:
    """A level pinhole camera that looks along the road; pitch is a shift of the horizon.

    Road coordinates: d metres right of the centre line, y metres above the road, s metres along it.
    """

    size_hw: tuple[int, int]
    focal_px: float
    horizon_px: float
    height_m: float
    d_m: float
    s_m: float
    bend: Bend

    @property
    def smallest_px(self) -> float:
        """Things lower than this are left out: nobody would label them."""
        return 0.009 * self.size_hw[0]

    @property
    def middle_px(self) -> float:
        return self.size_hw[1] / 2

    def centre(self, z_m: float) -> tuple[float, float]:
        """Returns where the centre line lies `z_m` ahead, metres right of the camera's axis, and its slope there."""
        start, heading = self.bend.at(self.s_m), self.bend.slope(self.s_m)
        here = self.bend.at(self.s_m + z_m) - start - heading * z_m - self.d_m
        return here, self.bend.slope(self.s_m + z_m) - heading

    def centres(self, z_m: Metres) -> Metres:
        """Returns `centre` of many distances, without the slopes."""
        start, heading = self.bend.at(self.s_m), self.bend.slope(self.s_m)
        waves = np.sin((self.s_m + z_m) / self.bend.length_m + self.bend.phase)
        return np.asarray(self.bend.amplitude_m * waves - (start + self.d_m) - heading * z_m, np.float32)

    def see(self, points: Metres, d_m: float, s_m: float) -> Metres:
        """Returns points (N, 3) around (d, s) as camera coordinates (N, 3): right, down, ahead."""
        z_m = s_m - self.s_m
        here, slope = self.centre(z_m)
        seen = np.empty_like(points)
        seen[:, 2] = points[:, 2] + z_m
        seen[:, 0] = points[:, 0] + points[:, 2] * slope + (here + d_m)
        seen[:, 1] = self.height_m - points[:, 1]
        return seen

    def project(self, seen: Metres) -> NDArray[np.int32]:
        """Projects camera coordinates (..., 3) to pixels (..., 2) with `SUBPIXEL_BITS` fractional bits."""
        pixels = seen[..., :2] * (self.focal_px / seen[..., 2:])
        pixels += (self.middle_px - 0.5, self.horizon_px - 0.5)
        placed: NDArray[np.int32] = np.rint(pixels * (1 << SUBPIXEL_BITS)).astype(np.int32)
        return placed


def clip_near(polygon: Metres) -> Metres:
    """Returns the part of a convex polygon (n, 3) ahead of the near plane; fewer than 3 corners where none is."""
    kept = []
    for here, following in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if here[2] >= NEAR_M:
            kept.append(here)
        if (here[2] >= NEAR_M) != (following[2] >= NEAR_M):
            kept.append(here + (following - here) * ((NEAR_M - here[2]) / (following[2] - here[2])))
    return np.array(kept, np.float32).reshape(-1, 3)


def darken(mask: NDArray[np.uint8], view: View, ground: Metres, amount: int) -> None:
    """Writes `amount` into `mask` uint8 (H, W) over the convex hull of camera coordinates (N, 3) on the ground."""
    hull = cv2.convexHull(np.ascontiguousarray(ground[:, ::2]))[:, 0]
    corners = np.insert(np.asarray(hull, np.float32), 1, view.height_m, axis=1)
    clipped = clip_near(corners)
    if len(clipped) > 2:
        cv2.fillConvexPoly(mask, view.project(clipped), amount, cv2.LINE_8, SUBPIXEL_BITS)


class Canvas:
    """Picture and labels in one uint8 (H, W, 4) buffer: R, G, B, trainId."""

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self.buffer = np.zeros((*size_hw, 4), np.uint8)

    def fill(self, polygons: NDArray[np.int32], paint: Painted) -> None:
        """Draws convex polygons (K, n, 2) of one colour, corners as from `View.project`."""
        if len(polygons) == 1:
            cv2.fillConvexPoly(self.buffer, polygons[0], paint, cv2.LINE_8, SUBPIXEL_BITS)
        else:
            cv2.fillPoly(self.buffer, list(polygons), paint, cv2.LINE_8, SUBPIXEL_BITS)
