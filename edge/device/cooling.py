"""Watches the processor's temperature, and rests between frames to keep it from being throttled."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edge.device import board

EVERY_S = 2.0
_MARGIN_C = 3.0  # rests grow shorter below the limit by so much, so that the rate does not swing
_FIRST_REST_S, _LONGEST_REST_S, _FACTOR = 0.02, 2.0, 1.4


class Heat:
    """A watch over the board, which looks every 2 s in a thread of its own.

    Above `max_c`, `rest_s` between frames grows.

    A rest that the program takes spreads the heat; the clock that the firmware throttles would make every frame late.
    """

    def __init__(
        self,
        max_c: float | None = None,
        *,
        every_s: float = EVERY_S,
        temperature: Callable[[], float | None] = board.temperature_c,
        throttled: Callable[[], bool | None] = board.is_throttled,
    ) -> None:
        self.max_c, self.rest_s = max_c, 0.0
        self._temperature, self._throttled = temperature, throttled
        self.temperature_c, self.throttled = temperature(), throttled()  # None where the board does not tell
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(every_s,), name="heat", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join(1.0)

    def look(self) -> None:
        self.temperature_c, self.throttled = self._temperature(), self._throttled()
        if self.max_c is None or self.temperature_c is None:
            return
        if self.temperature_c > self.max_c:
            self.rest_s = min(max(self.rest_s * _FACTOR, _FIRST_REST_S), _LONGEST_REST_S)
        elif self.temperature_c < self.max_c - _MARGIN_C:
            self.rest_s = self.rest_s / _FACTOR if self.rest_s > _FIRST_REST_S else 0.0

    def _watch(self, every_s: float) -> None:
        while not self._closed.wait(every_s):
            self.look()
