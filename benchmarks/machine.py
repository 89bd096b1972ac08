"""The machine that a benchmark runs on, and what else it does meanwhile."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from edge.device.environment import environment
from edge.versions import installed

TOLD = ("cpu", "cores", "cpu_features", "memory_mb", "os", "python")
PACKAGES = ("ai-edge-litert", "tensorflow", "openvino", "onnxruntime", "tf2onnx", "supervision")


def machine() -> dict[str, Any]:
    """Processor, memory, system and the versions of what is compared, as JSON can hold them."""
    about = asdict(environment())
    versions = about["versions"] | {name: version for name in PACKAGES if (version := installed(name))}
    return {**{name: about[name] for name in TOLD}, "versions": {k: versions[k] for k in sorted(versions)}}


def described(about: dict[str, Any]) -> str:
    """One line of what `machine` tells."""
    features = ", ".join(about["cpu_features"])
    parts = [
        f"{about['cores']} cores of {about['cpu'] or platform.machine()}",
        f"with {features}" if features else "",
        f"{about['memory_mb'] / 1000:.1f} GB" if about["memory_mb"] else "",
        about["os"],
        f"Python {about['python']}",
        *(f"{name} {version}" for name, version in about["versions"].items()),
    ]
    return ", ".join(part for part in parts if part).replace(", with", " with", 1)


@dataclass(frozen=True, slots=True)
class Load:
    """Processor seconds since boot, and those of this process with its children that have ended."""

    at_s: float
    busy_s: float
    own_s: float

    @classmethod
    def now(cls) -> Load:
        total, own = psutil.cpu_times(), os.times()
        idle = total.idle + getattr(total, "iowait", 0.0)
        guest = getattr(total, "guest", 0.0) + getattr(total, "guest_nice", 0.0)  # part of user and nice
        return cls(time.perf_counter(), sum(total) - idle - guest, sum(own[:4]))

    def others(self, later: Load) -> float:
        """The share of all processors that everything else took from here to `later`, stolen time included."""
        available = (later.at_s - self.at_s) * (os.cpu_count() or 1)
        return max(0.0, (later.busy_s - self.busy_s - (later.own_s - self.own_s)) / available)
