"""The ground: every pixel below the horizon looks up its distance from the centre line in a table."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data import Ids
from edge.scene.light import TILE, Light, noise_tile
from edge.scene.plan import Plan
from edge.scene.trainids import ROAD, SIDEWALK, TERRAIN
from edge.scene.view import Canvas, View

STEP_M = 0.04  # width of a column of the table
REACH_M = 48.0  # the outermost columns go on for ever
COLUMNS = int(2 * REACH_M / STEP_M)
GAP, DASH, FAR, CROSSING, SIDE_STREET = range(5)
CELL_M = 12.0  # side streets fill one cell of the roadside
ASPHALT_CELL = 3  # of the cells between two side streets, this is the opening
ROUGHNESS = np.full(256, 0.05, np.float32)  # how strong the grain is, by trainId
ROUGHNESS[TERRAIN] = 0.16
FINE_PER_M, COARSE_PER_M = 14.0, 0.7


def opens(plan: Plan, cell: int) -> bool:
    """Returns whether a side street leaves in that cell of the roadside."""
    return bool(side_street(plan, np.array([cell * CELL_M + 0.1], np.float32))[0] < CELL_M)


def side_street(plan: Plan, s_m: NDArray[np.float32]) -> NDArray[np.float32]:
    """Metres since the last side street's cell began; below CELL_M inside of it, large where there is none."""
    if not plan.side_street_m:
        return np.full_like(s_m, 1e6)
    return (s_m - ASPHALT_CELL * CELL_M) % np.float32(plan.side_street_m)


class Ground:
    """Tables of one scene: colour, trainId and roughness for each kind of row and each column."""

    def __init__(self, plan: Plan, random: np.random.Generator) -> None:
        self.plan = plan
        self.noise = noise_tile(int(random.integers(4)))
        self.dash_m, self.period_m = (6.0, 18.0) if plan.kind == "highway" else (3.0, 9.0)
        if random.random() < 0.3:
            self.dash_m, self.period_m = 3.0, 12.0
        d = np.asarray((np.arange(COLUMNS) + 0.5) * STEP_M - REACH_M, np.float64)
        self.colours = np.empty((5, COLUMNS, 3), np.float32)
        self.labels: Ids = np.empty((5, COLUMNS), np.uint8)
        grey = float(random.uniform(82, 150))
        asphalt = random.uniform(0.95 * grey, 1.05 * grey, 3)
        self._zones(d, asphalt, random)
        self._markings(d, asphalt, random)
        painted = np.clip(np.concatenate([self.colours, self.labels[..., None]], 2), 0, 255).astype(np.uint8)
        self.table = painted.view(np.uint32).ravel()  # R, G, B and trainId of a pixel in one look-up

    def _zones(self, d: NDArray[np.float64], asphalt: NDArray[np.float64], random: np.random.Generator) -> None:
        plan = self.plan
        grass = random.uniform((78, 92, 42), (150, 148, 92))
        paving = np.asarray(random.uniform(0.85, 1.05, 3) * random.uniform(125, 190), np.float64)
        for kind in range(5):
            self._paint(kind, d > -1e9, grass, TERRAIN)
            for side, (kerb, walk, front) in enumerate(zip(plan.kerb_m, plan.walk_m, plan.front_m, strict=True)):
                sign = 1 if side else -1
                out = d * sign
                if walk != kerb:
                    self._paint(kind, (out > abs(kerb)) & (out < abs(walk)), paving, SIDEWALK)
                    self._paint(kind, (out > abs(kerb)) & (out < abs(kerb) + 0.18), paving * 1.15, SIDEWALK)
                    if plan.kind == "city":
                        self._paint(kind, (out >= abs(walk)) & (out < abs(front)), paving * 0.95, SIDEWALK)
            road = (d > plan.kerb_m[0]) & (d < plan.kerb_m[1])
            if kind == SIDE_STREET:
                road = np.abs(d) < REACH_M + 1
            self._paint(kind, road, asphalt, ROAD)
            if plan.divider == "grass" and kind != SIDE_STREET:
                self._paint(kind, np.abs(d) < plan.divider_m, grass, TERRAIN)
            elif plan.divider != "none" and plan.kind == "city":
                self._paint(kind, np.abs(d) < plan.divider_m, paving, SIDEWALK)
        tracks = np.zeros(COLUMNS, np.float32)
        for lane in plan.lanes:
            tracks += np.exp(-(((np.abs(d - lane.d_m) - 0.75) / 0.3) ** 2)).astype(np.float32)
        self.colours *= (1 - float(random.uniform(0, 0.1)) * tracks * (self.labels[:1] == ROAD))[..., None]

    def _paint(self, kind: int, where: NDArray[np.bool_], colour: NDArray[np.float64], label: int) -> None:
        self.colours[kind, where] = colour
        self.labels[kind, where] = label

    def _markings(self, d: NDArray[np.float64], asphalt: NDArray[np.float64], random: np.random.Generator) -> None:
        plan = self.plan
        white = np.full(3, float(random.uniform(190, 240)))
        yellow = np.array((220, 172, 60.0))
        worn = float(random.uniform(0.5, 1))
        half = float(random.uniform(0.06, 0.1))
        middle = yellow if random.random() < 0.35 else white

        def line(kinds: tuple[int, ...], at: float, colour: NDArray[np.float64], share: float = 1.0) -> None:
            where = np.abs(d - at) < half
            for kind in kinds:
                self.colours[kind, where] = asphalt + (colour - asphalt) * worn * share

        whole = (GAP, DASH, FAR)
        for lane in plan.lanes:
            sign = np.sign(lane.d_m)
            outer = lane.d_m + sign * plan.lane_m / 2
            if abs(abs(outer) - plan.edge_m[1]) > 0.1:
                line((DASH,), outer, white)
                line((FAR,), outer, white, self.dash_m / self.period_m)
            elif plan.kind != "city" or random.random() < 0.3:
                line(whole, outer, white)
            inner = lane.d_m - sign * plan.lane_m / 2
            if plan.divider != "none" and abs(inner) < plan.divider_m + 1:
                line(whole, inner, middle)
        if plan.divider == "none" and (plan.kind != "suburb" or random.random() < 0.7):
            if random.random() < 0.5:
                line((DASH,), 0, middle)
                line((FAR,), 0, middle, self.dash_m / self.period_m)
            else:
                line(whole, -0.15, middle)
                line(whole, 0.15, middle)
        stripes = (np.abs(d) < plan.kerb_m[1] - 0.3) & (d % 1.0 < 0.5)
        self.colours[CROSSING, stripes] = asphalt + (white - asphalt) * worn

    def row_kinds(self, s_m: NDArray[np.float32], footprint_m: NDArray[np.float32]) -> NDArray[np.intp]:
        """Returns which table rows each lie under, from their distance along the road and the metres they cover."""
        kinds = np.where(s_m % self.period_m < self.dash_m, DASH, GAP)
        kinds[footprint_m > self.dash_m / 2] = FAR
        into = side_street(self.plan, s_m)
        kinds[into < CELL_M] = SIDE_STREET
        before = side_street(self.plan, s_m + 5)
        kinds[(before < 3.5) & (self.plan.kind == "city")] = CROSSING
        return kinds

    def paint(self, canvas: Canvas, view: View, light: Light, shadows: NDArray[np.uint8]) -> None:
        """Fills everything below the horizon; `shadows` uint8 (H, W) is how much light is missing."""
        height, width = view.size_hw
        top = max(0, int(np.ceil(view.horizon_px)))
        if top >= height:
            return
        rows = np.arange(top, height, dtype=np.float32) + np.float32(0.5 - view.horizon_px)
        z = np.minimum(view.focal_px * view.height_m / np.maximum(rows, 0.2), 900).astype(np.float32)
        s = z + np.float32(view.s_m)
        kinds = self.row_kinds(s, z * z / (view.focal_px * view.height_m))
        columns = (np.arange(width, dtype=np.float32) + np.float32(0.5 - view.middle_px)) / np.float32(view.focal_px)
        d = z[:, None] * columns - view.centres(z)[:, None]
        index = np.clip((d + np.float32(REACH_M)) * np.float32(1 / STEP_M), 0, COLUMNS - 1).astype(np.int32)
        index += (kinds * COLUMNS).astype(np.int32)[:, None]
        part = canvas.buffer[top:]
        part[:] = self.table.take(index).view(np.uint8).reshape(part.shape)
        factor = self._texture(d, s, z) * ROUGHNESS.take(part[..., 3])
        factor += 1
        factor *= 1 - shadows[top:] * np.float32(1 / 255)
        share = (1 - np.exp(-z / light.haze_m)).astype(np.float32)[:, None]
        factor *= 1 - share
        for channel, haze in enumerate(light.haze):
            lit = part[..., channel] * factor
            lit += share * np.float32(haze)
            part[..., channel] = cv2.convertScaleAbs(lit)

    def _texture(self, d: NDArray[np.float32], s: NDArray[np.float32], z: NDArray[np.float32]) -> NDArray[np.float32]:
        """Grain that is fixed to the ground, and fades where a pixel covers much of it, over slow patches."""
        total = np.zeros(d.shape, np.float32)
        for per_m, weight in ((FINE_PER_M, np.minimum(1, 14 / z)), (COARSE_PER_M, np.minimum(1, 120 / z))):
            along = np.broadcast_to(((s * per_m) % TILE)[:, None], d.shape).astype(np.float32)
            layer = cv2.remap(self.noise, d * np.float32(per_m), along, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
            total += layer * weight.astype(np.float32)[:, None]
        return total
