"""Shows what was found on a device as lines, and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from edge.device.problems import Problem, problems, usable_runtime
from edge.device.survey import Device, Package

WIDTH = 80
LABEL = 13  # columns


def device_as_json(device: Device) -> dict[str, Any]:
    """Returns everything about a device, what is wrong with it, and whether run-model can work there."""
    listed = problems(device)
    about = {**asdict(device), "runtime": usable_runtime(device)}
    ready = not any(problem.stops for problem in listed)
    return {**about, "problems": [asdict(problem) for problem in listed], "ready": ready}


def lines(device: Device) -> Iterator[str]:
    """Yields the findings, a label and a text each, wrapped."""
    yield from row("Board", device.board or "does not say")
    yield from row("System", ", ".join(filter(None, (device.os, device.kernel, device.machine))))
    sees = "with" if device.sees_system_packages else "without"
    where = f"{device.venv} ({sees} system packages)" if device.venv else "no virtual environment"
    yield from row("Python", f"{device.python}, {device.python_bits}-bit, {where}")
    yield from row("Processor", f"{device.cores} x {device.cpu or 'unknown'}{clock(device)}")
    note = f" ({device.int8_note})" if device.int8_note else ""
    yield from row("Features", (", ".join(device.features) or "none that int8 gains from") + note)
    yield from row("Governor", device.governor or "none")
    warm = device.temperature_c
    yield from row("Temperature", "no sensor" if warm is None else f"{warm:.1f} °C")
    yield from row("Throttled", throttling(device))
    if device.memory:
        yield from row(
            "Memory", f"{device.memory.total_mb / 1e3:.1f} GB, {device.memory.available_mb / 1e3:.1f} GB of it free"
        )
    yield from row("Runtimes", *packages(device.runtimes, usable_runtime(device)))
    yield from row("Libraries", *packages(device.libraries, None))
    yield from row("Cameras", *cameras(device))
    yield from row("Display", device.display or "none: run-model shows a web page instead of a window")


def row(label: str, *texts: str) -> Iterator[str]:
    for text in texts:
        yield from textwrap.wrap(
            text, WIDTH, initial_indent=f"{label:<{LABEL}}", subsequent_indent=" " * LABEL, break_on_hyphens=False
        )
        label = ""


def clock(device: Device) -> str:
    if device.clock_mhz is None:
        return ""
    most = f" of {device.max_clock_mhz:.0f}" if device.max_clock_mhz else ""
    return f" at {device.clock_mhz:.0f}{most} MHz"


def throttling(device: Device) -> str:
    if device.throttle is None:
        return "this board does not tell"
    now, ever = (", ".join(flags) for flags in (device.throttle.now, device.throttle.ever))
    return f"now: {now or 'no'}; since boot: {ever or 'no'}"


def packages(installed: Mapping[str, Package | None], used: str | None) -> Iterator[str]:
    for name, package in installed.items():
        if package is None:
            yield f"{name}: not installed"
        else:
            note = ": broken, see below" if package.error else ", which run-model uses" if name == used else ""
            yield f"{name} {package.version}".strip() + note


def cameras(device: Device) -> Iterator[str]:
    """Yields what --source takes, or where was looked in vain."""
    for camera in device.cameras.cameras:
        yield f"{camera.source} {camera.name}"
    if not device.cameras.cameras:
        yield from ("none", *device.cameras.looked)


def advice(listed: list[Problem]) -> Iterator[str]:
    for problem in listed:
        mark = "STOPS" if problem.stops else "Problem"
        yield from row(mark, problem.what)
        yield f"{'  fix':<{LABEL}}{problem.fix}"  # in one piece, to be copied
        yield ""


def verdict(device: Device, listed: list[Problem]) -> str:
    if any(problem.stops for problem in listed):
        return "run-model cannot run here until what stops it is fixed."
    rest = f"; {len(listed)} problem{'s' * (len(listed) > 1)} to fix" if listed else ""
    return f"run-model can run here, on {usable_runtime(device)}{rest}."
