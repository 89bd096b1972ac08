"""Knows what goes wrong on a device, and what fixes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge import memory
from edge.device.survey import Device, Package
from edge.engine.runtimes import RUNTIMES, Runtime
from edge.requirements import reinstall, required

WHEEL_MACHINES = ("aarch64", "x86_64", "arm64")  # for which LiteRT is published
DYNAMIC_DRIVERS = ("intel_pstate", "amd-pstate", "amd-pstate-epp")  # their powersave raises the clock under load


@dataclass(frozen=True, slots=True)
class Problem:
    what: str
    fix: str  # a command, or what to do where no command helps
    stops: bool = False  # run-model cannot work


def problems(device: Device) -> list[Problem]:
    """Returns the problems of a device, those that stop run-model first."""
    every = [*_platform(device), *_runtimes(device), *_libraries(device), *_camera(device), *_power(device)]
    return sorted(every, key=lambda problem: not problem.stops)


def usable_runtime(device: Device) -> str | None:
    """Returns the runtime that `auto` takes, None where none works."""
    return next((name for name, package in device.runtimes.items() if _works(package)), None)


def _works(package: Package | None) -> bool:
    return package is not None and not package.error


def _platform(device: Device) -> Iterator[Problem]:
    if device.machine in WHEEL_MACHINES and device.python_bits == 64:
        return
    what = f"{device.python_bits}-bit Python on {device.machine}: LiteRT is published for 64-bit systems only"
    if device.is_pi:
        yield Problem(what, "write the 64-bit Raspberry Pi OS with Raspberry Pi Imager (Pi 3, Zero 2 W and later)")
    else:
        yield Problem(what, "use a 64-bit system on x86-64 or Arm")


def _runtimes(device: Device) -> Iterator[Problem]:
    for name, package in device.runtimes.items():
        if package is not None and package.error:
            fix = memory.way_out() if memory.says_shortage(package.error) else _fix_of(RUNTIMES[name])
            yield Problem(f"{name} {package.version} cannot be imported: {package.error}", fix)
    used, litert = usable_runtime(device), f"pip install {required('ai-edge-litert')}"
    if used is None:
        starved = any(package and memory.says_shortage(package.error) for package in device.runtimes.values())
        fix = memory.way_out() if starved else litert
        yield Problem("no runtime can be imported, and run-model needs one", fix, stops=True)
    elif used == "tflite-runtime":
        yield Problem("only tflite-runtime is there, whose int8 kernels are old and slow", litert)


def _fix_of(runtime: Runtime) -> str:
    """Returns what makes a broken runtime work, or takes it away where it needs an environment of its own."""
    if runtime.extra_of_its_own:
        return f"pip uninstall -y {runtime.distribution}, or {runtime.pip_line()}"
    return reinstall(runtime.distribution)


def _libraries(device: Device) -> Iterator[Problem]:
    for name, distribution in (("numpy", "numpy"), ("opencv", "opencv-python-headless"), ("av", "av")):
        package = device.libraries[name]
        if package is None:
            yield Problem(f"{name} is not installed", f"pip install {required(distribution)}", stops=name != "av")
        elif "libGL" in package.error:
            yield Problem(f"{name}: {package.error}", "sudo apt install -y libgl1", stops=True)
        elif package.error:
            starved = memory.says_shortage(package.error)
            fix = memory.way_out() if starved else reinstall(distribution)
            yield Problem(f"{name} {package.version} cannot be imported: {package.error}", fix, stops=name != "av")
    if len(device.opencv_wheels) > 1:
        keep = next((name for name in device.opencv_wheels if "headless" not in name), device.opencv_wheels[0])
        yield Problem(
            f"{' and '.join(device.opencv_wheels)} overwrite each other's files",
            f"pip uninstall -y {' '.join(device.opencv_wheels)} && pip install {keep}",
        )
    elif device.display and device.opencv_wheels and "headless" in device.opencv_wheels[0]:
        yield Problem(
            f"display {device.display} is there, but {device.opencv_wheels[0]} cannot open a window",
            f"pip uninstall -y {device.opencv_wheels[0]} && pip install opencv-python",
        )
    if device.qt_twice:
        yield Problem(
            "OpenCV's own Qt and the installed PyQt or PySide cannot share a process",
            f"pip uninstall -y {' '.join(device.opencv_wheels)} && pip install opencv-python-headless",
        )


def _camera(device: Device) -> Iterator[Problem]:
    picamera2 = device.libraries["picamera2"]
    if picamera2 is not None and "size changed" in picamera2.error:
        yield Problem(
            f"picamera2: apt's simplejpeg was built for another numpy ({picamera2.error})",
            "pip install --upgrade simplejpeg",
        )
    elif picamera2 is not None and "libcamera" in picamera2.error:
        yield Problem(f"picamera2: {picamera2.error}", "sudo apt install -y python3-libcamera")
    elif picamera2 is not None and picamera2.error:
        yield Problem(f"picamera2: {picamera2.error}", "sudo apt install -y --reinstall python3-picamera2")
    elif picamera2 is None and device.apt_picamera2 and not device.sees_system_packages:
        yield Problem(
            "picamera2 is installed, but this virtual environment does not see the system's packages",
            f"python3 -m venv --system-site-packages {device.venv}",
        )
    elif picamera2 is None and device.is_pi:
        yield Problem(
            "picamera2 is not installed: no Pi camera",
            "sudo apt install -y --no-install-recommends python3-picamera2",
        )
    refused = [node.device for node in device.video_nodes if node.kind == "refused" and "group" in node.reason]
    if refused:
        yield Problem(
            f"{', '.join(refused)}: this user may not open {'it' if len(refused) == 1 else 'them'}",
            "sudo usermod -aG video $USER, then log in again",
        )


def _power(device: Device) -> Iterator[Problem]:
    if device.governor == "powersave" and device.clock_driver not in DYNAMIC_DRIVERS:
        yield Problem(
            "governor powersave keeps the clock at its lowest",
            "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
        )
    if device.throttle is None:
        return
    seen = {*device.throttle.now, *device.throttle.ever}
    if "undervoltage" in seen:
        when = "now" if "undervoltage" in device.throttle.now else "since boot"
        yield Problem(
            f"undervoltage {when}: the supply or its cable is too weak, the clock drops and cameras fail",
            "use the official supply (5 V 3 A for a Pi 4, 5 V 5 A for a Pi 5), then reboot",
        )
    if seen - {"undervoltage"}:
        when = "now" if set(device.throttle.now) - {"undervoltage"} else "since boot"
        yield Problem(
            f"slowed down by heat or supply {when}: {', '.join(sorted(seen - {'undervoltage'}))}",
            "add a heat sink or fan, or run-model with `max_temp` 75",
        )
