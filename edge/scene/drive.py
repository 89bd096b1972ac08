"""A drive through one generated scene."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import count as counter
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data import IGNORE, Ids, Pixels
from edge.scene.ground import CELL_M, Ground
from edge.scene.light import camera_lens, daylight
from edge.scene.plan import plan
from edge.scene.roadside import Placed, Roadside
from edge.scene.sky import Sky
from edge.scene.traffic import Traffic, Walkers
from edge.scene.view import Canvas, View, darken

SIGHT_M = 190.0
DETAIL_M = 75.0  # small things are left out beyond
SHADOW_M = 60.0
DEMO_SEED = 145
DEMO_RATE = Fraction(25)


class Scene:
    """A road, its surroundings, the weather and the camera; the same seed gives the same drive."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        random = np.random.default_rng((seed, 1))
        self.plan = plan(random)
        self.light = daylight(random)
        self.lens = camera_lens(random)
        self.ground = Ground(self.plan, random)
        self.sky = Sky(self.plan, random)
        self.roadside = Roadside(self.plan, seed)
        self.traffic = Traffic(self.plan, random)
        self.walkers = Walkers(self.plan, seed)
        self.mirrored = bool(random.random() < 0.15)  # drives on the left
        self.start_m = float(random.uniform(0, 5000))

    def draw(self, t_s: float, size_hw: tuple[int, int]) -> tuple[Pixels, Ids]:
        """Returns what the camera sees `t_s` seconds into the drive, and the trainId of every pixel; 255 fits no
        class.
        """
        view = self._view(t_s, size_hw)
        canvas = Canvas(size_hw)
        things = self._things(view, t_s)
        self.sky.paint(canvas, view, self.light, t_s)
        self.ground.paint(canvas, view, self.light, self._shadows(view, things))
        for placed in things:
            placed.draw(canvas, view, self.light)
        if self.plan.bonnet:
            self._bonnet(canvas)
        buffer = cv2.flip(canvas.buffer, 1) if self.mirrored else canvas.buffer
        moment = np.random.default_rng((self.seed, 3, round(t_s * 1e4)))
        pixels = self.lens.expose(np.asarray(cv2.cvtColor(buffer, cv2.COLOR_RGBA2RGB), np.uint8), moment)
        return pixels, np.asarray(cv2.extractChannel(buffer, 3), np.uint8)

    def _view(self, t_s: float, size_hw: tuple[int, int]) -> View:
        height, width = size_hw
        plan = self.plan
        focal = plan.focal * width
        nod = 0.0035 * math.sin(7.1 * t_s) * math.sin(1.3 * t_s) + 0.002 * math.sin(2.3 * t_s)
        sway = 0.12 * math.sin(0.7 * t_s) + 0.05 * math.sin(1.9 * t_s)
        s = self.start_m + plan.own.speed_mps * t_s
        return View(
            size_hw, focal, plan.horizon * height + nod * focal, plan.height_m, plan.own.d_m + sway, s, plan.bend
        )

    def _things(self, view: View, t_s: float) -> list[Placed]:
        """Everything in sight, far to near."""
        first, last = int((view.s_m - 16) // CELL_M), int((view.s_m + SIGHT_M) // CELL_M)
        things = self.traffic.vehicles(view.s_m, t_s)
        for index in range(first, last + 1):
            far = index * CELL_M - view.s_m > DETAIL_M
            things += [placed for placed in self.roadside.cell(index) if not (far and placed.small)]
            things += self.walkers.cell(index, t_s)
        return sorted(things, key=lambda placed: placed.order_m, reverse=True)

    def _shadows(self, view: View, things: list[Placed]) -> NDArray[np.uint8]:
        """How much light the ground lacks, uint8 (H, W)."""
        mask = np.zeros(view.size_hw, np.uint8)
        near = [placed for placed in things if placed.s_m - view.s_m < SHADOW_M]
        if self.light.shadow > 0.05:
            for placed in near:
                if placed.casts:
                    placed.shade(mask, view, self.light)
        mask[:] = cv2.convertScaleAbs(mask, alpha=self.light.shadow)
        for placed in near:
            if placed.contact:
                self._contact(mask, view, placed)
        return np.asarray(cv2.blur(mask, (3, 3)), np.uint8)

    def _contact(self, mask: NDArray[np.uint8], view: View, placed: Placed) -> None:
        base = getattr(placed.thing, "base", None)
        if base is None:
            return
        darken(mask, view, view.see(base, placed.d_m, placed.s_m), 165)

    def _bonnet(self, canvas: Canvas) -> None:
        height, width = canvas.buffer.shape[:2]
        random = np.random.default_rng((self.seed, 4))
        tone = float(random.uniform(15, 120))
        paint = (int(tone), int(tone * 1.02), int(tone * 1.06), IGNORE)
        middle = (width // 2, int(height * (1 + self.plan.bonnet * 0.8)))
        axes = (int(width * random.uniform(0.5, 0.75)), int(height * self.plan.bonnet * 1.8))
        cv2.ellipse(canvas.buffer, middle, axes, 0, 0, 360, paint, -1)


def scene_frame(seed: int, t_s: float, size_hw: tuple[int, int]) -> tuple[Pixels, Ids]:
    """Returns one moment of the drive that `seed` gives: RGB uint8 (H, W, 3) and trainIds uint8 (H, W)."""
    return Scene(seed).draw(t_s, size_hw)


def demo_clip(count: int | None = None, size_hw: tuple[int, int] = (720, 1280)) -> Iterator[tuple[Pixels, Ids]]:
    """Returns the embedded clip, `DEMO_RATE` frames a second; without `count` it never ends."""
    scene = Scene(DEMO_SEED)
    return islice((scene.draw(float(i / DEMO_RATE), size_hw) for i in counter()), count)
