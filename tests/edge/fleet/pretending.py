"""Workers of one machine that say they are boards of their own, for workers to import."""

from __future__ import annotations

import os
import signal
from typing import Any, NoReturn

from edge.cluster import each_worker
from edge.device import survey
from edge.device.survey import Device


def be(machine: str, device: Device | None = None) -> None:
    """Makes this worker one of another machine, on which `device` is found."""
    each_worker.machine_id = lambda root=None: machine  # type: ignore[attr-defined]
    survey.look = lambda root=None: device  # type: ignore[assignment, misc, return-value]


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def place(client: Any, machines: list[str], devices: list[Device] | None = None) -> None:
    """Makes the workers, in the order of their names, those of these machines."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    addresses = sorted(workers, key=lambda address: str(workers[address]["name"]))
    for index, (address, machine) in enumerate(zip(addresses, machines, strict=True)):
        client.run(be, machine, devices[index] if devices else None, workers=[address])
