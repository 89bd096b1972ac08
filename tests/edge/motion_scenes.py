"""Scenes that move as a test says."""

from __future__ import annotations

import cv2
import numpy as np

from edge.data import Frame, Ids, Pixels

SIZE_HW = 180, 320


def texture(seed: int, size_hw: tuple[int, int] = SIZE_HW) -> Pixels:
    """RGB uint8 (H, W, 3) with detail everywhere."""
    noise = np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), np.uint8)
    return np.asarray(cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX), np.uint8)  # type: ignore[call-overload]


def scene(x_px: int, seed: int = 0, size_hw: tuple[int, int] = SIZE_HW) -> tuple[Pixels, Ids]:
    """A box of another texture, class 1 in front of class 0, with its left edge `x_px` from the left."""
    pixels, ids = texture(seed, size_hw), np.zeros(size_hw, np.uint8)
    height, width = size_hw
    box = np.s_[height // 4 : 3 * height // 4, x_px : x_px + width // 4]
    front = cv2.add(texture(seed + 1, size_hw)[: height // 2, : width // 4] // 3, (150, 150, 150, 0))
    pixels[box], ids[box] = front[: ids[box].shape[0]], 1
    return pixels, ids


def frame(pixels: Pixels, index: int) -> Frame:
    return Frame(pixels, index, index / 30)


def dark(seed: int) -> Pixels:
    """Night: nothing but the sensor's noise."""
    noise = np.random.default_rng(seed).normal(6, 3, (*SIZE_HW, 3))
    return noise.clip(0, 255).astype(np.uint8)
