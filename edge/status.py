"""Tells how a run is doing, in a line and in figures."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from edge.controls import Controls, RunDescription, RunStatistics, State
from edge.device.cooling import Heat
from edge.sources.options import SourceHealth
from edge.text import counted
from edge.timing import Timing

_FRESH_S = 0.5  # however many ask, the figures are worked out this seldom


class Status:
    """The source of what the picture, the web page, the statistics file and systemd are told.

    It is safe from any thread.
    """

    def __init__(
        self, run: RunDescription, timing: Timing, health: SourceHealth, controls: Controls, heat: Heat
    ) -> None:
        self._run, self._timing, self._health = run, timing, health
        self._controls, self._heat = controls, heat
        self._lock = threading.Lock()
        self._fresh_until_s, self._known = 0.0, self.whole_run()

    def now(self) -> RunStatistics:
        """Returns how the run is doing, with the rate of the last seconds."""
        with self._lock:
            if time.perf_counter() > self._fresh_until_s:
                whole = self.whole_run()
                timing = replace(whole.timing, fps=round(self._timing.fps_now(), 2))
                self._known = replace(whole, timing=timing, state=self.state())
                self._fresh_until_s = time.perf_counter() + _FRESH_S
            return self._known

    def whole_run(self) -> RunStatistics:
        """Returns how the run did from its start."""
        health, heat = self._health, self._heat
        return RunStatistics(
            self._run,
            self._timing.summary(),
            health.drops,
            health.reconnects,
            health.skipped,
            health.jumps,
            heat.temperature_c,
            heat.throttled,
            left_out=health.left_out.counts(),
        )

    def state(self) -> State:
        """Returns what the pipeline is doing."""
        if self._health.fault:
            return "reconnecting"
        if self._controls.paused:
            return "paused"
        return "running" if self._timing.frames else "starting"

    def line(self) -> str:
        """Returns what the picture says along its upper edge."""
        health, heat = self._health, self._heat
        parts = [
            self._timing.line(),
            _delegated(self._run),
            f"{health.drops} dropped" if health.drops else "",
            f"{health.reconnects} reconnects" if health.reconnects else "",
            f"{health.skipped} damaged" if health.skipped else "",
            counted(health.jumps, "clock jump") if health.jumps else "",
            f"{heat.temperature_c:.0f} C" if heat.temperature_c is not None else "",
            "THROTTLED" if heat.throttled else "",
            f"resting {heat.rest_s * 1e3:.0f} ms a frame above {heat.max_c:g} C" if heat.rest_s else "",
        ]
        return "   ".join(part for part in parts if part)

    def log(self) -> str:
        """Returns a line for a log and `systemctl status`."""
        trouble = f"   {self._health.fault}" if self._health.fault else ""
        return f"{self.state()}, {self._timing.frames} frames   {self.line()}{trouble}"


def _delegated(run: RunDescription) -> str:
    """What the picture says of an external delegate."""
    if not run.delegate:
        return ""
    takes = counted(run.delegate_operators, "operator") if run.delegate_operators else "takes nothing"
    return f"{run.delegate} {takes}"
