"""Logits to labels at 720p: the kit's boundary-cells-only upsample against upsampling every class.

Both give the argmax of the bilinearly upsampled (align_corners) logits, 65x129x19 -> 720x1280. The logits are
the truth of a generated road scene, blurred: 8 % or so of their cells hold a boundary, as in real street scenes.
"""

from __future__ import annotations

import time

import cv2
import numpy as np

from edge.postprocess import Upsample, nearest
from edge.scene import DEMO_SEED, Scene

SIZE_HW, FRAME_HW, CLASSES = (65, 129), (720, 1280), 19


def scene_logits() -> np.ndarray:
    ids = nearest(Scene(DEMO_SEED).draw(2.0, FRAME_HW)[1], SIZE_HW)
    scores = (np.arange(CLASSES) == ids[..., None]).astype(np.float32)
    blurred = np.dstack([cv2.GaussianBlur(scores[..., c], (0, 0), 0.8) for c in range(CLASSES)])
    noise = np.random.default_rng(0).normal(scale=0.02, size=blurred.shape)
    return np.round((blurred + noise) * 100).clip(-128, 127).astype(np.int8)


def every_class(logits: np.ndarray) -> np.ndarray:
    """The naive way, on OpenCV: a full-size plane per class and a running maximum."""
    (h, w), (height, width) = SIZE_HW, FRAME_HW
    matrix = np.array([[(w - 1) / (width - 1), 0, 0], [0, (h - 1) / (height - 1), 0]])
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    best = np.full(FRAME_HW, -np.inf, np.float32)
    ids = np.zeros(FRAME_HW, np.uint8)
    for c in range(CLASSES):
        plane = logits[..., c].astype(np.float32)
        value = cv2.warpAffine(plane, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        ids[value > best] = c
        np.maximum(best, value, out=best)
    return ids


def main() -> None:
    cv2.setNumThreads(1)
    logits, upsample = scene_logits(), Upsample(SIZE_HW, FRAME_HW)
    ways = {"every class": lambda: every_class(logits), "boundary cells": lambda: upsample(logits)}
    print(f"equal pixels: {np.mean(every_class(logits) == upsample(logits)):.6f}")
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(41):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - start)
    median = {name: float(np.median(t)) * 1e3 for name, t in times.items()}
    for name, ms in median.items():
        print(f"{name}: {ms:.2f} ms, {median['every class'] / ms:.1f} times as fast")


if __name__ == "__main__":
    main()
