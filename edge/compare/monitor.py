"""Watches whether the machine held still while something was measured: heat, clock, throttling, neighbours, energy."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from edge.device import board
from edge.device.energy import Meter, find_meter
from edge.processors import available_processors

STOLEN = 0.02  # share of the processors' time that the hypervisor may take away
OTHERS = 0.10  # share that other processes may take
SLOWED = 0.90  # of the fastest clock seen


@dataclass(frozen=True, slots=True)
class Sample:
    """The board at one moment, since the comparison began; None where it does not tell."""

    t_s: float
    temperature_c: float | None
    clock_mhz: float | None
    throttled: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Load:
    """Processor seconds since boot."""

    busy_s: float
    stolen_s: float
    own_s: float
    at_s: float


@dataclass(slots=True)
class Watch:
    """What was seen during one turn."""

    start_s: float
    end_s: float = 0.0
    clock_mhz: float | None = None  # right after the work, before it can fall
    reasons: list[str] = field(default_factory=list)


class Monitor:
    """Looks at the board at the ends of each turn and, through `tick`, within."""

    def __init__(self, meter: Meter | None = None, throttled: Callable[[], board.Throttle | None] = board.throttled):
        self.samples: list[Sample] = []
        self.notes: list[str] = []  # what else a reader must know
        self.meter = meter or find_meter()
        self._throttled = throttled
        self._start_s = time.perf_counter()
        self._pids: list[int] = []
        self._asked_s = -1.0
        self._held: tuple[str, ...] = ()

    def follow(self, pids: Sequence[int | None]) -> None:
        """Remembers the processes whose work is not that of a neighbour; this one's is not, either."""
        self._pids = [os.getpid(), *(pid for pid in pids if pid)]

    def tick(self) -> None:
        self.meter.tick()
        if not self.samples or self.now() - self.samples[-1].t_s >= 1:
            self.sample()

    def sample(self) -> Sample:
        if self.now() - self._asked_s >= 1:  # it may be a process
            throttle = self._throttled()
            self._held, self._asked_s = throttle.now if throttle else (), self.now()
        self.samples.append(Sample(self.now(), board.temperature_c(), board.clock_mhz(), self._held))
        return self.samples[-1]

    def begin(self) -> tuple[Watch, Any]:
        self.sample()
        return Watch(self.now()), self._load()

    def end(self, begun: tuple[Watch, Any]) -> Watch:
        watch, before = begun
        watch.clock_mhz = board.clock_mhz()
        watch.end_s = self.now()
        watch.reasons = neighbours(before, self._load())
        self.sample()
        held = {name for sample in self.samples if sample.t_s >= watch.start_s for name in sample.throttled}
        watch.reasons += [f"the board reported: {name}" for name in sorted(held)]
        return watch

    def now(self) -> float:
        """Returns seconds since the comparison began."""
        return time.perf_counter() - self._start_s

    def _load(self) -> _Load:
        total = psutil.cpu_times()
        own = 0.0
        for pid in self._pids:
            try:
                times = psutil.Process(pid).cpu_times()
            except psutil.Error:  # it died, which is noticed elsewhere
                continue
            own += times.user + times.system
        stolen = getattr(total, "steal", 0.0)
        busy = sum(total) - total.idle - getattr(total, "iowait", 0.0) - stolen
        busy -= getattr(total, "guest", 0.0) + getattr(total, "guest_nice", 0.0)  # part of user and nice
        return _Load(busy, stolen, own, time.perf_counter())


def neighbours(before: _Load, after: _Load, cores: int | None = None) -> list[str]:
    """Returns why a turn is doubtful, from what other processes and other machines took of the processors."""
    available = (after.at_s - before.at_s) * (cores or os.cpu_count() or 1)
    stolen = (after.stolen_s - before.stolen_s) / available
    others = (after.busy_s - before.busy_s - (after.own_s - before.own_s)) / available
    reasons = []
    if stolen > STOLEN:
        reasons.append(f"the hypervisor took more than {STOLEN:.0%} of the processors")
    if others > OTHERS:
        reasons.append(f"other processes took more than {OTHERS:.0%} of the processors")
    return reasons


def slowed(clocks: Sequence[float | None]) -> list[bool]:
    """Returns which turns ended at a clock well below the fastest of all."""
    fastest = max((clock for clock in clocks if clock), default=0.0)
    return [clock is not None and clock < SLOWED * fastest for clock in clocks]


def doubts(turns: Sequence[Sequence[str]]) -> list[str]:
    """Returns why a run is invalid: what disturbed a fifth of its rounds or more, or held its clock down in any."""
    counts: dict[str, int] = {}
    for reason in (reason for turn in turns for reason in turn):
        counts[reason] = counts.get(reason, 0) + 1
    return [
        f"{reason} in {count} of {len(turns)} rounds"
        for reason, count in counts.items()
        if count * 5 >= len(turns) or reason.startswith("the board")
    ]


def warnings(threads: Sequence[int], root: Path = board.ROOT) -> list[str]:
    """Returns what about the machine makes times unsteady, with the way out."""
    texts = []
    governor = board.governor(root)
    if governor not in (None, "performance"):
        texts.append(
            f"the processor's governor is {governor}, so that clocks depend on what ran before: "
            "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        )
    allowed = available_processors()
    if allowed < (os.cpu_count() or 1):
        texts.append(f"pinned to {allowed} of {os.cpu_count()} cores: what is measured is this share of the machine")
    most = max(threads, default=1)
    if most > allowed:
        texts.append(f"{most} threads share {allowed} cores: ask for `threads` {allowed} or fewer")
    quota = _quota_cores(root)
    if quota is not None and most > quota:
        texts.append(f"the container may use {quota:g} cores at a time, {most} threads are stopped and started")
    return texts


def _quota_cores(root: Path) -> float | None:
    """Of a container, https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files."""
    try:
        quota, period = (root / "sys/fs/cgroup/cpu.max").read_text("ascii").split()
        return float(quota) / float(period)
    except (OSError, ValueError):  # none, or "max"
        return None
