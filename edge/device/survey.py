"""Surveys what run-model finds on this machine: the board, and what is installed.

It works where numpy or OpenCV cannot be imported: that is when it is needed.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import util
from pathlib import Path

from edge import memory
from edge.device import board
from edge.device.board import Memory, Throttle
from edge.device.cameras import Node, Search, cameras, video_nodes
from edge.engine.runtimes import RUNTIMES
from edge.processors import available_processors
from edge.versions import installed

TRIED = {runtime.name: (runtime.module, runtime.distribution) for runtime in RUNTIMES.values() if runtime.tried_by_auto}
"""Runtime -> module that run-model imports, distribution; in the order in which `auto` takes them."""

LIBRARIES = {
    "numpy": ("numpy", "numpy"),
    "opencv": ("cv2", "opencv-python-headless"),
    "av": ("av", "av"),
    "picamera2": ("picamera2", "picamera2"),
}
"""What else run-model imports, the last only for the Pi's camera."""

OPENCV_WHEELS = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)

SYSTEM_PACKAGES = Path("/usr/lib/python3/dist-packages")  # where apt puts modules
IMPORT_S = 120.0  # TensorFlow from a slow SD card
STARVED_S = 30.0  # where memory is limited: OpenBLAS asks for ever for what it is refused


@dataclass(frozen=True, slots=True)
class Package:
    """An installed package; `error` is what importing it says, empty where it works."""

    version: str
    error: str


@dataclass(frozen=True, slots=True)
class Device:
    board: str | None
    is_pi: bool
    os: str | None
    kernel: str
    machine: str  # of the kernel: aarch64, x86_64, armv7l
    python: str
    python_bits: int  # 64, or 32 also on a 64-bit kernel
    venv: str | None
    sees_system_packages: bool
    cpu: str | None
    cores: int  # that this process may use
    features: tuple[str, ...]
    int8_note: str | None  # what int8 lacks on this processor
    governor: str | None
    clock_driver: str | None
    clock_mhz: float | None
    max_clock_mhz: float | None
    temperature_c: float | None
    throttle: Throttle | None
    memory: Memory | None
    runtimes: Mapping[str, Package | None]  # None: not installed
    libraries: Mapping[str, Package | None]
    opencv_wheels: tuple[str, ...]
    qt_twice: bool  # OpenCV brings its own Qt, and another is installed
    apt_picamera2: bool
    cameras: Search
    video_nodes: tuple[Node, ...]
    display: str | None


def look(root: Path = board.ROOT) -> Device:
    """Returns everything about this machine; it takes the seconds that the runtimes take to be imported."""
    packages = try_packages({**TRIED, **LIBRARIES})
    in_venv = sys.prefix != sys.base_prefix
    return Device(
        board=board.board_name(root),
        is_pi=board.is_raspberry_pi(root),
        os=board.os_name(root),
        kernel=f"{platform.system()} {platform.release()}",
        machine=platform.machine(),
        python=platform.python_version(),
        python_bits=64 if sys.maxsize > 2**32 else 32,
        venv=sys.prefix if in_venv else None,
        sees_system_packages=not in_venv or str(SYSTEM_PACKAGES) in sys.path,
        cpu=board.cpu_name(root),
        cores=available_processors(),
        features=board.cpu_features(root),
        int8_note=board.int8_note(_openvino_is_narrow(packages.get("openvino")), root),
        governor=board.governor(root),
        clock_driver=board.clock_driver(root),
        clock_mhz=board.clock_mhz(root),
        max_clock_mhz=board.max_clock_mhz(root),
        temperature_c=board.temperature_c(root),
        throttle=board.throttled(root),
        memory=board.memory(root),
        runtimes={name: packages[name] for name in TRIED},
        libraries={name: packages[name] for name in LIBRARIES},
        opencv_wheels=tuple(name for name in OPENCV_WHEELS if installed(name)),
        qt_twice=_qt_twice(),
        apt_picamera2=(SYSTEM_PACKAGES / "picamera2").is_dir(),
        cameras=cameras(root),
        video_nodes=tuple(video_nodes(root)),
        display=board.display(),
    )


def _openvino_is_narrow(openvino: Package | None) -> bool:
    """Whether its int8 kernels add in 16 bits: asked in a process of its own; no where it cannot be asked."""
    if openvino is None or openvino.error:
        return False
    code = "from edge.engine.openvino_saturation import saturates; print(saturates())"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=IMPORT_S,
            check=False,
            cwd=Path(__file__).parents[1],
        )
    except subprocess.TimeoutExpired:
        return False
    return done.stdout.strip() == "True"


def try_packages(wanted: Mapping[str, tuple[str, str]]) -> dict[str, Package | None]:
    """Imports each module in a process of its own, all at once: one built for another processor would end this one."""
    tried: dict[str, subprocess.Popen[str] | None] = {name: _start(module) for name, (module, _) in wanted.items()}
    packages: dict[str, Package | None] = {}
    for name, process in tried.items():
        version = _found_version(name, wanted[name][1])
        packages[name] = None if process is None else Package(version, _import_error(process))
    return packages


def _start(module: str) -> subprocess.Popen[str] | None:
    """A process that imports the module; None where it is not installed."""
    top = module.partition(".")[0]
    try:
        if util.find_spec(top) is None:
            return None
    except (ImportError, ValueError):  # a stand-in without a spec
        return None
    return subprocess.Popen(
        [sys.executable, "-c", f"import {module}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )


def _import_error(process: subprocess.Popen[str]) -> str:
    limited = memory.limit_kb() is not None
    starved, patience_s = (", most likely out of memory", STARVED_S) if limited else ("", IMPORT_S)
    try:
        _, said = process.communicate(timeout=patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return f"importing it takes more than {patience_s:g} s{starved}"
    if process.returncode == 0:
        return ""
    if process.returncode < 0:
        return f"importing it ends Python with signal {-process.returncode}{starved}"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return f"{lines[-1]:.200}" if lines else f"importing it fails without a word{starved}"


def _found_version(name: str, distribution: str) -> str:
    names = OPENCV_WHEELS if name == "opencv" else (distribution,)
    return next(filter(None, map(installed, names)), "")


def _qt_twice() -> bool:
    opencv = util.find_spec("cv2")
    own = opencv is not None and any((Path(p) / "qt").is_dir() for p in opencv.submodule_search_locations or ())
    return own and any(util.find_spec(name) for name in ("PyQt5", "PyQt6", "PySide2", "PySide6"))
