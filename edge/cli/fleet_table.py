"""Shows the boards of a fleet, those of one kind together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from edge.cli.device_lines import LABEL, device_as_json, packages, row, throttling
from edge.device.problems import usable_runtime
from edge.device.survey import Device
from edge.fleet.boards import Board, faults, kinds, shared
from edge.text import counted, one_line


def as_json(boards: Sequence[Board], version: str) -> dict[str, Any]:
    """Returns what is known of the fleet: workers as `check-device --json` has them, and their kinds."""
    number = {board.seat: place for place, kind in enumerate(kinds(boards)) for board in kind}
    machines = list(dict.fromkeys(board.seat.machine for board in boards))
    workers = []
    for board in boards:
        about = {"worker": board.seat.name, "machine_number": machines.index(board.seat.machine)}
        if board.device is None:
            workers.append({**about, "error": board.error, "ready": False})
        else:
            workers.append({**about, "kind": number[board.seat], **device_as_json(board.device)})
    return {"roadlite": version, "workers": workers, "ready": all(board.is_ready for board in boards)}


def lines(boards: Sequence[Board]) -> Iterator[str]:
    """Yields the table of the fleet, what goes wrong on it, and a verdict."""
    grouped = kinds(boards)
    for number, kind in enumerate(grouped, start=1):
        yield from _about(number, kind)
        yield ""
        yield from _workers(kind)
        yield ""
    for board in boards:
        if board.device is None:
            yield from row("No answer", one_line(f"{board.seat.name}: {board.error}"))
    for sentence in shared(boards):
        yield from row("Note", one_line(sentence))
    for problem, there in faults(boards).items():
        mark, names = "STOPS" if problem.stops else "Problem", ", ".join(board.seat.name for board in there)
        yield from row(mark, one_line(f"{names}: {problem.what}"))
        yield f"{'  fix':<{LABEL}}{problem.fix}"
    ready = sum(board.is_ready for board in boards)
    yield f"run-model can run on {ready} of {counted(len(boards), 'worker')}, of {counted(len(grouped), 'kind')}."


def _about(number: int, kind: Sequence[Board]) -> Iterator[str]:
    """Yields what the boards of a kind have in common."""
    device = kind[0].device
    assert device is not None
    yield from row(f"Kind {number}", f"{counted(len(kind), 'worker')} on {device.board or 'boards that do not say'}")
    yield from row("System", ", ".join(filter(None, (device.os, device.machine, f"Python {device.python}"))))
    features = f" ({', '.join(device.features)})" if device.features else ""
    yield from row("Processor", f"{device.cores} x {device.cpu or 'unknown'}{features}")
    if device.memory:
        yield from row("Memory", f"{device.memory.total_mb / 1e3:.1f} GB")
    there = {name: package for name, package in device.runtimes.items() if package is not None}
    yield from row("Runtimes", "; ".join(packages(there, usable_runtime(device))) or "none")


def _workers(kind: Sequence[Board]) -> Iterator[str]:
    """Yields a line for each worker: what differs between boards of a kind."""
    cells = [("worker", "heat", "free", "throttled")]
    cells += [(one_line(board.seat.name), *_state(board.device)) for board in kind if board.device is not None]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for name, heat, free, throttled in cells:
        yield f"{name:<{widths[0]}}  {heat:>{widths[1]}}  {free:>{widths[2]}}  {throttled}"


def _state(device: Device) -> tuple[str, str, str]:
    heat = "no sensor" if device.temperature_c is None else f"{device.temperature_c:.1f} °C"
    free = f"{device.memory.available_mb / 1e3:.1f} GB" if device.memory else "-"
    return heat, free, throttling(device)
