"""Vehicles as meshes; place them with their rear end at s, or their front where they come towards the camera."""

from __future__ import annotations

import numpy as np

from edge.scene.light import Colour
from edge.scene.mesh import LEFT, NEAR, RIGHT, TOP, Builder, Corner, Mesh, rectangle
from edge.scene.trainids import BUS, CAR, TRAIN, TRUCK

GLASS = (46.0, 56.0, 66.0)
TYRE = (26.0, 26.0, 28.0)
PAINTS = (
    (225, 226, 228),
    (190, 194, 198),
    (128, 132, 137),
    (70, 72, 76),
    (28, 29, 32),
    (150, 24, 28),
    (32, 60, 128),
    (20, 84, 70),
    (196, 160, 96),
    (94, 60, 44),
    (240, 240, 236),
    (60, 92, 130),
)


def _paint(random: np.random.Generator) -> Colour:
    tone = random.uniform(0.75, 1.1)
    red, green, blue = (float(np.clip(c * tone * random.uniform(0.96, 1.04), 8, 250)) for c in random.choice(PAINTS))
    return red, green, blue


def _lamps(build: Builder, half: float, y: float, oncoming: bool, label: int) -> None:
    colour = (252.0, 248.0, 225.0) if oncoming else (176.0, 22.0, 20.0)
    quads = [
        [(a, y, -0.02), (b, y, -0.02), (b, y + 0.16, -0.02), (a, y + 0.16, -0.02)]
        for a, b in ((-half + 0.04, -half + 0.38), (half - 0.38, half - 0.04))
    ]
    build.polygons(NEAR, [list[Corner](quad) for quad in quads], colour, label, detail=True)


def _wheels(build: Builder, half: float, axles: list[float], radius: float, label: int) -> None:
    angles = np.arange(8) * np.pi / 4
    for side, at in ((LEFT, -half - 0.02), (RIGHT, half + 0.02)):
        for size, colour in ((radius, TYRE), (radius * 0.55, (120.0, 122.0, 126.0))):
            rims = [
                [(at, radius + size * float(np.cos(t)), axle + size * float(np.sin(t))) for t in angles]
                for axle in axles
            ]
            build.polygons(side, rims, colour, label, detail=size < radius)
    for d in (-half + 0.02, half - 0.24):
        build.panel(NEAR, 0.05, (d, d + 0.22), (0, radius), TYRE, label)


def _cabin(
    build: Builder,
    half: float,
    heights: tuple[float, float],
    lengths: tuple[float, float, float, float],
    paint: Colour,
    label: int,
) -> None:
    """The glasshouse: `lengths` are s of its foot and roof, rear and front."""
    (low, high), (s0, s1, s2, s3) = heights, lengths
    foot, roof = half - 0.04, half - 0.2
    for side, sign in ((LEFT, -1), (RIGHT, 1)):
        corners: list[Corner] = [
            (sign * foot, low, s0),
            (sign * foot, low, s3),
            (sign * roof, high, s2),
            (sign * roof, high, s1),
        ]
        build.polygons(side, [corners], paint, label)
        sill, upper = sign * (foot + 0.01), low + 0.86 * (high - low)
        glass: list[Corner] = [
            (sill, low + 0.05, s0 + 0.15),
            (sill, low + 0.05, s3 - 0.15),
            (sign * (roof + 0.03), upper, s2 + 0.12),
            (sign * (roof + 0.03), upper, s1 - 0.12),
        ]
        build.polygons(side, [glass], GLASS, label)
    build.polygons(TOP, [[(-roof, high, s1), (roof, high, s1), (roof, high, s2), (-roof, high, s2)]], paint, label)
    build.polygons(NEAR, [[(-foot, low, s0), (foot, low, s0), (roof, high, s1), (-roof, high, s1)]], paint, label)
    inner, top = foot - 0.12, low + 0.88 * (high - low)
    window: list[Corner] = [
        (-inner, low + 0.05, s0 - 0.01),
        (inner, low + 0.05, s0 - 0.01),
        (roof - 0.08, top, s1 - 0.04),
        (-roof + 0.08, top, s1 - 0.04),
    ]
    build.polygons(NEAR, [window], (GLASS[0] + 22, GLASS[1] + 26, GLASS[2] + 30), label)


def car(random: np.random.Generator, oncoming: bool) -> Mesh:
    kind = random.choice(["saloon", "estate", "suv", "van"], p=[0.4, 0.25, 0.22, 0.13])
    length, half, waist, roof = {
        "saloon": (4.5, 0.9, 0.9, 1.43),
        "estate": (4.4, 0.9, 0.9, 1.48),
        "suv": (4.5, 0.95, 1.05, 1.7),
        "van": (4.9, 0.98, 1.15, 2.0),
    }[str(kind)]
    boot = {"saloon": 0.75, "estate": 0.1, "suv": 0.1, "van": 0.05}[str(kind)]
    if oncoming:
        boot = 1.1
    paint = _paint(random)
    build = Builder()
    build.box((-half + 0.1, 0.16, 0.1), (half - 0.1, 0.3, length - 0.1), (20, 20, 22), CAR)
    _wheels(build, half, [0.8, length - 0.9], 0.32, CAR)
    build.box((-half, 0.3, 0), (half, waist, length), paint, CAR)
    _wheels(build, half, [0.8, length - 0.9], 0.32, CAR)
    bumper = (paint[0] * 0.6, paint[1] * 0.6, paint[2] * 0.6)
    build.panel(NEAR, -0.01, (-half + 0.02, half - 0.02), (0.28, 0.46), bumper, CAR, detail=True)
    build.panel(NEAR, -0.02, (-0.26, 0.26), (0.5, 0.61), (225, 225, 215), CAR, detail=True)
    _lamps(build, half, waist - 0.26, oncoming, CAR)
    _cabin(build, half, (waist, roof), (boot, boot + 0.35, length - 1.9, length - 1.2), paint, CAR)
    return build.mesh()


def truck(random: np.random.Generator, oncoming: bool) -> Mesh:
    half, height, length = 1.22, float(random.uniform(2.8, 3.9)), float(random.uniform(6, 13))
    paint, load = _paint(random), _paint(random)
    build = Builder()
    build.box((-half + 0.15, 0.35, 0.1), (half - 0.15, 1.0, length), (34, 34, 36), TRUCK)
    _wheels(build, half - 0.05, [1.2, 2.4, length - 1.2], 0.5, TRUCK)
    if oncoming:
        build.box((-half, 1.0, 2.2), (half, height, length), load, TRUCK)
        build.box((-half, 0.5, 0), (half, 2.9, 2.1), paint, TRUCK)
        build.panel(NEAR, -0.02, (-half + 0.12, half - 0.12), (1.75, 2.6), GLASS, TRUCK)
        build.panel(NEAR, -0.02, (-0.7, 0.7), (0.9, 1.45), (50, 50, 52), TRUCK, detail=True)
    else:
        build.box((-half, 0.5, length - 2), (half, 2.8, length), paint, TRUCK)
        build.box((-half, 1.0, 0), (half, height, length - 2.2), load, TRUCK)
        seam = (load[0] * 0.7, load[1] * 0.7, load[2] * 0.7)
        build.panel(NEAR, -0.02, (-0.03, 0.03), (1.05, height - 0.1), seam, TRUCK, detail=True)
        build.panel(NEAR, -0.02, (-half, half), (0.85, 1.0), (150, 30, 30), TRUCK, detail=True)
    _lamps(build, half, 0.65, oncoming, TRUCK)
    return build.mesh()


def bus(random: np.random.Generator, oncoming: bool) -> Mesh:
    half, height, length = 1.25, float(random.uniform(2.95, 3.3)), float(random.uniform(10, 13))
    red, green, blue = random.choice([(214, 170, 30), (190, 30, 34), (236, 236, 232), (30, 84, 160), (40, 130, 80)])
    return _coach((float(red), float(green), float(blue)), (half, height, length), oncoming, BUS).mesh()


def tram(random: np.random.Generator, oncoming: bool) -> Mesh:
    """Returns a tram: light above, coloured below, jointed, with its current collector on the roof."""
    length = float(random.uniform(22, 34))
    build = _coach((232.0, 228.0, 214.0), (1.3, 3.5, length), oncoming, TRAIN)
    red, green, blue = random.choice([(170, 30, 36), (24, 96, 70), (196, 150, 30), (36, 60, 120)])
    skirt = (float(red), float(green), float(blue))
    for side, at in ((LEFT, -1.33), (RIGHT, 1.33)):
        build.panel(side, at, (0, length), (0.3, 1.25), skirt, TRAIN)
        joints = [rectangle(side, at * 1.01, (s, s + 0.7), (0.4, 3.5)) for s in np.arange(7, length - 3, 8.0).tolist()]
        build.polygons(side, joints, (60, 60, 64), TRAIN)
    build.panel(NEAR, -0.04, (-1.3, 1.3), (0.3, 1.2), skirt, TRAIN)
    build.panel(NEAR, 2.0, (-0.7, 0.7), (3.5, 4.6), (70, 70, 74), TRAIN, detail=True)
    return build.mesh()


def _coach(paint: Colour, size: tuple[float, float, float], oncoming: bool, label: int) -> Builder:
    """A long box with a band of windows."""
    half, height, length = size
    low = 0.3
    build = Builder()
    if label == BUS:
        _wheels(build, half - 0.04, [2.2, length - 2.6], 0.48, label)
    build.box((-half, low, 0), (half, height, length), paint, label)
    if label == BUS:
        _wheels(build, half, [2.2, length - 2.6], 0.46, label)
    panes = np.arange(0.5, length - 1.2, 1.5)
    for side, at in ((LEFT, -half - 0.02), (RIGHT, half + 0.02)):
        quads: list[list[Corner]] = [
            [(at, 1.35, s), (at, 1.35, s + 1.3), (at, height - 0.55, s + 1.3), (at, height - 0.55, s)]
            for s in panes.tolist()
        ]
        build.polygons(side, quads, GLASS, label)
    low_pane = 1.2 if oncoming else 1.6
    build.panel(NEAR, -0.03, (-half + 0.15, half - 0.15), (low_pane, height - 0.5), GLASS, label)
    build.panel(NEAR, -0.03, (-0.6, 0.6), (height - 0.4, height - 0.15), (235, 150, 40), label, detail=True)
    stripe = (255 - paint[0], 255 - paint[1] * 0.6, 255 - paint[2])
    build.panel(NEAR, -0.02, (-half, half), (0.75, 0.95), stripe, label, detail=True)
    _lamps(build, half, 0.55, oncoming, label)
    return build
