"""Plans the road that a seed gives: its lanes, its edges and the camera that drives on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edge.scene.view import Bend

Kind = Literal["city", "suburb", "highway", "rural"]
Divider = Literal["none", "wall", "rail", "grass"]


@dataclass(frozen=True, slots=True)
class Lane:
    d_m: float  # its middle
    speed_mps: float  # negative towards the camera


@dataclass(frozen=True, slots=True)
class Plan:
    """Distances d in metres right of the line that parts the two directions."""

    kind: Kind
    lane_m: float
    lanes: tuple[Lane, ...]
    own: Lane
    divider: Divider
    divider_m: float  # half of its width
    edge_m: tuple[float, float]  # end of the lanes, left (negative) and right
    kerb_m: tuple[float, float]  # end of the asphalt: parking strip or hard shoulder behind the lanes
    walk_m: tuple[float, float]  # end of the sidewalk; equal to kerb_m without one
    front_m: tuple[float, float]  # where buildings, walls and fences stand
    side_street_m: float  # distance between side streets, 0 without
    busy: float  # 0 empty to 1 crowded
    bend: Bend
    focal: float  # focal length in picture widths
    horizon: float  # row of the horizon, share of the height
    height_m: float  # of the camera
    bonnet: float  # share of the height that the own bonnet covers, 0 without


def plan(random: np.random.Generator) -> Plan:
    kind: Kind = random.choice(["city", "suburb", "highway", "rural"], p=[0.42, 0.2, 0.26, 0.12])
    lane_m = float(random.uniform(2.9, 3.4) if kind != "highway" else random.uniform(3.4, 3.8))
    count = {"city": int(random.integers(1, 3)), "suburb": 1, "rural": 1, "highway": int(random.integers(2, 5))}[kind]
    divided = kind == "highway" or (kind == "city" and count == 2 and random.random() < 0.25)
    half = float({"highway": random.uniform(0.8, 5), "city": random.uniform(0.6, 2)}.get(kind, 0)) if divided else 0.0
    divider: Divider = random.choice(["wall", "rail", "grass"]) if divided else "none"
    speed = {"city": 9.0, "suburb": 11.0, "highway": 25.0, "rural": 17.0}[kind] * float(random.uniform(0.6, 1.2))
    inner = half + (0.9 if kind == "highway" else 0.0)
    middles = [inner + (i + 0.5) * lane_m for i in range(count)]
    right = tuple(Lane(d, speed * (1.15 - 0.12 * i)) for i, d in enumerate(middles))
    left = tuple(Lane(-d, -speed * (1.15 - 0.12 * i)) for i, d in enumerate(middles))
    edge = inner + count * lane_m
    shoulder = [_shoulder(kind, random) for _ in range(2)]
    walk = [float(random.uniform(1.6, 4.5)) if kind in ("city", "suburb") else 0.0 for _ in range(2)]
    back = [_setback(kind, random) for _ in range(2)]
    kerb = (-edge - shoulder[0], edge + shoulder[1])
    path = (kerb[0] - walk[0], kerb[1] + walk[1])
    own = right[int(random.integers(count))]
    straight = kind == "city" or random.random() < 0.3
    return Plan(
        kind,
        lane_m,
        left + right,
        Lane(own.d_m + float(random.normal(0, 0.15)), speed),
        divider,
        half,
        (-edge, edge),
        kerb,
        path,
        (path[0] - back[0], path[1] + back[1]),
        float(random.choice([60, 84, 120])) if kind in ("city", "suburb") else 0.0,
        float(random.uniform(0.1, 1)),
        _bend(random, straight),
        float(np.exp(random.uniform(np.log(0.52), np.log(1.25)))),
        float(random.uniform(0.34, 0.58)),
        float(random.uniform(1.15, 1.8)),
        float(random.choice([0, 0, random.uniform(0.04, 0.14)])),
    )


def _bend(random: np.random.Generator, straight: bool) -> Bend:
    amplitude_m = float(random.uniform(0, 1.5 if straight else 16))
    return Bend(amplitude_m, float(random.uniform(70, 160)), float(random.uniform(0, 6.3)))


def _shoulder(kind: Kind, random: np.random.Generator) -> float:
    if kind == "highway":
        return float(random.uniform(1.5, 3.2))
    parking = random.random() < {"city": 0.65, "suburb": 0.4}.get(kind, 0)
    return 2.3 if parking else float(random.uniform(0.2, 0.6))


def _setback(kind: Kind, random: np.random.Generator) -> float:
    low, high = {"city": (0.2, 3), "suburb": (1, 5), "highway": (4, 14), "rural": (3, 12)}[kind]
    return float(random.uniform(low, high))
