"""Reads what the kernel says about the board: processor, clock, heat, supply, memory.

Every function reads files below `root`, costs well under a millisecond unless it says otherwise, and returns None
where the board does not tell.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")

# What XNNPACK picks its int8 and half-float kernels by, as the kernel spells it -> as people do.
_FEATURES = {
    "asimddp": "dotprod",
    "i8mm": "i8mm",
    "asimdhp": "fp16",
    "bf16": "bf16",
    "sve": "sve",
    "fma": "fma",
    "avx2": "avx2",
    "avx512f": "avx512",
    "avx_vnni": "avx_vnni",
    "avx512_vnni": "avx512_vnni",
    "avx512_bf16": "avx512_bf16",
    "amx_int8": "amx_int8",
    "amx_bf16": "amx_bf16",
}

_VNNI = {"avx_vnni", "avx512_vnni", "amx_int8"}  # those of x86 that add int8 products in 32 bits

# oneDNN, whose kernels OpenVINO computes with, heeds both: it uses no more of the processor than they name.
_CAPS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")

# Arm's part numbers, from the MIDR_EL1 entry of each processor's technical reference manual.
_ARM_PARTS = {
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd0d": "Cortex-A77",
    "0xd40": "Neoverse-V1",
    "0xd41": "Cortex-A78",
    "0xd49": "Neoverse-N2",
    "0xc07": "Cortex-A7",
}

# https://www.raspberrypi.com/documentation/computers/os.html#get_throttled: bits 0-3 now, the same from 16 since boot.
_THROTTLE_BITS = ("undervoltage", "clock capped", "throttled", "soft temperature limit")

RECENT_S = 10.0  # processors that only count events are called throttled for so long after one


@dataclass(frozen=True, slots=True)
class Throttle:
    """The reasons that hold the clock down: `undervoltage`, `clock capped`, `throttled`, `soft temperature limit`."""

    now: tuple[str, ...]
    ever: tuple[str, ...]  # since boot


@dataclass(frozen=True, slots=True)
class Memory:
    total_mb: float  # 10^6 bytes
    available_mb: float


def board_name(root: Path = ROOT) -> str | None:
    """Returns `Raspberry Pi 5 Model B Rev 1.0`, or maker and product of a PC."""
    model = _read(root / "sys/firmware/devicetree/base/model") or _read(root / "proc/device-tree/model")
    if model:
        return model
    dmi = root / "sys/devices/virtual/dmi/id"
    names = [name for name in (_read(dmi / "sys_vendor"), _read(dmi / "product_name")) if name]
    return " ".join(names) or None


def is_raspberry_pi(root: Path = ROOT) -> bool:
    return "Raspberry Pi" in (board_name(root) or "")


def machine_id(root: Path = ROOT) -> str:
    """Returns what tells this machine from others until it starts anew: processes and containers that share its cores
    have the same.
    """
    return _read(root / "proc/sys/kernel/random/boot_id") or platform.node()


def os_name(root: Path = ROOT) -> str | None:
    """Returns `Debian GNU/Linux 13 (trixie)` or the like."""
    match = re.search(r'^PRETTY_NAME="?([^"\n]*)', _read(root / "etc/os-release") or "", re.MULTILINE)
    return match.group(1) if match else None


def cpu_name(root: Path = ROOT) -> str | None:
    """Returns `Cortex-A76`, `Cortex-A55 + Cortex-A76` where cores differ, or what an x86 processor calls itself."""
    fields = _cpuinfo(root)
    if names := fields.get("model name"):
        return names[0]
    parts = [_ARM_PARTS.get(part, f"Arm part {part}") for part in fields.get("CPU part", [])]
    return " + ".join(sorted(set(parts))) or None


def cpu_features(root: Path = ROOT) -> tuple[str, ...]:
    """Returns the features that make int8 and float16 networks faster in XNNPACK, such as `dotprod` and `i8mm`."""
    fields = _cpuinfo(root)
    flags = set(" ".join((fields.get("Features") or fields.get("flags") or [""])[:1]).split())
    return tuple(name for flag, name in _FEATURES.items() if flag in flags)


def kernel_cap() -> str:
    """Returns what of the processor OpenVINO may use at most, `ONEDNN_MAX_CPU_ISA=AVX2`; empty where the user leaves it
    all.
    """
    return ", ".join(f"{name}={os.environ[name]}" for name in _CAPS if os.environ.get(name))


def processor() -> tuple[str | None, tuple[str, ...], str, int | None]:
    """Returns all that kernels are picked by: what was measured or tried on one processor says nothing of others."""
    return cpu_name(), cpu_features(), kernel_cap(), os.cpu_count()


def int8_note(narrow: bool, root: Path = ROOT) -> str | None:
    """Returns what int8 lacks here and what follows, in a line; None where it lacks nothing.

    `narrow` is whether OpenVINO's kernels were found to add int8 products in 16 bits (edge.engine.openvino_saturation).
    """
    lacks = "flags" in _cpuinfo(root) and _VNNI.isdisjoint(cpu_features(root))  # Arm's are Features
    effects = ["int8 gains less over float32"] * lacks + ["OpenVINO computes int8 with smaller weights"] * narrow
    cause = "no VNNI" if lacks else kernel_cap() or "kernels that add in 16 bits"
    return f"{cause}: {'; '.join(effects)}" if effects else None


def governor(root: Path = ROOT) -> str | None:
    """Returns the governor of the first core: `ondemand`, `performance`, `powersave`, ..."""
    return _read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def clock_driver(root: Path = ROOT) -> str | None:
    """Returns the driver that obeys the governor: `cpufreq-dt`, or `intel_pstate` and its like, which mean other things
    by its names.
    """
    return _read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_driver")


def clock_mhz(root: Path = ROOT) -> float | None:
    """Returns the clock of the fastest core at this moment."""
    return _fastest(root, "scaling_cur_freq") or max(map(float, _cpuinfo(root).get("cpu MHz", [])), default=None)


def max_clock_mhz(root: Path = ROOT) -> float | None:
    """Returns the clock that the fastest core may run at."""
    return _fastest(root, "cpuinfo_max_freq")


def temperature_c(root: Path = ROOT) -> float | None:
    """Returns the processor's temperature, that of its hottest sensor where there are several."""
    zones = [
        zone / "temp"
        for zone in root.glob("sys/class/thermal/thermal_zone*")
        if re.search(r"cpu|soc|x86_pkg", _read(zone / "type") or "", re.IGNORECASE)
    ]
    sensors = [
        sensor
        for chip in root.glob("sys/class/hwmon/hwmon*")
        if _read(chip / "name") in ("coretemp", "k10temp", "zenpower", "cpu_thermal")
        for sensor in chip.glob("temp*_input")
    ]
    readings = [number for number in map(_number, zones or sensors) if number is not None]
    return max(readings) / 1000 if readings else None


def throttled(root: Path = ROOT) -> Throttle | None:
    """Returns what holds the clock down now and since boot.

    A Raspberry Pi 5 tells only through `vcgencmd`, a process of some milliseconds: ask once a second, not every frame.
    x86 processors count events: `now` is whether one was added since an earlier call, within the last RECENT_S.
    """
    word = _firmware_word(root)
    if word is not None:
        return Throttle(_named(word), _named(word >> 16))
    counts = [_number(path) for path in root.glob("sys/devices/system/cpu/cpu*/thermal_throttle/*_throttle_count")]
    if not counts:
        return None
    events = int(sum(count or 0 for count in counts))
    return Throttle(("throttled",) if _rose(root, events) else (), ("throttled",) if events else ())


def is_throttled(root: Path = ROOT) -> bool | None:
    """Returns whether heat or a weak supply holds the clock down now; costs what `throttled` does."""
    throttle = throttled(root)
    return None if throttle is None else bool(throttle.now)


def memory(root: Path = ROOT) -> Memory | None:
    kilobytes = dict(re.findall(r"^(\w+):\s+(\d+) kB", _read(root / "proc/meminfo") or "", re.MULTILINE))
    try:
        total, available = (int(kilobytes[name]) * 1024 / 1e6 for name in ("MemTotal", "MemAvailable"))
    except KeyError:
        return None
    return Memory(total, available)


def display() -> str | None:
    """Returns the display that a window would open on."""
    return os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY") or None


def _read(path: Path) -> str | None:
    """A small file of the kernel without the NUL and newline at its end; None where it is not there or refuses."""
    try:
        return path.read_text("utf-8", "replace").strip("\0\n ")
    except OSError:
        return None


def _number(path: Path) -> float | None:
    try:
        return float(_read(path) or "")
    except ValueError:
        return None


def _cpuinfo(root: Path) -> dict[str, list[str]]:
    """Fields of /proc/cpuinfo, each with its values in the order of the cores."""
    fields: dict[str, list[str]] = {}
    for line in (_read(root / "proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), []).append(value.strip())
    return fields


def _fastest(root: Path, name: str) -> float | None:
    kilohertz = [_number(path) for path in root.glob(f"sys/devices/system/cpu/cpu*/cpufreq/{name}")]
    return max((number / 1000 for number in kilohertz if number is not None), default=None)


def _firmware_word(root: Path) -> int | None:
    """The Raspberry Pi firmware's throttle word: from the kernel, which has no file for it on a Pi 5, or vcgencmd."""
    texts = [_read(path) for path in root.glob("sys/devices/platform/soc*/soc*:firmware/get_throttled")]
    text = next(filter(None, texts), None) or (_vcgencmd() if is_raspberry_pi(root) else "")
    try:
        return int(text.removeprefix("throttled="), 16)
    except ValueError:
        return None


def _vcgencmd() -> str:
    """`throttled=0x50000`; empty where the program is missing or the user is not in the group video."""
    program = shutil.which("vcgencmd")
    if program is None:
        return ""
    try:
        done = subprocess.run([program, "get_throttled"], capture_output=True, text=True, timeout=2, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _named(bits: int) -> tuple[str, ...]:
    return tuple(name for bit, name in enumerate(_THROTTLE_BITS) if bits >> bit & 1)


_seen: dict[Path, tuple[int, float]] = {}  # root -> events at the last call, time of their last rise


def _rose(root: Path, events: int) -> bool:
    """Remembers the time too, so that each of several callers learns of a rise."""
    before, rise_s = _seen.get(root, (events, -RECENT_S))
    now_s = time.monotonic()
    rise_s = now_s if events > before else rise_s
    _seen[root] = (events, rise_s)
    return now_s - rise_s < RECENT_S
