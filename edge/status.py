"""How a run is doing, in a line and in figures."""

from __future__ import annotations

import threading
import time
from typing import Any

from edge.controls import Controls
from edge.device.cooling import Heat
from edge.sources.options import SourceHealth
from edge.timing import Timing

_FRESH_S = 0.5  # however many ask, the figures are worked out this seldom


class Status:
    """What the picture, the web page, `--stats` and systemd are told. Safe from any thread.

    `about` are the figures that never change, `model` and `source` among them.
    """

    def __init__(
        self, about: dict[str, Any], timing: Timing, health: SourceHealth, controls: Controls, heat: Heat
    ) -> None:
        self._about, self._timing, self._health = about, timing, health
        self._controls, self._heat = controls, heat
        self._lock = threading.Lock()
        self._fresh_until_s, self._known = 0.0, dict[str, Any]()

    def stats(self) -> dict[str, Any]:
        """As `edge.controls.LivePipeline.stats` says."""
        with self._lock:
            if time.perf_counter() > self._fresh_until_s:
                self._known = {**self.whole_run(), "fps": round(self._timing.fps_now(), 2), "state": self.state()}
                self._fresh_until_s = time.perf_counter() + _FRESH_S
            return dict(self._known)

    def whole_run(self) -> dict[str, Any]:
        """For --stats: `fps` is over all of it."""
        health = self._health
        return {
            **self._about,
            **self._timing.summary(),
            "drops": health.drops,
            "reconnects": health.reconnects,
            "skipped": health.skipped,
            "temperature_c": self._heat.temperature_c,
            "throttled": self._heat.throttled,
        }

    def state(self) -> str:
        if self._health.fault:
            return "reconnecting"
        if self._controls.paused:
            return "paused"
        return "running" if self._timing.frames else "starting"

    def line(self) -> str:
        """What the picture says along its upper edge."""
        health, heat = self._health, self._heat
        found = [
            self._timing.line(),
            f"{health.drops} dropped" if health.drops else "",
            f"{health.reconnects} reconnects" if health.reconnects else "",
            f"{health.skipped} damaged" if health.skipped else "",
            f"{heat.temperature_c:.0f} C" if heat.temperature_c is not None else "",
            "THROTTLED" if heat.throttled else "",
            f"resting {heat.rest_s * 1e3:.0f} ms a frame above {heat.max_c:g} C" if heat.rest_s else "",
        ]
        return "   ".join(part for part in found if part)

    def log(self) -> str:
        """For a log and `systemctl status`."""
        trouble = f"   {self._health.fault}" if self._health.fault else ""
        return f"{self.state()}, {self._timing.frames} frames   {self.line()}{trouble}"
