"""Material of the benchmarks: a clip, and scores as a network would give them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from edge.data import Frame, Ids, LabelMap, Logits, Result, SourceInfo
from edge.postprocess import nearest
from edge.scene import DEMO_RATE, demo_clip
from edge.sinks.open import open_sink

FRAME_HW, CLASSES = (720, 1280), 19


def write_clip(path: Path, frames: int) -> Path:
    """A 720p H.264 clip of generated scenes."""
    info = SourceInfo("demo", FRAME_HW[::-1], DEMO_RATE, frames)
    with closing(open_sink(str(path), info)) as sink:
        for index, (pixels, ids) in enumerate(demo_clip(frames, FRAME_HW)):
            sink.write(Result(Frame(pixels, index, 0.0), LabelMap(ids), pixels))
    return path


def scene_logits(ids: Ids, size_hw: tuple[int, int], seed: int) -> Logits:
    """int8 (1, h, w, C) scores of a label map, blurred and with noise: some 8 % of the cells of 65x129 hold a border,
    as in street scenes."""
    scores = (np.arange(CLASSES) == nearest(ids, size_hw)[..., None]).astype(np.float32)
    blurred = np.dstack([cv2.GaussianBlur(scores[..., c], (0, 0), 0.8) for c in range(CLASSES)])
    noise = np.random.default_rng(seed).normal(scale=0.02, size=blurred.shape)
    return np.round((blurred + noise) * 100).clip(-128, 127).astype(np.int8)[None]
