"""Each known conflict is told, with what fixes it, and a sound device has none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from raspberry import PI

from edge.device.board import Throttle
from edge.device.cameras import Node
from edge.device.problems import problems, usable_runtime
from edge.device.survey import Package

GOOD = Package("1.0", "")


def with_runtimes(**packages: Package | None) -> dict[str, Any]:
    return {"runtimes": {**dict.fromkeys(PI.runtimes), **packages}}


def with_libraries(**packages: Package | None) -> dict[str, Any]:
    return {"libraries": {**PI.libraries, **packages}}


def broken(error: str) -> Package:
    return Package("1.0", error)


def test_a_sound_pi_has_no_problem() -> None:
    assert problems(PI) == []
    assert usable_runtime(PI) == "litert"


def test_a_sound_laptop_has_no_problem() -> None:
    laptop = replace(
        PI,
        is_pi=False,
        machine="x86_64",
        governor="powersave",
        clock_driver="intel_pstate",
        display=":0",
        opencv_wheels=("opencv-python",),
        apt_picamera2=False,
        **with_libraries(picamera2=None),
    )
    assert problems(laptop) == []


@pytest.mark.parametrize(
    ("changes", "what", "fix"),
    [
        (with_runtimes(), "no runtime", 'pip install "ai-edge-litert>='),
        (with_libraries(numpy=None), "numpy is not installed", 'pip install "numpy>='),
        (with_libraries(opencv=broken("ImportError: libGL.so.1: no such file")), "libGL", "sudo apt install -y libgl1"),
        (with_libraries(opencv=broken("ImportError: x.so: failed to map segment")), "x.so", "end other programs, or"),
        (with_libraries(numpy=broken("MemoryError")), "MemoryError", "end other programs, or"),
        (with_libraries(opencv=broken("ImportError: numpy.core")), "numpy.core", "pip install --force-reinstall"),
    ],
    ids=["no runtime", "no numpy", "libGL", "memory", "little memory", "opencv"],
)
def test_what_stops(changes: dict[str, Any], what: str, fix: str) -> None:
    (problem,) = problems(replace(PI, **changes))
    assert problem.stops
    assert what in problem.what
    assert problem.fix.startswith(fix)


def test_a_runtime_that_memory_is_short_for_is_not_installed_again() -> None:
    found = problems(replace(PI, **with_runtimes(litert=broken("ImportError: x.so: failed to map segment"))))
    assert [problem.stops for problem in found] == [True, False]
    assert all(problem.fix.startswith("end other programs, or") for problem in found)


VIDEO0 = Node("/dev/video0", "C920", "", "refused", "refuses: not in the group video")


@pytest.mark.parametrize(
    ("changes", "what", "fix"),
    [
        (
            with_libraries(picamera2=broken("ValueError: numpy.dtype size changed, Expected 96 from C header")),
            "another numpy",
            "pip install --upgrade simplejpeg",
        ),
        (
            with_libraries(picamera2=broken("ModuleNotFoundError: No module named 'libcamera'")),
            "libcamera",
            "sudo apt install -y python3-libcamera",
        ),
        (with_libraries(picamera2=broken("ImportError: x")), "x", "sudo apt install -y --reinstall python3-picamera2"),
        (
            {**with_libraries(picamera2=None), "sees_system_packages": False},
            "does not see the system's packages",
            "python3 -m venv --system-site-packages /home/pi/.venv",
        ),
        (
            {**with_libraries(picamera2=None), "apt_picamera2": False},
            "picamera2 is not installed",
            "sudo apt install -y --no-install-recommends python3-picamera2",
        ),
        (
            {"opencv_wheels": ("opencv-python", "opencv-python-headless")},
            "overwrite each other",
            "pip uninstall -y opencv-python opencv-python-headless && pip install opencv-python",
        ),
        ({"display": ":0"}, "cannot open a window", "pip uninstall -y opencv-python-headless && pip install opencv-py"),
        ({"qt_twice": True}, "Qt", "pip uninstall -y opencv-python-headless && pip install opencv-python-headless"),
        ({"video_nodes": (VIDEO0,)}, "/dev/video0: this user", "sudo usermod -aG video $USER"),
        ({"governor": "powersave"}, "powersave", "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/"),
        ({"throttle": Throttle((), ("undervoltage",))}, "undervoltage since boot", "use the official supply"),
        ({"throttle": Throttle(("undervoltage",), ("undervoltage",))}, "undervoltage now", "use the official supply"),
        ({"throttle": Throttle((), ("throttled",))}, "since boot: throttled", "add a heat sink or fan"),
        ({"throttle": Throttle(("throttled",), ("throttled",))}, "now: throttled", "add a heat sink or fan"),
        (with_runtimes(**{"tflite-runtime": GOOD}), "only tflite-runtime", 'pip install "ai-edge-litert>='),
        (
            {"runtimes": {**PI.runtimes, "openvino": broken("ImportError: y")}},
            "openvino 1.0 cannot be imported",
            'pip install --force-reinstall "openvino>=',
        ),
        ({"machine": "aarch64", "python_bits": 32}, "32-bit Python on aarch64", "write the 64-bit Raspberry Pi OS"),
        ({"machine": "armv7l", "python_bits": 32}, "32-bit Python on armv7l", "write the 64-bit Raspberry Pi OS"),
    ],
)
def test_what_does_not_stop(changes: dict[str, Any], what: str, fix: str) -> None:
    (problem,) = problems(replace(PI, **changes))
    assert not problem.stops
    assert what in problem.what
    assert problem.fix.startswith(fix)


@pytest.mark.parametrize(
    ("wheels", "kept"),
    [
        (("opencv-python", "opencv-python-headless"), "opencv-python"),
        (("opencv-python-headless", "opencv-contrib-python"), "opencv-contrib-python"),
    ],
)
def test_of_two_opencv_wheels_the_one_with_windows_is_kept(wheels: tuple[str, ...], kept: str) -> None:
    (problem,) = problems(replace(PI, opencv_wheels=wheels))
    assert problem.fix.endswith(f"&& pip install {kept}")


def test_what_stops_comes_first() -> None:
    device = replace(PI, python_bits=32, governor="powersave", **with_runtimes())
    assert [problem.stops for problem in problems(device)] == [True, False, False]
