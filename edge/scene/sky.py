"""Draws sky, clouds and what rises at the horizon."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.scene.light import TILE, Light, noise_tile
from edge.scene.plan import Plan
from edge.scene.trainids import BUILDING, SKY, TERRAIN, VEGETATION
from edge.scene.view import SUBPIXEL_BITS, Canvas, View

Ridge = tuple[NDArray[np.float64], int, NDArray[np.float64], float]
"""Waves (frequency, phase, height), trainId, colour and distance of one line of hills, woods or roofs."""


class Sky:
    def __init__(self, plan: Plan, random: np.random.Generator) -> None:
        self.clouds = noise_tile(int(random.integers(4)), coarsest=128, fade=0.5)
        self.wind = random.uniform(-3, 3, 2)
        tall = {"city": 0.045, "suburb": 0.03, "highway": 0.03, "rural": 0.035}[plan.kind]
        self.ridges = [self._ridge(plan, random, tall * scale) for scale in (1.0, 0.6)]

    def _ridge(self, plan: Plan, random: np.random.Generator, tall: float) -> Ridge:
        waves = np.stack([random.uniform(2, 40, 6), random.uniform(0, 6.3, 6), random.uniform(0, 0.35, 6) * tall], 1)
        waves[0] = (0, np.pi / 2, tall * random.uniform(0.3, 1.2))
        share = {"city": (0.3, 0.0), "suburb": (0.75, 0.1), "highway": (0.6, 0.3), "rural": (0.6, 0.4)}[plan.kind]
        draw = random.random()
        if draw < share[0]:
            return waves, VEGETATION, random.uniform((52, 72, 40), (88, 104, 66)), float(random.uniform(150, 700))
        if draw < sum(share):
            return waves, TERRAIN, random.uniform((110, 106, 70), (150, 140, 104)), float(random.uniform(500, 1500))
        return waves, BUILDING, random.uniform((110, 105, 100), (170, 165, 160)), float(random.uniform(200, 600))

    def paint(self, canvas: Canvas, view: View, light: Light, t_s: float) -> None:
        """Fills everything above the horizon."""
        bottom = min(view.size_hw[0], max(0, int(np.ceil(view.horizon_px))))
        if bottom:
            self._dome(canvas, view, light, t_s, bottom)
        for ridge in self.ridges:
            self._rise(canvas, view, light, ridge)

    def _dome(self, canvas: Canvas, view: View, light: Light, t_s: float, bottom: int) -> None:
        width = view.size_hw[1]
        rise = ((view.horizon_px - 0.5 - np.arange(bottom)) / view.focal_px).clip(0.004).astype(np.float32)
        share = (1 - np.exp(-rise * 4)).astype(np.float32)[:, None]
        rows = np.array(light.haze, np.float32) * (1 - share) + np.array(light.zenith, np.float32) * share
        columns = ((np.arange(width) - view.middle_px) / view.focal_px).astype(np.float32)
        heading = view.bend.slope(view.s_m)
        far = 42 / (rise + np.float32(0.09))
        across = (columns[None] + np.float32(heading)) * far[:, None] + np.float32(self.wind[0] * t_s + TILE / 2)
        along = np.broadcast_to((far + np.float32(self.wind[1] * t_s))[:, None] % TILE, across.shape).astype(np.float32)
        clouds = cv2.remap(self.clouds, across, along, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        cover: NDArray[np.float32] = np.asarray(clouds, np.float32)
        cover *= np.float32(0.45)
        cover += np.float32(2.4 * light.clouds - 1.1)
        np.clip(cover, 0, 1, out=cover)
        cover *= np.minimum(1, rise * 9)[:, None]
        part = canvas.buffer[:bottom]
        for channel, cloud in enumerate(light.cloud_colour):
            base = rows[:, channel : channel + 1]
            part[..., channel] = cv2.convertScaleAbs(base + cover * (np.float32(cloud) - base))
        part[..., 3] = SKY

    def _rise(self, canvas: Canvas, view: View, light: Light, ridge: Ridge) -> None:
        waves, label, colour, far_m = ridge
        width = view.size_hw[1]
        u = np.linspace(0, width, max(64, width // 6))
        angle = (u - view.middle_px) / view.focal_px + view.bend.slope(view.s_m)
        if label == BUILDING:
            angle = np.floor(angle * 60) / 60
        rise = np.maximum(0.002, (waves[:, 2:] * np.sin(waves[:, :1] * angle + waves[:, 1:2])).sum(0)) * view.focal_px
        line = np.stack([u, view.horizon_px - rise], 1)
        polygon = np.concatenate([line, [(width, view.horizon_px + 1), (0, view.horizon_px + 1)]])
        red, green, blue = light.hazed(colour.astype(np.float32), far_m).astype(int).tolist()
        corners = np.rint(polygon * (1 << SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(canvas.buffer, [corners], (red, green, blue, label), cv2.LINE_8, SUBPIXEL_BITS)
