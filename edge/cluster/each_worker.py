"""Asks workers one by one: what they are called, which of them share a machine, and whatever else they can compute."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from natsort import natsorted

from edge.cluster.opening import ask_all
from edge.cluster.spread import Workers
from edge.device.board import machine_id
from edge.errors import ClusterError, RoadliteError
from edge.text import reason

_AWAY_S = 5.0  # that a worker may be unknown to the scheduler before its call is given up


@dataclass(frozen=True, slots=True)
class Seat:
    """A worker, and the machine that it is on."""

    name: str
    address: str
    machine: str  # equal for the workers whose cores are the same
    python: str  # its interpreter, which says what is installed


def seats(client: Any) -> list[Seat]:
    """Returns the workers there are, ordered by their names.

    Raises ClusterError where the scheduler is gone, or a worker does not answer.
    """
    places = ask_all(client, _place)
    try:
        names = client.scheduler_info(n_workers=-1)["workers"]
    except OSError as exc:
        raise ClusterError("the scheduler does not answer any more") from exc
    found = (Seat(str(names.get(at, {}).get("name", at)), at, *place) for at, place in places.items())
    return natsorted(found, key=lambda seat: (seat.name, seat.address))


def _place() -> tuple[str, str]:
    """Runs on workers."""
    return machine_id(), sys.executable


def by_machine(found: Sequence[Seat]) -> list[list[Seat]]:
    """Returns the workers of each machine together, in the order of the first of each."""
    machines: dict[str, list[Seat]] = {}
    for seat in found:
        machines.setdefault(seat.machine, []).append(seat)
    return list(machines.values())


def on_each(
    client: Any, what: str, calls: Mapping[str, tuple[Callable[..., Any], *tuple[Any, ...]]]
) -> Iterator[tuple[str, Any]]:
    """Calls `calls[address]`, a function with its arguments, on that worker and no other; yields addresses with what
    came back as it comes, which is an error of the kit where it failed or the worker went away.

    Raises ClusterError where the scheduler is gone.
    """
    workers = Workers(client)
    away_s: dict[str, float] = {}
    waiting = {
        workers.submit(what, *call, workers=[address], allow_other_workers=False): address
        for address, call in calls.items()
    }
    try:
        while waiting:
            workers.wait(waiting)
            for future in [future for future in waiting if future.done()]:
                yield waiting.pop(future), _answer(workers, future, what)
            there, now_s = workers.addresses(), time.monotonic()
            for future, address in list(waiting.items()):
                since_s = away_s.setdefault(address, now_s)
                if address in there:
                    del away_s[address]
                elif now_s - since_s > _AWAY_S:
                    del waiting[future]
                    future.cancel(force=True, msg="")
                    yield address, ClusterError(f"its worker went away ({address})")
    finally:
        for future in waiting:
            future.cancel(force=True, msg="")


def _answer(workers: Workers, future: Any, what: str) -> Any:
    try:
        return workers.result(future, what)
    except RoadliteError as exc:
        return exc
    except OSError as exc:  # a full disk of one is not the end of all
        return ClusterError(f"{what} failed there ({reason(exc)})")
