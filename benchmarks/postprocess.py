"""Logits to labels at 720p: the kit's boundary-cells-only upsample against upsampling every class.

Both give the argmax of the bilinearly upsampled (align_corners) logits, 65x129x19 -> 720x1280. The logits are
the truth of a generated road scene, blurred: 8 % or so of their cells hold a boundary, as in real street scenes.
"""

from __future__ import annotations

import time

import cv2
import numpy as np
from scenes import FRAME_HW, scene_logits
from scoreboard import benchmark, row

from edge.scene import DEMO_SEED, Scene
from edge.upsample import Upsample

SIZE_HW, EVERY = (65, 129), "upsampling every class"


def every_class(logits: np.ndarray) -> np.ndarray:
    """The naive way, on OpenCV: a full-size plane per class and a running maximum."""
    (h, w), (height, width) = SIZE_HW, FRAME_HW
    matrix = np.array([[(w - 1) / (width - 1), 0, 0], [0, (h - 1) / (height - 1), 0]])
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    best = np.full(FRAME_HW, -np.inf, np.float32)
    ids = np.zeros(FRAME_HW, np.uint8)
    for c in range(logits.shape[2]):
        plane = logits[..., c].astype(np.float32)
        value = cv2.warpAffine(plane, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        ids[value > best] = c
        np.maximum(best, value, out=best)
    return ids


def main() -> None:
    cv2.setNumThreads(1)
    with benchmark("postprocess", "Scores to labels at 720p", "times as fast") as entry:
        logits = scene_logits(Scene(DEMO_SEED).draw(2.0, FRAME_HW)[1], SIZE_HW, 0)[0]
        upsample = Upsample(SIZE_HW, FRAME_HW)
        same = float(np.mean(every_class(logits) == upsample(logits)))
        entry.about = f"One core, 65x129x19 scores of a street scene; both agree on {same:.4%} of the pixels."
        ways = {EVERY: lambda: every_class(logits), "kit: border cells only": lambda: upsample(logits)}
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(41):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                times[name].append((time.perf_counter() - start) * 1e3)
        entry.rows += [row(name, found, base=times[EVERY]) for name, found in times.items()]


if __name__ == "__main__":
    main()
