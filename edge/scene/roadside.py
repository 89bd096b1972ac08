"""Places what stands still beside the road, cell by cell of `CELL_M` metres."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.scene import furniture, sprites, vehicles
from edge.scene.ground import CELL_M, opens
from edge.scene.light import Light
from edge.scene.mesh import Mesh
from edge.scene.plan import Plan
from edge.scene.sprites import Sprite
from edge.scene.view import Canvas, View

BLOCK = 4  # cells that share what stands at the front


@dataclass(frozen=True, slots=True)
class Placed:
    """A thing and where it is; `order_m` is the distance along the road by which things are painted, far ones first."""

    thing: Mesh | Sprite
    d_m: float
    s_m: float
    order_m: float
    scale: float = 1.0  # of sprites
    lit: float = 1.0  # brightness of sprites
    contact: bool = False  # stands on the road and darkens it beneath
    casts: bool = True

    @property
    def small(self) -> bool:
        return self.thing.height_m * self.scale < 2.6

    def draw(self, canvas: Canvas, view: View, light: Light) -> None:
        if isinstance(self.thing, Mesh):
            self.thing.draw(canvas, view, light, self.d_m, self.s_m)
        else:
            self.thing.draw(canvas, view, light, self.d_m, self.s_m, self.scale, self.lit * light.sides[2])

    def shade(self, mask: NDArray[np.uint8], view: View, light: Light) -> None:
        if isinstance(self.thing, Mesh):
            self.thing.shade(mask, view, light, self.d_m, self.s_m)
        else:
            self.thing.shade(mask, view, light, self.d_m, self.s_m, self.scale)


FRONTS: dict[str, tuple[tuple[str, ...], tuple[float, ...]]] = {
    "city": (("building", "wall", "fence", "trees"), (0.64, 0.1, 0.12, 0.14)),
    "suburb": (("house", "wall", "fence", "trees", "hedge"), (0.42, 0.12, 0.16, 0.15, 0.15)),
    "highway": (("trees", "bushes", "wall", "fence", "open", "building"), (0.36, 0.2, 0.14, 0.12, 0.13, 0.05)),
    "rural": (("trees", "bushes", "open", "fence", "house", "hedge"), (0.3, 0.15, 0.25, 0.14, 0.08, 0.08)),
}


class Roadside:
    """Furnishes cells on demand, each from its own random numbers, so that every drive past finds the same."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan, self.seed = plan, seed
        self.known: dict[int, list[Placed]] = {}

    def cell(self, index: int) -> list[Placed]:
        if index not in self.known:
            if len(self.known) > 400:
                self.known.clear()
            self.known[index] = [placed for side in (-1, 1) for placed in self._furnish(index, side)]
            self.known[index] += self._divider(index)
        return self.known[index]

    def _furnish(self, index: int, side: int) -> list[Placed]:
        block = np.random.default_rng((self.seed, 11, side + 1, index // BLOCK + (1 << 20)))
        random = np.random.default_rng((self.seed, 12, side + 1, index + (1 << 20)))
        names, weights = FRONTS[self.plan.kind]
        front = str(block.choice(names, p=weights))
        level = float(block.uniform())  # what a block has in common, such as the height of its wall
        start = index * CELL_M
        opening = opens(self.plan, index)
        placed: list[Placed] = []
        if not opening:
            makers: dict[str, Callable[..., list[Placed]]] = {
                "building": self._buildings,
                "house": self._house,
                "wall": self._wall,
                "fence": self._fence,
                "trees": self._trees,
                "bushes": self._bushes,
                "hedge": self._bushes,
                "open": self._open,
            }
            placed += makers[front](random, side, start, level)
        return placed + self._street(random, side, start, opening, index)

    def _at(self, thing: Mesh | Sprite, d: float, s: float, length: float = 0.0, **more: float | bool) -> Placed:
        scale, lit = float(more.get("scale", 1)), float(more.get("lit", 1))
        outward = 0.35 * abs(d - self.plan.own.d_m)
        contact, casts = bool(more.get("contact", False)), bool(more.get("casts", True))
        return Placed(thing, d, s, s + length / 2 + outward, scale, lit, contact, casts)

    def _front(self, side: int) -> float:
        return self.plan.front_m[0 if side < 0 else 1]

    def _buildings(self, random: np.random.Generator, side: int, start: float, level: float) -> list[Placed]:
        tall = 7 + 16 * level if self.plan.kind == "city" else 6 + 8 * level
        back = 0.0 if self.plan.kind == "city" else 12.0
        length = CELL_M if random.random() < 0.85 else CELL_M - float(random.uniform(2, 5))
        depth, height = float(random.uniform(9, 14)), tall * float(random.uniform(0.75, 1.25))
        mesh = furniture.building(random, side, length, depth, height)
        return [self._at(mesh, self._front(side) + side * back, start, CELL_M + 8)]

    def _house(self, random: np.random.Generator, side: int, start: float, level: float) -> list[Placed]:
        front = self._front(side)
        placed = []
        if random.random() < 0.7:
            mesh = furniture.building(random, side, float(random.uniform(7, 10.5)), 9, float(random.uniform(3.5, 6.5)))
            placed.append(self._at(mesh, front + side * float(random.uniform(3, 8)), start, 14))
        else:
            placed += self._trees(random, side, start, level)
        if level < 0.35:
            mesh = furniture.fence(random, CELL_M, 0.9 + level)
            placed.append(self._at(mesh, front, start, CELL_M, casts=False))
        elif level < 0.6:
            placed += self._bushes(random, side, start, level)
        return placed

    def _wall(self, random: np.random.Generator, side: int, start: float, level: float) -> list[Placed]:
        shared = np.random.default_rng((self.seed, 13, round(level * 1e6)))
        high = 1.2 + level * (1.5 if self.plan.kind != "highway" else 3.5)
        placed = [self._at(furniture.wall(shared, CELL_M, high), self._front(side), start, CELL_M + 2)]
        return placed + self._trees(random, side, start, level, 5.0, 0.6)

    def _fence(self, random: np.random.Generator, side: int, start: float, level: float) -> list[Placed]:
        shared = np.random.default_rng((self.seed, 14, round(level * 1e6)))
        mesh = furniture.fence(shared, CELL_M, 1.1 + 1.2 * level)
        placed = [self._at(mesh, self._front(side), start, CELL_M, casts=False)]
        return placed + self._trees(random, side, start, level, 3.5, 0.7)

    def _trees(
        self, random: np.random.Generator, side: int, start: float, level: float, back: float = 1.0, share: float = 1.0
    ) -> list[Placed]:
        count = random.poisson((2 + 4 * level) * share)
        placed = [
            self._tree(random, self._front(side) + side * (back + 12 * float(random.random()) ** 1.5), start)
            for _ in range(count)
        ]
        return placed + (self._bushes(random, side, start, level) if level > 0.5 and share == 1 else [])

    def _tree(self, random: np.random.Generator, d: float, start: float) -> Placed:
        sprite = sprites.trees()[int(random.integers(len(sprites.trees())))]
        scale, lit = float(random.uniform(0.7, 1.7)), float(random.uniform(0.75, 1.15))
        return self._at(sprite, d, start + float(random.uniform(0, CELL_M)), scale=scale, lit=lit)

    def _bushes(self, random: np.random.Generator, side: int, start: float, level: float) -> list[Placed]:
        """A hedge where the block's level is high, else some bushes."""
        placed = []
        for s in np.arange(0.5, CELL_M, 1.4 if level > 0.6 else 4).tolist():
            sprite = sprites.bushes()[int(random.integers(len(sprites.bushes())))]
            d = self._front(side) + side * (0.5 if level > 0.6 else float(random.uniform(0, 8)))
            size = {"scale": float(random.uniform(0.7, 1.3)), "lit": float(random.uniform(0.8, 1.1))}
            placed.append(self._at(sprite, d, start + s, casts=False, **size))
        return placed

    def _open(self, random: np.random.Generator, side: int, start: float, level: float) -> list[Placed]:
        far = self._front(side) + side * float(random.uniform(15, 35))
        return [self._tree(random, far, start)] if random.random() < 0.4 * level else []

    def _street(self, random: np.random.Generator, side: int, start: float, opening: bool, index: int) -> list[Placed]:
        plan = self.plan
        kerb, walk = (plan.kerb_m[0], plan.walk_m[0]) if side < 0 else (plan.kerb_m[1], plan.walk_m[1])
        placed: list[Placed] = []
        beside = kerb + side * 0.5
        urban = plan.kind in ("city", "suburb")
        lamps = index % (3 if urban else 4) == (side + 1) // 2
        if lamps and not opening and (urban or plan.busy > 0.5):
            placed.append(self._at(furniture.lamp_post(random, side), beside, start + 3))
        if opening and plan.kind == "city" and random.random() < 0.75:
            corner = start - 1.0 if side > 0 else start + CELL_M
            placed.append(self._at(furniture.traffic_light(random, side), beside, corner))
        if random.random() < (0.22 if urban else 0.12):
            placed.append(self._at(furniture.sign(random), beside + side * 0.2, start + float(random.uniform(1, 11))))
        if opening:
            return placed
        if urban and abs(walk - kerb) > 2 and random.random() < 0.35:
            placed.append(self._tree(random, kerb + side * 0.9, start))
        if urban and random.random() < 0.3 * plan.busy + 0.05:
            rack = sprites.parked()[int(random.integers(len(sprites.parked())))]
            for step in range(int(random.integers(1, 4))):
                placed.append(self._at(rack, beside + side * 0.6, start + 5 + 0.8 * step))
        if abs(kerb) - abs(plan.edge_m[0 if side < 0 else 1]) > 2 and urban:
            placed += self._parking(random, side, start)
        if plan.kind == "highway" and side > 0 and index % 25 == 7:
            span = (plan.divider_m + 0.3, kerb + 1.0)
            placed.append(self._at(furniture.gantry(random, span), 0.0, start, 4, casts=False))
        stretch = np.random.default_rng((self.seed, 15, side + 1, index // 10 + (1 << 20)))
        if not urban and plan.busy > 0.3 and stretch.random() < 0.5:
            placed.append(self._at(furniture.guard_rail(CELL_M), kerb + side * 0.4, start, CELL_M, casts=False))
        return placed

    def _parking(self, random: np.random.Generator, side: int, start: float) -> list[Placed]:
        edge = self.plan.edge_m[0 if side < 0 else 1] + side * 1.2
        placed = []
        for s in (0.5, 6.5):
            if random.random() < 0.25 + 0.6 * self.plan.busy:
                make = vehicles.truck if random.random() < 0.05 else vehicles.car
                placed.append(self._at(make(random, side < 0), edge, start + s, 4.5, contact=True))
        return placed

    def _divider(self, index: int) -> list[Placed]:
        plan, start = self.plan, index * CELL_M
        if plan.divider == "none" or opens(plan, index):
            return []
        random = np.random.default_rng((self.seed, 16))
        if plan.divider == "wall":
            return [self._at(furniture.wall(random, CELL_M, 0.95), 0.0, start, CELL_M)]
        if plan.divider == "rail":
            return [self._at(furniture.guard_rail(CELL_M), 0.0, start, CELL_M, casts=False)]
        random = np.random.default_rng((self.seed, 17, index + (1 << 20)))
        if plan.divider_m < 1.5 or random.random() < 0.5:
            return []
        sprite = sprites.bushes()[int(random.integers(len(sprites.bushes())))]
        return [self._at(sprite, 0.0, start + float(random.uniform(0, 10)), scale=float(random.uniform(0.5, 0.9)))]
