"""Energy, where the board tells it."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from edge.device import board


class Meter(Protocol):
    """Measures from `begin` to `end`; `tick` is called now and then between the two.

    `end` returns joules, or None where nothing is known. None of them raises.
    """

    source: str  # empty where the board tells nothing

    def begin(self) -> None: ...

    def tick(self) -> None: ...

    def end(self) -> float | None: ...


class NoMeter:
    """A board that tells nothing."""

    source = ""

    def begin(self) -> None: ...

    def tick(self) -> None: ...

    def end(self) -> float | None:
        return None


class Counters:
    """Files that count microjoules up, and where they start again at 0."""

    def __init__(self, source: str, files: dict[Path, float]) -> None:
        self.source, self._files = source, files
        self._before: dict[Path, float | None] = {}

    def begin(self) -> None:
        self._before = {file: _number(file) for file in self._files}

    def tick(self) -> None: ...

    def end(self) -> float | None:
        total = 0.0
        for file, wraps in self._files.items():
            before, after = self._before.get(file), _number(file)
            if before is None or after is None:
                return None
            total += (after - before) + (wraps if after < before else 0.0)
        return total / 1e6


class Power:
    """Something that tells watts at a moment: their mean over the moments seen, times the duration."""

    def __init__(self, source: str, watts: Callable[[], float | None]) -> None:
        self.source, self._watts = source, watts
        self._seen: list[float] = []
        self._start_s = 0.0

    def begin(self) -> None:
        self._seen, self._start_s = [], time.perf_counter()

    def tick(self) -> None:
        watts = self._watts()
        if watts is not None:
            self._seen.append(watts)

    def end(self) -> float | None:
        seconds = time.perf_counter() - self._start_s
        self.tick()  # the sensors average over some milliseconds: the work is still in it
        return sum(self._seen) / len(self._seen) * seconds if self._seen else None


def find_meter(root: Path = board.ROOT) -> Meter:
    """Returns the best there is: RAPL, a hwmon sensor of the board, the power controller of a Raspberry Pi 5."""
    packages = {
        zone / "energy_uj": _number(zone / "max_energy_range_uj") or 0.0
        for zone in sorted(root.glob("sys/class/powercap/intel-rapl:*"))
        if re.fullmatch(r"intel-rapl:\d+", zone.name) and _number(zone / "energy_uj") is not None
    }  # sub-zones, such as the cores, are part of their package
    if packages:
        return Counters("RAPL, the whole processor", packages)
    for chip in sorted(root.glob("sys/class/hwmon/hwmon*")):
        name = _text(chip / "name")
        energy = {file: 0.0 for file in chip.glob("energy*_input") if _number(file) is not None}
        if energy:
            return Counters(f"hwmon {name}", energy)
        power = [file for file in chip.glob("power*_input") if _number(file) is not None]
        if power:
            return Power(f"hwmon {name}", lambda files=tuple(power): _microwatts(files))  # type: ignore[misc]
    if board.is_raspberry_pi(root) and pmic_watts() is not None:
        return Power("Raspberry Pi 5 power controller", pmic_watts)
    return NoMeter()


def pmic_watts() -> float | None:
    """Volts times amperes, over all rails that the controller lists both of. Asking takes some milliseconds."""
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    try:
        done = subprocess.run([program, "pmic_read_adc"], capture_output=True, text=True, timeout=2, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return rails(done.stdout)


def rails(text: str) -> float | None:
    """Watts from lines such as `3V7_WL_SW_A current(0)=0.08A` and `3V7_WL_SW_V volt(8)=3.71V`."""
    readings = re.findall(r"(\w+)_([AV]) (?:current|volt)\(\d+\)=([\d.]+)[AV]", text)
    amperes = {rail: float(value) for rail, kind, value in readings if kind == "A"}
    volts = {rail: float(value) for rail, kind, value in readings if kind == "V"}
    both = amperes.keys() & volts.keys()
    return sum(amperes[rail] * volts[rail] for rail in both) if both else None


def _microwatts(files: tuple[Path, ...]) -> float | None:
    numbers = [_number(file) for file in files]
    return (
        sum(number for number in numbers if number is not None) / 1e6 if any(n is not None for n in numbers) else None
    )


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text("ascii", "replace"))
    except (OSError, ValueError):
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
