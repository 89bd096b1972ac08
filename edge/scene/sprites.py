"""Draws flat cut-outs that face the camera: trees, bushes, people and two-wheelers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data import Ids, Pixels
from edge.scene.light import Light
from edge.scene.trainids import BICYCLE, MOTORCYCLE, PERSON, RIDER, VEGETATION
from edge.scene.view import NEAR_M, Canvas, View, darken

NOTHING = 254  # label of what a cut-out does not cover
VARIANTS = 8


@dataclass(frozen=True, slots=True)
class Sprite:
    """One picture with labels in halving sizes, and its size in the world."""

    levels: tuple[tuple[Pixels, Ids], ...]
    width_m: float
    height_m: float

    def draw(self, canvas: Canvas, view: View, light: Light, d_m: float, s_m: float, scale: float, lit: float) -> None:
        z_m = s_m - view.s_m
        if z_m < NEAR_M:
            return
        per_m = view.focal_px / z_m
        wide, high = self.width_m * scale * per_m, self.height_m * scale * per_m
        if high < view.smallest_px:
            return
        left = view.middle_px + (view.centre(z_m)[0] + d_m) * per_m - wide / 2
        top = view.horizon_px + view.height_m * per_m - high
        rows, columns = canvas.buffer.shape[:2]
        x0, x1 = max(0, round(left)), min(columns, round(left + wide))
        y0, y1 = max(0, round(top)), min(rows, round(top + high))
        if x1 <= x0 or y1 <= y0:
            return
        level = next((i for i, (_, ids) in enumerate(self.levels) if ids.shape[0] < 2 * high), len(self.levels) - 1)
        pixels, ids = self.levels[level]
        across, down = ids.shape[1] / wide, ids.shape[0] / high
        matrix = np.array(
            [
                [across, 0, (x0 + 0.5 - left) * across - 0.5],
                [0, down, (y0 + 0.5 - top) * down - 0.5],
            ]
        )
        size, inverse = (x1 - x0, y1 - y0), cv2.WARP_INVERSE_MAP
        edge = cv2.BORDER_REPLICATE
        labels = cv2.warpAffine(ids, matrix, size, flags=inverse | cv2.INTER_NEAREST, borderMode=edge)
        colours = cv2.warpAffine(pixels, matrix, size, flags=inverse | cv2.INTER_LINEAR, borderMode=edge)
        share = light.haze_share(z_m)
        colours = cv2.convertScaleAbs(colours, alpha=(1 - share) * lit, beta=share * light.haze[1])
        mask = (labels != NOTHING).view(np.uint8)
        cv2.copyTo(cv2.merge((colours, labels)), mask, canvas.buffer[y0:y1, x0:x1])

    def shade(self, mask: NDArray[np.uint8], view: View, light: Light, d_m: float, s_m: float, scale: float) -> None:
        half, reach = self.width_m * scale * 0.4, self.height_m * scale
        away = (light.sun_d * reach, light.sun_s * reach)
        points = np.array(
            [
                (-0.1, 0, 0),
                (0.1, 0, 0),
                (away[0] + half, 0, away[1]),
                (away[0] - half, 0, away[1]),
                (away[0] * 0.5 - half, 0, away[1] * 0.5 + half),
                (away[0] * 0.5 + half, 0, away[1] * 0.5 - half),
            ],
            np.float32,
        )
        darken(mask, view, view.see(points, d_m, s_m), 255)


def _sprite(pixels: NDArray[np.float32], ids: Ids, width_m: float) -> Sprite:
    """Uncovered pixels take the mean colour, so that no fringe shows when the picture is scaled."""
    covered = ids != NOTHING
    pixels[~covered] = pixels[covered].mean(0)
    levels = [(np.clip(pixels, 0, 255).astype(np.uint8), ids)]
    while levels[-1][1].shape[0] > 12:
        smaller, labels = levels[-1]
        size = (max(2, labels.shape[1] // 2), labels.shape[0] // 2)
        halved = np.asarray(cv2.resize(smaller, size, interpolation=cv2.INTER_AREA), np.uint8)
        levels.append((halved, np.ascontiguousarray(labels[::2, ::2][: size[1], : size[0]])))
    return Sprite(tuple(levels), width_m, width_m * ids.shape[0] / ids.shape[1])


def _leaves(random: np.random.Generator, crown: NDArray[np.uint8], tone: NDArray[np.float64]) -> NDArray[np.float32]:
    """Foliage: clumps lit from above over finer noise."""
    height, width = crown.shape
    shade = np.zeros((height, width), np.float32)
    for scale, weight in ((24, 0.16), (9, 0.16), (3, 0.15), (1, 0.08)):
        noise = random.standard_normal((height // scale + 2, width // scale + 2)).astype(np.float32)
        shade += weight * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    distance = cv2.distanceTransform(crown, cv2.DIST_L2, 3)
    shade += 0.85 + 0.2 * np.linspace(1, -1, height, dtype=np.float32)[:, None] - 0.12 * (distance < 4)
    return shade[..., None] * tone.astype(np.float32)


@lru_cache(maxsize=1)
def trees() -> tuple[Sprite, ...]:
    """Returns broad and pointed crowns."""
    return tuple(_tree(np.random.default_rng((1, i)), pointed=i % 4 == 3) for i in range(2 * VARIANTS))


def _tree(random: np.random.Generator, pointed: bool) -> Sprite:
    height, width = 192, 128
    crown = np.zeros((height, width), np.uint8)
    for _ in range(70):
        y = random.uniform(10, 140) if not pointed else random.uniform(6, 170)
        reach = 44 * np.sqrt(max(0.05, 1 - ((y - 75) / 75) ** 2)) if not pointed else 4 + 38 * y / 170
        x = 64 + random.uniform(-1, 1) * reach
        cv2.circle(crown, (int(x), int(y)), int(random.uniform(6, 15) if not pointed else random.uniform(4, 9)), 1, -1)
    ragged = cv2.resize(random.random((48, 32)).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    crown &= (ragged > 0.16).astype(np.uint8)
    tone = random.uniform((48, 72, 30), (112, 128, 62)) if random.random() < 0.85 else np.array((150, 112, 56.0))
    pixels = _leaves(random, crown, tone)
    trunk = np.zeros_like(crown)
    cv2.fillConvexPoly(trunk, np.array([(60, 100), (67, 100), (69, 191), (58, 191)]), 1)
    bare = (trunk > 0) & (crown == 0)
    pixels[bare] = random.uniform((58, 46, 36), (98, 84, 70))
    ids = np.where((crown | trunk) > 0, VEGETATION, NOTHING).astype(np.uint8)
    return _sprite(pixels, ids, float(random.uniform(4, 6)))


@lru_cache(maxsize=1)
def bushes() -> tuple[Sprite, ...]:
    return tuple(_bush(np.random.default_rng((2, i))) for i in range(VARIANTS))


def _bush(random: np.random.Generator) -> Sprite:
    crown = np.zeros((64, 128), np.uint8)
    for _ in range(40):
        x = random.uniform(12, 116)
        y = random.uniform(64 - 46 * np.sqrt(max(0.1, 1 - ((x - 64) / 62) ** 2)), 64)
        cv2.circle(crown, (int(x), int(y)), int(random.uniform(5, 11)), 1, -1)
    pixels = _leaves(random, crown, random.uniform((54, 76, 32), (112, 126, 66)))
    return _sprite(pixels, np.where(crown > 0, VEGETATION, NOTHING).astype(np.uint8), float(random.uniform(2.4, 4)))


Point = tuple[float, float]
Paint = tuple[NDArray[np.float64], int]


class _Cutout:
    """A drawing of polygons, each with a colour and a label; coordinates are fractions of the height."""

    def __init__(self, height: int, width: int) -> None:
        self.height = height
        self.pixels = np.zeros((height, width, 3), np.float32)
        self.ids: Ids = np.full((height, width), NOTHING, np.uint8)

    def polygon(self, points: list[Point], colour: NDArray[np.float64], label: int) -> None:
        corners = np.rint(np.array(points) * self.height).astype(np.int32)
        cv2.fillPoly(self.pixels, [corners], colour.tolist())
        cv2.fillPoly(self.ids, [corners], label)

    def limb(self, a: Point, b: Point, thick: float, paint: Paint) -> None:
        start, end = ((round(x * self.height), round(y * self.height)) for x, y in (a, b))
        cv2.line(self.pixels, start, end, paint[0].tolist(), max(1, round(thick * self.height)))
        cv2.line(self.ids, start, end, paint[1], max(1, round(thick * self.height)))

    def oval(self, at: Point, radii: Point, paint: Paint, thick: int = -1) -> None:
        middle = (round(at[0] * self.height), round(at[1] * self.height))
        axes = (round(radii[0] * self.height), round(radii[1] * self.height))
        cv2.ellipse(self.pixels, middle, axes, 0, 0, 360, paint[0].tolist(), thick)
        cv2.ellipse(self.ids, middle, axes, 0, 0, 360, paint[1], -1)

    def sprite(self, width_m: float, random: np.random.Generator) -> Sprite:
        grain = random.normal(1, 0.05, self.ids.shape).astype(np.float32)
        side = np.linspace(1.12, 0.8, self.ids.shape[1], dtype=np.float32)
        return _sprite(self.pixels * (grain * side)[..., None], self.ids, width_m)


@lru_cache(maxsize=1)
def walkers() -> tuple[tuple[Sprite, ...], ...]:
    """Returns people, each in the phases of a step."""
    return tuple(tuple(_walker(i, phase) for phase in (-1.0, -0.3, 0.4, 1.0, 0.4, -0.3)) for i in range(2 * VARIANTS))


def _walker(index: int, phase: float) -> Sprite:
    random = np.random.default_rng((3, index))
    cut = _Cutout(128, 64)
    coat, trousers = random.uniform(20, 215, 3), random.uniform(22, 110, 3)
    skin = random.uniform((110, 75, 55), (225, 180, 155))
    stride = 0.11 * phase
    for sign in (-1, 1):
        leg = (trousers * (0.8 if sign < 0 else 1.0), PERSON)
        cut.limb((0.25 + 0.02 * sign, 0.52), (0.25 + sign * stride * 0.5, 0.74), 0.085, leg)
        cut.limb((0.25 + sign * stride * 0.5, 0.74), (0.25 + sign * stride, 0.97), 0.07, leg)
        cut.limb((0.25 + sign * 0.085, 0.23), (0.25 + sign * (0.12 + stride * 0.6), 0.5), 0.055, (coat * 0.85, PERSON))
    half = random.uniform(0.085, 0.115)
    cut.polygon([(0.25 - half, 0.17), (0.25 + half, 0.17), (0.25 + half, 0.57), (0.25 - half, 0.57)], coat, PERSON)
    cut.oval((0.25, 0.09), (0.055, 0.075), (skin, PERSON))
    cut.oval((0.25, 0.055), (0.058, 0.045), (random.uniform(15, 120, 3), PERSON))
    return cut.sprite(float(random.uniform(0.8, 0.92)), random)


@lru_cache(maxsize=1)
def riders() -> tuple[Sprite, ...]:
    """Returns two-wheelers with riders from behind; even ones are bicycles."""
    return tuple(_rider(np.random.default_rng((4, i)), i % 2 == 0) for i in range(2 * VARIANTS))


def _rider(random: np.random.Generator, bicycle: bool) -> Sprite:
    cut = _Cutout(160, 96)
    label, half = (BICYCLE, 0.02) if bicycle else (MOTORCYCLE, 0.055)
    coat, trousers = random.uniform(20, 225, 3), random.uniform(22, 100, 3)
    metal = random.uniform(20, 150, 3)
    wheel = [(0.3 - half, 0.62), (0.3 + half, 0.62), (0.3 + half, 0.99), (0.3 - half, 0.99)]
    cut.polygon(wheel, np.full(3, 24.0), label)
    if bicycle:
        cut.limb((0.17, 0.5), (0.43, 0.5), 0.025, (metal, label))
    else:
        cut.polygon([(0.19, 0.56), (0.41, 0.56), (0.38, 0.78), (0.22, 0.78)], metal, label)
        cut.oval((0.3, 0.66), (0.05, 0.025), (np.array((200, 30, 28.0)), label))
        cut.limb((0.12, 0.47), (0.48, 0.47), 0.025, (metal * 0.6, label))
    for sign in (-1, 1):
        cut.limb((0.3 + sign * 0.06, 0.5), (0.3 + sign * 0.09, 0.68), 0.075, (trousers, RIDER))
        cut.limb((0.3 + sign * 0.09, 0.68), (0.3 + sign * 0.07, 0.86), 0.06, (trousers, RIDER))
        cut.limb((0.3 + sign * 0.1, 0.22), (0.3 + sign * 0.15, 0.46), 0.055, (coat * 0.85, RIDER))
    cut.polygon([(0.19, 0.18), (0.41, 0.18), (0.39, 0.56), (0.21, 0.56)], coat, RIDER)
    cut.oval((0.3, 0.09), (0.062, 0.08), (random.uniform(20, 230, 3), RIDER))
    return cut.sprite(1.12 if bicycle else 1.2, random)


@lru_cache(maxsize=1)
def parked() -> tuple[Sprite, ...]:
    """Returns two-wheelers without riders, from the side; even ones are bicycles."""
    return tuple(_parked(np.random.default_rng((5, i)), i % 2 == 0) for i in range(2 * VARIANTS))


def _parked(random: np.random.Generator, bicycle: bool) -> Sprite:
    cut = _Cutout(96, 168)
    label = BICYCLE if bicycle else MOTORCYCLE
    frame = (random.uniform(20, 210, 3), label)
    dark, grey = (np.full(3, 26.0), label), (np.full(3, 120.0), label)
    for x in (0.36, 1.39):
        cut.oval((x, 0.66), (0.32, 0.32), grey if bicycle else dark)
        cut.oval((x, 0.66), (0.32, 0.32), dark, 3 if bicycle else 12)
    thick = 0.035 if bicycle else 0.2
    rear, front, pedals, saddle, head = (0.36, 0.66), (1.39, 0.66), (0.72, 0.66), (0.6, 0.3), (1.2, 0.28)
    for a, b in ((rear, pedals), (pedals, head), (saddle, head), (saddle, pedals)):
        cut.limb(a, b, thick, frame)
    cut.limb(head, front, 0.05, frame)
    cut.limb((0.5, 0.24), (0.74, 0.24), 0.06 if bicycle else 0.1, dark)
    cut.limb((1.16, 0.12), (1.24, 0.3), 0.04, dark)
    return cut.sprite(1.8 if bicycle else 2.1, random)
