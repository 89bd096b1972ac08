"""Simulates weather, daylight and what the lens and the sensor make of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data import Pixels

Colour = tuple[float, float, float]
TILE = 512


@dataclass(frozen=True, slots=True)
class Light:
    """Colours are RGB, 0 to 255; factors multiply them."""

    sun_d: float  # metres a shadow falls to the right per metre of height
    sun_s: float  # the same, ahead
    shadow: float  # 0 none to 1 black
    sides: tuple[float, float, float, float]  # brightness of left, right, near and top faces
    haze: Colour
    haze_m: float  # distance at which 63 % of the colour is haze
    zenith: Colour
    clouds: float  # 0 none to 1 covered
    cloud_colour: Colour

    @property
    def shading(self) -> NDArray[np.float32]:
        """`sides` as a column to multiply colours with."""
        return np.array(self.sides, np.float32)[:, None]

    def hazed(self, colours: NDArray[np.float32], z_m: float) -> NDArray[np.float32]:
        """Returns colours (..., 3) as seen from a distance."""
        share = self.haze_share(z_m)
        seen: NDArray[np.float32] = colours * np.float32(1 - share) + np.array(self.haze, np.float32) * np.float32(
            share
        )
        return seen

    def haze_share(self, z_m: float) -> float:
        return 1 - math.exp(-max(z_m, 0.0) / self.haze_m)


def between(random: np.random.Generator, low: Colour, high: Colour) -> Colour:
    """Returns a random colour with each channel between those of two others."""
    red, green, blue = random.uniform(low, high).tolist()
    return red, green, blue


def daylight(random: np.random.Generator) -> Light:
    """Returns one of sunny, cloudy, overcast, foggy or evening."""
    mood = random.choice(["sunny", "cloudy", "overcast", "fog", "evening"], p=[0.35, 0.25, 0.22, 0.06, 0.12])
    sun_d = float(random.uniform(0.3, 1.6) * random.choice([-1, 1]))
    lit, dim = random.uniform(0.95, 1.15), random.uniform(0.55, 0.75)
    left, right = (lit, dim) if sun_d > 0 else (dim, lit)
    sides = (left, right, random.uniform(0.6, 1.0), 1.12)
    hazy = between(random, (200, 208, 212), (235, 238, 245))
    sunny = Light(
        sun_d,
        float(random.uniform(-0.6, 0.6)),
        float(random.uniform(0.4, 0.62)),
        sides,
        hazy,
        float(random.uniform(700, 2500)),
        between(random, (60, 115, 185), (125, 170, 235)),
        float(random.uniform(0, 0.45)),
        (246, 247, 250),
    )
    if mood == "sunny":
        return sunny
    grey = float(random.uniform(165, 235))
    flat = (0.88, 0.88, float(random.uniform(0.75, 0.92)), 1.0)
    cover = (grey, grey + 2, grey + 5)
    zenith = (grey * 0.82, grey * 0.86, grey * 0.92)
    if mood == "cloudy":
        return Light(sun_d, sunny.sun_s, float(random.uniform(0.1, 0.3)), sides, hazy, 900, sunny.zenith, 0.75, cover)
    if mood == "overcast":
        return Light(sun_d, 0, 0.0, flat, cover, float(random.uniform(400, 1500)), zenith, 0.95, cover)
    if mood == "fog":
        return Light(sun_d, 0, 0.0, flat, cover, float(random.uniform(70, 200)), cover, 1.0, cover)
    glow = between(random, (225, 165, 120), (250, 205, 165))
    blue = between(random, (70, 85, 130), (120, 130, 180))
    return Light(sun_d * 2, sunny.sun_s, 0.4, sides, glow, 900, blue, 0.4, (235, 190, 170))


@lru_cache(maxsize=8)
def noise_tile(seed: int, coarsest: int = 64, fade: float = 0.6) -> NDArray[np.float32]:
    """Seamless noise float32 (TILE, TILE) of mean 0 and deviation 1, from `coarsest` pixels down to one."""
    random = np.random.default_rng((6, seed))
    tile = np.zeros((TILE, TILE), np.float32)
    scale, weight = coarsest, 1.0
    while scale >= 1:
        cells = random.standard_normal((TILE // scale, TILE // scale)).astype(np.float32)
        wrapped = np.pad(cells, 1, mode="wrap")
        smooth = cv2.resize(wrapped, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        tile += weight * smooth[scale : scale + TILE, scale : scale + TILE]
        scale, weight = scale // 2, weight * fade
    whole: NDArray[np.float32] = ((tile - tile.mean()) / tile.std()).astype(np.float32)
    return whole


@dataclass(frozen=True, slots=True)
class Lens:
    """Blur, vignette, colour cast and noise of one camera."""

    blur: float  # sigma at 513 rows, in pixels
    gains: Colour
    gamma: float
    noise: float  # deviation in grey levels
    vignette: float  # 0 none to 1 black corners

    def expose(self, pixels: Pixels, random: np.random.Generator) -> Pixels:
        """Returns the picture as the sensor delivers it."""
        height, width = pixels.shape[:2]
        seen = cv2.GaussianBlur(pixels, (0, 0), max(0.45, self.blur * height / 513))
        if self.vignette > 0:
            seen = cv2.multiply(seen, _corners((height, width), self.vignette), scale=1 / 255)
        ramp = np.linspace(0, 1, 256)[:, None] ** self.gamma * 255 * np.array(self.gains)
        seen = cv2.LUT(seen, np.clip(ramp, 0, 255).astype(np.uint8).reshape(1, 256, 3))
        top, left = random.integers(_GRAIN_ROOM, size=2)
        grain = _grain((height, width), self.noise)[top : top + height, left : left + width]
        return np.asarray(cv2.add(seen, grain, dtype=cv2.CV_8U), np.uint8)


_GRAIN_ROOM = 64  # a frame takes its grain from a random place of a larger sheet


@lru_cache(maxsize=1)
def _static() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((TILE, TILE, 3), np.float32)


@lru_cache(maxsize=2)
def _grain(size_hw: tuple[int, int], deviation: float) -> NDArray[np.int8]:
    tile = np.rint(_static() * np.float32(deviation)).astype(np.int8)
    height, width = size_hw[0] + _GRAIN_ROOM, size_hw[1] + _GRAIN_ROOM
    return np.tile(tile, (-(-height // TILE), -(-width // TILE), 1))


@lru_cache(maxsize=2)
def _corners(size_hw: tuple[int, int], strength: float) -> Pixels:
    y = np.linspace(-1, 1, size_hw[0])[:, None] ** 2
    x = np.linspace(-1, 1, size_hw[1])[None] ** 2
    mask = np.clip(255 * (1 - strength * (x + y) ** 1.5 / 2.8), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(mask[..., None], 3, 2))


def camera_lens(random: np.random.Generator) -> Lens:
    gain = float(random.uniform(0.88, 1.3))
    gains = between(random, (0.93 * gain,) * 3, (1.07 * gain,) * 3)
    return Lens(
        float(random.choice([0.4, 0.7, 1.1])),
        gains,
        float(random.uniform(0.85, 1.25)),
        float(random.uniform(0.5, 4.5)),
        float(random.choice([0, random.uniform(0.05, 0.35)])),
    )
