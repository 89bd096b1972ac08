"""Places what moves: vehicles in their lanes and people on the sidewalks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge.scene import sprites, vehicles
from edge.scene.ground import CELL_M
from edge.scene.mesh import Mesh
from edge.scene.plan import Plan
from edge.scene.roadside import Placed
from edge.scene.sprites import Sprite

RING_M = 260.0  # vehicles that fall behind come back far ahead, and the other way round
BEHIND_M = 24.0


@dataclass(frozen=True, slots=True)
class Mover:
    thing: Mesh | Sprite
    d_m: float
    ahead_m: float  # of the camera at t = 0
    speed_mps: float  # against the camera
    sway_m: float  # how far its distance swings
    ringed: bool

    def placed(self, camera_s_m: float, t_s: float) -> Placed:
        ahead = self.ahead_m + self.speed_mps * t_s + self.sway_m * math.sin(0.35 * t_s + self.ahead_m)
        if self.ringed:
            ahead = (ahead + BEHIND_M) % RING_M - BEHIND_M
        s = camera_s_m + ahead
        length = float(self.thing.points[:, 2].max()) if isinstance(self.thing, Mesh) else 1.0
        return Placed(self.thing, self.d_m, s, s + length / 2, contact=True)


class Traffic:
    def __init__(self, plan: Plan, random: np.random.Generator) -> None:
        self.plan = plan
        self.movers: list[Mover] = []
        for lane in plan.lanes:
            speed = lane.speed_mps - plan.own.speed_mps
            own = abs(lane.d_m - plan.own.d_m) < 1
            if own:
                ahead = float(random.uniform(9, 22) if random.random() < 0.4 else random.uniform(22, 90))
                while ahead < 200:
                    self._enter(random, lane.d_m, ahead, 0.0, ringed=False)
                    ahead += float(random.uniform(14, 30) / (0.2 + plan.busy))
                continue
            ahead = float(random.uniform(-10, 30))
            while ahead < RING_M - BEHIND_M - 36:
                self._enter(random, lane.d_m, ahead, speed, ringed=True)
                ahead += float(random.uniform(11, 45) / (0.15 + plan.busy)) + (20 if speed < -20 else 2)

    def _enter(self, random: np.random.Generator, d: float, ahead: float, speed: float, ringed: bool) -> None:
        oncoming = d < 0
        urban = self.plan.kind in ("city", "suburb")
        odds = {"car": 0.74, "truck": 0.1, "bus": 0.05, "tram": 0.015, "rider": 0.095}
        if urban:
            odds = {"car": 0.6, "truck": 0.08, "bus": 0.08, "tram": 0.06, "rider": 0.18}
        kind = str(random.choice(list(odds), p=list(odds.values())))
        sway = 0.0 if ringed else float(random.uniform(0.5, 3))
        d += float(random.normal(0, 0.15))
        if kind == "rider":
            index = int(random.integers(len(sprites.riders())))
            bicycle = index % 2 == 0
            if self.plan.kind == "highway" and bicycle:
                index += 1
            elif bicycle:
                d += 1.0 * (-1 if oncoming else 1)
            self.movers.append(Mover(sprites.riders()[index], d, ahead, speed, sway, ringed))
            return
        make = {"car": vehicles.car, "truck": vehicles.truck, "bus": vehicles.bus, "tram": vehicles.tram}[kind]
        self.movers.append(Mover(make(random, oncoming), d, ahead, speed, sway, ringed))

    def vehicles(self, camera_s_m: float, t_s: float) -> list[Placed]:
        return [mover.placed(camera_s_m, t_s) for mover in self.movers]


class Walkers:
    """People of each cell, walking to and fro."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan, self.seed = plan, seed

    def cell(self, index: int, t_s: float) -> list[Placed]:
        plan = self.plan
        if plan.kind not in ("city", "suburb"):
            return []
        random = np.random.default_rng((self.seed, 21, index + (1 << 20)))
        count = int(random.poisson(1.6 * plan.busy if plan.kind == "city" else 0.4 * plan.busy))
        return [self._walker(random, index, t_s) for _ in range(count)]

    def _walker(self, random: np.random.Generator, index: int, t_s: float) -> Placed:
        plan = self.plan
        phases = sprites.walkers()[int(random.integers(len(sprites.walkers())))]
        side = int(random.integers(2))
        pace, offset = float(random.uniform(0.8, 1.6)), float(random.uniform(0, 6.3))
        inside, outside = abs(plan.kerb_m[side]) + 0.4, abs(plan.walk_m[side]) - 0.2
        d = (1 if side else -1) * float(random.uniform(inside, max(inside + 0.1, outside)))
        s = index * CELL_M + float(random.uniform(0, CELL_M)) + 4 * math.sin(pace / 4 * t_s + offset)
        if random.random() < 0.06:  # crosses the road
            d = abs(plan.kerb_m[1]) * math.sin(pace / 8 * t_s + offset)
        phase = phases[int(t_s * pace * 4 + offset) % len(phases)]
        scale, lit = float(random.uniform(0.9, 1.08)), float(random.uniform(0.85, 1.1))
        return Placed(phase, d, s, s + 0.35 * abs(d - plan.own.d_m) * 0.5, scale, lit)
