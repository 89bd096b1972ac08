"""Draws solid things: flat faces around a point of the road."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.scene.light import Colour, Light
from edge.scene.view import NEAR_M, SUBPIXEL_BITS, Canvas, Metres, Painted, View, clip_near, darken

LEFT, RIGHT, NEAR, TOP = range(4)
# The camera coordinate that tells on which side of a face the camera is, and the sign it has when it sees the face.
_SEEN_AXIS = np.array([0, 0, 2, 1])
_SEEN_SIGN = np.array([1, -1, 1, 1], np.float32)
DETAIL_PX = 26  # things lower than this are drawn without their details

Corner = tuple[float, float, float]
"""d, y, s in metres around the thing's place."""


@dataclass(frozen=True, slots=True)
class Mesh:
    """Faces in the order in which they are painted; far sides are never seen and have no faces."""

    points: Metres  # (N, 3)
    faces: tuple[NDArray[np.intp], ...]  # each (K, n): K polygons of one colour
    colours: NDArray[np.float32]  # (F, 3)
    labels: tuple[int, ...]
    sides: NDArray[np.intp]  # (F,)
    firsts: NDArray[np.intp]  # (F,) one corner of each face
    details: NDArray[np.bool_]  # (F,)
    height_m: float
    length_m: float
    base: Metres  # (4, 3) corners on the ground

    def draw(self, canvas: Canvas, view: View, light: Light, d_m: float, s_m: float) -> None:
        if s_m + self.length_m - view.s_m < NEAR_M:
            return
        z_m = max(s_m - view.s_m, NEAR_M)
        high = view.focal_px * self.height_m / z_m
        if high < view.smallest_px:
            return
        seen = view.see(self.points, d_m, s_m)
        pixels = None
        if s_m - view.s_m > NEAR_M + 0.5:  # the nearest corners lie up to half a metre before their thing
            pixels = view.project(seen)
            if pixels[:, 0].max() < 0 or pixels[:, 0].min() >> SUBPIXEL_BITS > view.size_hw[1]:
                return
        visible = seen[self.firsts, _SEEN_AXIS[self.sides]] * _SEEN_SIGN[self.sides] > 0
        if high < DETAIL_PX:
            visible &= ~self.details
        colours = light.hazed(self.colours * light.shading[self.sides], z_m)
        paints = np.minimum(colours, 255).astype(int).tolist()
        for index in np.flatnonzero(visible).tolist():
            paint = (*paints[index], self.labels[index])
            if pixels is not None:
                canvas.fill(pixels[self.faces[index]], paint)
            else:
                self._draw_clipped(canvas, view, seen[self.faces[index]], paint)

    @staticmethod
    def _draw_clipped(canvas: Canvas, view: View, polygons: Metres, paint: Painted) -> None:
        for polygon in polygons:
            clipped = clip_near(polygon)
            if len(clipped) > 2:
                canvas.fill(view.project(clipped)[None], paint)

    def shade(self, mask: NDArray[np.uint8], view: View, light: Light, d_m: float, s_m: float) -> None:
        """Paints the thing's shadow on the ground into `mask` uint8 (H, W)."""
        away = np.array([light.sun_d, 0, light.sun_s], np.float32) * self.height_m
        darken(mask, view, view.see(np.concatenate([self.base, self.base + away]), d_m, s_m), 255)


@dataclass
class Builder:
    """Collects faces into a mesh."""

    points: list[Corner] = field(default_factory=list)
    faces: list[NDArray[np.intp]] = field(default_factory=list)
    colours: list[Colour] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    sides: list[int] = field(default_factory=list)
    details: list[bool] = field(default_factory=list)

    def polygons(
        self, side: int, corners: list[list[Corner]], colour: Colour, label: int, detail: bool = False
    ) -> None:
        """Polygons of as many corners each, as one face."""
        start, count = len(self.points), len(corners[0])
        self.points += [corner for polygon in corners for corner in polygon]
        self.faces.append(np.arange(start, len(self.points)).reshape(-1, count))
        self.colours.append(colour)
        self.labels.append(label)
        self.sides.append(side)
        self.details.append(detail)

    def panel(
        self,
        side: int,
        at: float,
        across: tuple[float, float],
        up: tuple[float, float],
        colour: Colour,
        label: int,
        detail: bool = False,
    ) -> None:
        """Adds an upright rectangle: `across` is s for left and right sides (at d = `at`), d for near ones (at s =
        `at`).
        """
        self.polygons(side, [rectangle(side, at, across, up)], colour, label, detail)

    def box(self, low: Corner, high: Corner, colour: Colour, label: int, detail: bool = False) -> None:
        (d0, y0, s0), (d1, y1, s1) = low, high
        self.panel(LEFT, d0, (s0, s1), (y0, y1), colour, label, detail)
        self.panel(RIGHT, d1, (s0, s1), (y0, y1), colour, label, detail)
        self.polygons(TOP, [[(d0, y1, s0), (d1, y1, s0), (d1, y1, s1), (d0, y1, s1)]], colour, label, detail)
        self.panel(NEAR, s0, (d0, d1), (y0, y1), colour, label, detail)

    def mesh(self) -> Mesh:
        points = np.array(self.points, np.float32)
        (d0, _, s0), (d1, height, s1) = points.min(0).tolist(), points.max(0).tolist()
        return Mesh(
            points,
            tuple(self.faces),
            np.array(self.colours, np.float32),
            tuple(self.labels),
            np.array(self.sides),
            np.array([face[0, 0] for face in self.faces]),
            np.array(self.details),
            height,
            s1,
            np.array([(d0, 0, s0), (d1, 0, s0), (d1, 0, s1), (d0, 0, s1)], np.float32),
        )


def rectangle(side: int, at: float, across: tuple[float, float], up: tuple[float, float]) -> list[Corner]:
    (a, b), (low, high) = across, up
    if side == NEAR:
        return [(a, low, at), (b, low, at), (b, high, at), (a, high, at)]
    return [(at, low, a), (at, low, b), (at, high, b), (at, high, a)]
