"""Looks at the boards of a fleet, and groups those that are of one kind. It needs neither numpy nor OpenCV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edge.cluster.each_worker import Seat, by_machine, on_each, seats
from edge.device.problems import Problem, problems
from edge.device.survey import Device, look
from edge.errors import RoadliteError
from edge.progress import Track, silent
from edge.text import counted


@dataclass(frozen=True, slots=True)
class Board:
    """A worker and what it found on its device; or why it found nothing."""

    seat: Seat
    device: Device | None
    error: str = ""

    @property
    def problems(self) -> list[Problem]:
        return [] if self.device is None else problems(self.device)

    @property
    def is_ready(self) -> bool:
        """Whether run-model can work there."""
        return self.device is not None and not any(problem.stops for problem in self.problems)


Kind = tuple[Any, ...]


def kind_of(device: Device) -> Kind:
    """Returns what devices of one kind have in common: board, system, processor, memory and versions."""
    memory_gb = round(device.memory.total_mb / 1e3) if device.memory else None
    runtimes = tuple((name, package and package.version) for name, package in device.runtimes.items())
    return device.board, device.os, device.machine, device.python, device.cpu, device.cores, memory_gb, runtimes


def survey(client: Any, track: Track = silent) -> list[Board]:
    """Looks at the device of every worker; the boards come ordered by the names of their workers.

    Of workers of one machine that have the same interpreter, one is asked. Raises ClusterError where the scheduler goes
    away.
    """
    found = seats(client)
    asked = {(seat.machine, seat.python): seat.address for seat in reversed(found)}
    answers = on_each(client, "looking", dict.fromkeys(asked.values(), (look,)))
    known = dict(track(answers, f"looking at {counted(len(asked), 'device')}", len(asked)))
    return [_board(seat, known[asked[seat.machine, seat.python]]) for seat in found]


def _board(seat: Seat, answer: Device | RoadliteError) -> Board:
    return Board(seat, None, str(answer)) if isinstance(answer, RoadliteError) else Board(seat, answer)


def kinds(boards: Sequence[Board]) -> list[list[Board]]:
    """Returns the boards that were found, those of one kind together."""
    grouped: dict[Kind, list[Board]] = {}
    for board in boards:
        if board.device is not None:
            grouped.setdefault(kind_of(board.device), []).append(board)
    return list(grouped.values())


def shared(boards: Sequence[Board]) -> Iterator[str]:
    """Yields a sentence for each machine that has several workers."""
    for there in by_machine([board.seat for board in boards]):
        if len(there) > 1:
            yield f"{', '.join(seat.name for seat in there)} are workers of one machine"


def faults(boards: Sequence[Board]) -> dict[Problem, list[Board]]:
    """Returns every problem with the boards that have it, those that stop run-model first."""
    found: dict[Problem, list[Board]] = {}
    for board in boards:
        for problem in board.problems:
            found.setdefault(problem, []).append(board)
    return dict(sorted(found.items(), key=lambda item: not item[0].stops))
