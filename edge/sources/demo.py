"""Draws the embedded demo drive as it is read."""

from __future__ import annotations

import time
from collections.abc import Iterator

from edge.data import Frame, SourceInfo

DEMO_HW = (720, 1280)
DEMO_SECONDS = 10


class Demo:
    """A source of the demo clip at 1280x720 from `start_s` on, 10 s of it unless `limit` says otherwise."""

    def __init__(self, limit: int | None = None, start_s: float = 0.0) -> None:
        from edge.scene import DEMO_RATE

        count = DEMO_SECONDS * round(DEMO_RATE) if limit is None else limit
        self._count, self._first = count, round(start_s * DEMO_RATE)
        self.info = SourceInfo(name="demo", size_wh=DEMO_HW[::-1], rate=DEMO_RATE, frame_count=count, is_drawn=True)

    def __iter__(self) -> Iterator[Frame]:
        from edge.scene import DEMO_RATE, DEMO_SEED, Scene

        scene = Scene(DEMO_SEED)
        for index in range(self._first, self._first + self._count):
            pixels, _ = scene.draw(float(index / DEMO_RATE), DEMO_HW)
            yield Frame(pixels, index, time.perf_counter())

    def close(self) -> None:
        """Holds nothing."""
