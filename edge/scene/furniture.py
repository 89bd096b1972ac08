"""Builds what stands beside a road: buildings, walls, fences, poles, lights and signs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.data import IGNORE
from edge.scene.light import Colour, between
from edge.scene.mesh import LEFT, NEAR, RIGHT, TOP, Builder, Corner, Mesh, rectangle
from edge.scene.trainids import BUILDING, FENCE, LIGHT, POLE, SIGN, WALL

STEEL = (118.0, 121.0, 124.0)
FACADES = (
    (172, 120, 94),
    (196, 178, 150),
    (208, 200, 188),
    (150, 96, 78),
    (160, 162, 166),
    (222, 210, 178),
    (120, 116, 112),
    (186, 150, 120),
    (140, 150, 160),
    (230, 228, 222),
)


def _around(colour: NDArray[np.int_], low: float, high: float) -> tuple[Colour, Colour]:
    red, green, blue = (float(c) for c in colour)
    return (red * low, green * low, blue * low), (red * high, green * high, blue * high)


def building(random: np.random.Generator, side: int, length: float, depth: float, height: float) -> Mesh:
    """Returns a house; `side` -1 stands left of the road, d = 0 is its street front."""
    colour = between(random, *_around(random.choice(FACADES), 0.8, 1.1))
    build = Builder()
    d0, d1 = (-depth, 0.0) if side < 0 else (0.0, depth)
    build.box((d0, 0, 0), (d1, height, length), colour, BUILDING)
    street = RIGHT if side < 0 else LEFT
    floor = float(random.uniform(2.8, 3.6))
    pane_w, gap = float(random.uniform(0.9, 1.8)), float(random.uniform(0.7, 1.8))
    glass = (52.0, 62.0, 74.0) if random.random() < 0.7 else (110.0, 128.0, 146.0)
    rows = np.arange(0.9 if height < 8 else 4.0, height - 1.8, floor).tolist()
    for face, at, span in ((street, side * -0.03, length), (NEAR, -0.03, depth)):
        columns = np.arange(gap, span - pane_w - 0.3, pane_w + gap)
        offset = d0 if face == NEAR else 0.0
        panes = [
            rectangle(face, at, (offset + c, offset + c + pane_w), (y, y + floor * 0.55))
            for y in rows
            for c in columns.tolist()
        ]
        order = random.permutation(len(panes))
        bright = max(1, len(panes) // 4)
        for chosen, tone in ((order[bright:], glass), (order[:bright], (glass[0] + 50, glass[1] + 50, glass[2] + 45))):
            if len(chosen):
                build.polygons(face, [panes[i] for i in chosen.tolist()], tone, BUILDING, detail=True)
        if height >= 8:  # a shop
            shop = between(random, (30, 30, 30), (200, 200, 200))
            inside = (offset + 0.4, offset + span - 0.4)
            build.panel(face, at, inside, (0.3, 2.6), (48, 50, 54), BUILDING, detail=True)
            build.panel(face, at * 1.4, (offset + 0.2, offset + span - 0.2), (2.7, 3.3), shop, BUILDING, detail=True)
    if height < 9:
        _gable(build, (d0, d1), height, length, random)
    return build.mesh()


def _gable(build: Builder, d: tuple[float, float], height: float, length: float, random: np.random.Generator) -> None:
    roof = between(random, (90, 60, 50), (165, 95, 75))
    middle, ridge = (d[0] + d[1]) / 2, height + float(random.uniform(1.5, 3.2))
    slopes: tuple[tuple[int, float], ...] = ((LEFT, d[0]), (RIGHT, d[1]))
    for side, eave in slopes:
        corners: list[Corner] = [
            (eave, height, -0.2),
            (eave, height, length),
            (middle, ridge, length),
            (middle, ridge, 0),
        ]
        build.polygons(side, [corners], roof, BUILDING)
    front: list[Corner] = [(d[0], height, 0), (d[1], height, 0), (middle, ridge, 0)]
    build.polygons(NEAR, [front], (roof[0] + 50, roof[1] + 60, roof[2] + 60), BUILDING)


def wall(random: np.random.Generator, length: float, height: float) -> Mesh:
    base = float(random.uniform(125, 190))
    tint = random.uniform(0.85, 1.05, 3)
    colour = (base * float(tint[0]), base * float(tint[1]), base * float(tint[2]))
    dark = (colour[0] * 0.8, colour[1] * 0.8, colour[2] * 0.8)
    build = Builder()
    build.box((-0.15, 0, 0), (0.15, height, length), colour, WALL)
    for side, at in ((LEFT, -0.17), (RIGHT, 0.17)):
        joints = [rectangle(side, at, (s, s + 0.07), (0, height)) for s in np.arange(0, length, 3).tolist()]
        build.polygons(side, joints, dark, WALL, detail=True)
        build.panel(side, at, (0, length), (height - 0.18, height), dark, WALL, detail=True)
    return build.mesh()


def fence(random: np.random.Generator, length: float, height: float) -> Mesh:
    """Boards, or bars in front of something dim."""
    tone = random.choice([(132, 104, 76), (168, 168, 164), (78, 88, 76), (205, 202, 194), (92, 92, 92)])
    bar = between(random, *_around(tone, 0.85, 1.1))
    solid = random.random() < 0.4
    back = (bar[0] * 0.85, bar[1] * 0.85, bar[2] * 0.85) if solid else (96.0, 108.0, 84.0)
    build = Builder()
    step = float(random.uniform(0.25, 0.6))
    for side, at in ((LEFT, -0.04), (RIGHT, 0.04)):
        build.panel(side, at, (0, length), (0.05, height), back, FENCE)
        bars = [rectangle(side, at * 1.2, (s, s + 0.09), (0, height)) for s in np.arange(0, length, step).tolist()]
        build.polygons(side, bars, bar, FENCE, detail=True)
        for y in (0.12 * height, 0.5 * height, 0.9 * height):
            build.panel(side, at * 1.4, (0, length), (y, y + 0.07), bar, FENCE)
    return build.mesh()


def guard_rail(length: float) -> Mesh:
    """Returns what is no Cityscapes class, and ignored in the labels."""
    build = Builder()
    for side, at in ((LEFT, -0.06), (RIGHT, 0.06)):
        posts = [rectangle(side, at * 0.5, (s, s + 0.12), (0, 0.6)) for s in np.arange(0.5, length, 2).tolist()]
        build.polygons(side, posts, (96, 98, 100), IGNORE)
        build.panel(side, at, (0, length), (0.42, 0.72), (172, 175, 178), IGNORE)
        build.panel(side, at, (0, length), (0.53, 0.59), (120, 123, 126), IGNORE, detail=True)
    return build.mesh()


def lamp_post(random: np.random.Generator, side: int) -> Mesh:
    height, reach = float(random.uniform(6, 9.5)), float(random.uniform(1, 2.4))
    tone = float(random.uniform(55, 150))
    build = Builder()
    colour = (tone, tone, tone + 3)
    build.box((-0.09, 0, 0), (0.09, height, 0.18), colour, POLE)
    arm = (-reach, 0.0) if side > 0 else (0.0, reach)
    build.panel(NEAR, 0, arm, (height - 0.1, height + 0.08), colour, POLE)
    return build.mesh()


def _disc(d: float, y: float, radius: float, s: float, corners: int, turn: float = 0.0) -> list[Corner]:
    angles = np.arange(corners) * 2 * np.pi / corners + turn
    return [(d + radius * float(np.sin(t)), y + radius * float(np.cos(t)), s) for t in angles]


def traffic_light(random: np.random.Generator, side: int) -> Mesh:
    """Returns a traffic light on a post, and half the time also on an arm over the road."""
    state = int(random.integers(3))
    lamps = ((235.0, 40.0, 36.0), (250.0, 190.0, 40.0), (60.0, 220.0, 130.0))
    build = Builder()
    arm = random.random() < 0.5
    height = 6.0 if arm else 3.4
    build.box((-0.08, 0, 0), (0.08, height, 0.16), STEEL, POLE)
    heads = [(0.0, 2.5)]
    if arm:
        reach = float(-side * random.uniform(3.5, 5.5))
        build.panel(NEAR, 0.0, (min(0, reach), max(0, reach)), (5.75, 5.9), STEEL, POLE)
        heads.append((reach, 5.0))
    for d, y in heads:
        build.box((d - 0.2, y, -0.3), (d + 0.2, y + 1.05, -0.02), (30, 33, 30), LIGHT)
        for index, colour in enumerate(lamps):
            tone = colour if index == state else (colour[0] * 0.25, colour[1] * 0.25, colour[2] * 0.25)
            build.polygons(NEAR, [_disc(d, y + 0.88 - 0.34 * index, 0.13, -0.32, 8)], tone, LIGHT)
    return build.mesh()


def sign(random: np.random.Generator) -> Mesh:
    build = Builder()
    height = float(random.uniform(2.1, 3.0))
    build.box((-0.04, 0, 0), (0.04, height, 0.08), STEEL, POLE)
    red, blue, white = (200.0, 28.0, 32.0), (28.0, 74.0, 160.0), (238.0, 238.0, 234.0)
    kind = random.choice(["round", "round", "warning", "blue", "panel", "stop"])
    if kind == "panel":
        tone = random.choice([(28, 100, 64), (30, 70, 150), (236, 196, 40), (238, 238, 234)])
        colour = between(random, *_around(tone, 1, 1.01))
        wide = float(random.uniform(0.4, 0.9))
        build.panel(NEAR, -0.05, (-wide, wide), (height - 0.1, height + 0.8), white, SIGN)
        build.panel(NEAR, -0.06, (-wide + 0.05, wide - 0.05), (height - 0.05, height + 0.75), colour, SIGN)
        return build.mesh()
    corners, turn, outer, inner = {
        "round": (12, 0.0, red, white),
        "warning": (3, 0.0, red, white),
        "blue": (12, 0.0, white, blue),
        "stop": (8, 0.39, white, red),
    }[str(kind)]
    build.polygons(NEAR, [_disc(0, height + 0.2, 0.42, -0.05, corners, turn)], outer, SIGN)
    build.polygons(NEAR, [_disc(0, height + 0.2, 0.3, -0.06, corners, turn)], inner, SIGN)
    return build.mesh()


def gantry(random: np.random.Generator, span: tuple[float, float]) -> Mesh:
    """Returns a motorway sign bridge from d to d."""
    build = Builder()
    for d in span:
        build.box((d - 0.2, 0, 0), (d + 0.2, 7.4, 0.4), STEEL, POLE)
    build.panel(NEAR, 0.1, span, (6.9, 7.3), STEEL, POLE)
    build.polygons(TOP, [[(span[0], 7.3, 0), (span[1], 7.3, 0), (span[1], 7.3, 0.4), (span[0], 7.3, 0.4)]], STEEL, POLE)
    green: Colour = (18.0, 96.0, 62.0) if random.random() < 0.5 else (26.0, 72.0, 152.0)
    width = (span[1] - span[0]) / 3
    for left in (span[0] + 0.3 * width, span[0] + 1.6 * width):
        build.panel(NEAR, -0.1, (left, left + width), (5.6, 8.2), (240, 240, 240), SIGN)
        build.panel(NEAR, -0.12, (left + 0.1, left + width - 0.1), (5.7, 8.1), green, SIGN)
        lines = [rectangle(NEAR, -0.14, (left + 0.5, left + 0.8 * width), (y, y + 0.3)) for y in (7.3, 6.6)]
        build.polygons(NEAR, lines, (240, 240, 240), SIGN, detail=True)
    return build.mesh()
