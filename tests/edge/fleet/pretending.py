"""Workers of one machine that say they are boards of their own, for workers to import."""

from __future__ import annotations

import errno
import os
import signal
import time
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

from edge.cluster import each_worker, kept_file
from edge.cluster.calls import while_wanted
from edge.device import board as boards
from edge.device import survey
from edge.device.survey import Device
from edge.errors import ClusterError


def be(machine: str, device: Device | None = None) -> None:
    """Makes this worker one of another machine, on which `device` is found."""
    each_worker.machine_id = lambda root=None: machine  # type: ignore[attr-defined]
    survey.look = lambda root=None: device  # type: ignore[assignment, misc, return-value]


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def full() -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def place(client: Any, machines: list[str], devices: list[Device] | list[str]) -> None:
    """Makes the workers, in the order of their names, those of these machines, with these devices or boards."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    addresses = sorted(workers, key=lambda address: str(workers[address]["name"]))
    for address, machine, device in zip(addresses, machines, devices, strict=True):
        client.run(be_board if isinstance(device, str) else be, machine, device, workers=[address])


def be_board(machine: str, board: str) -> None:
    """Makes this worker one of another machine, whose board has this name."""
    each_worker.machine_id = lambda root=None: machine  # type: ignore[attr-defined]
    boards.board_name = lambda root=None: board  # type: ignore[assignment, misc]


def linger(done: Path) -> None:
    """Works until nobody waits for it, and says so in a file."""
    try:
        for _ in while_wanted(count(), "lingering"):
            time.sleep(0.02)
    except ClusterError:
        done.touch()
        raise


def files_of(dask_worker: Any) -> list[str]:
    """The names of the models that a worker has, and of what lies beside them."""
    return sorted(path.name for path in Path(dask_worker.local_directory).iterdir() if "storage" not in path.name)


def fill(is_full: bool) -> None:
    """Lets the disk of a worker be full, or have room again."""
    kept_file.Path = FullDisk if is_full else Path  # type: ignore[attr-defined]


class FullDisk(type(Path())):  # type: ignore[misc]
    def write_bytes(self, data: bytes) -> int:
        super().write_bytes(data[: len(data) // 2])
        full()


def slow_first(item: int) -> int:
    time.sleep(2.0 * (item == 0))
    return item
