"""How long each stage takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

STAGES = ("decode", "preprocess", "invoke", "postprocess", "render", "encode")


class Timing:
    """Seconds per stage and frame; percentiles, never a bare mean."""

    def __init__(self) -> None:
        self.stages: dict[str, list[float]] = {name: [] for name in STAGES}
        self._start_s = time.perf_counter()
        self._end_s = self._start_s

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._end_s = time.perf_counter()
        self.stages[name].append(self._end_s - start)

    @property
    def frames(self) -> int:
        """Frames that reached the sinks."""
        return len(self.stages["encode"])

    @property
    def seconds(self) -> float:
        """Wall clock from the start to the end of the last stage."""
        return self._end_s - self._start_s

    @property
    def fps(self) -> float:
        return self.frames / self.seconds if self.seconds else 0.0

    def line(self) -> str:
        """What the picture's status line says: medians over the last frames."""
        recent = {name: float(np.median(times[-15:])) for name, times in self.stages.items() if times}
        if "invoke" not in recent:
            return ""
        return f"invoke {recent['invoke'] * 1e3:.1f} ms   {1 / sum(recent.values()):.1f} fps"

    def summary(self) -> dict[str, Any]:
        """Milliseconds, for --stats."""
        return {
            "frames": self.frames,
            "seconds": round(self.seconds, 3),
            "fps": round(self.fps, 2),
            "stages_ms": {name: percentiles_ms(times) for name, times in self.stages.items() if times},
        }


def percentiles_ms(seconds: list[float]) -> dict[str, float]:
    """Median, p90, p99 and maximum in milliseconds."""
    at = dict(zip(("median", "p90", "p99", "max"), np.percentile(seconds, [50, 90, 99, 100]), strict=True))
    return {name: round(float(value) * 1e3, 3) for name, value in at.items()}
