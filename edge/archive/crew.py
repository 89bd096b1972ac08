"""Hands tasks to the workers of a cluster, and takes back what they answer. Dask moves and retries the tasks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from edge.archive.tasks import on_same_version
from edge.archive.work import Task, Work
from edge.cluster.opening import slots
from edge.errors import ClusterError

PATIENCE_S = 60.0  # for the first worker to come back when all are gone
_POLL_S = 0.5
_GONE = "the scheduler went away, or took the work back; run the same command again to go on"


@dataclass(frozen=True, slots=True)
class Deadly:
    """The answer about a task of which as many workers died as may."""

    deaths: int


class Crew:
    """The workers of a cluster, who must have this version of Roadlite."""

    def __init__(self, client: Any, roadlite: str) -> None:
        self._client, self._roadlite = client, roadlite
        self._active: dict[Any, Task] = {}
        self._seen_s = time.monotonic()  # when there was a worker last

    @property
    def is_busy(self) -> bool:
        """Whether there are tasks without an answer."""
        return bool(self._active)

    def room(self) -> int:
        """Returns how many more tasks the workers take. Raises ClusterError where there has been none for long."""
        try:
            found = slots(self._client)
        except OSError as exc:
            raise ClusterError(_GONE) from exc
        now_s = time.monotonic()
        self._seen_s = now_s if found else self._seen_s
        if now_s - self._seen_s > PATIENCE_S:
            raise ClusterError(
                f"there has been no worker for {PATIENCE_S:.0f} s; start some, and run it again to go on"
            )
        return max(1, found) - len(self._active)

    def give(self, task: Task) -> None:
        """Hands a task to the workers."""
        call = (on_same_version, self._roadlite, *task.call)
        self._active[self._client.submit(*call, key=task.key(), pure=False)] = task

    def answers(self) -> Iterator[tuple[Task, object]]:
        """Waits until a task is done, for half a second at most, and yields what is answered that still is of use.

        Raises ClusterError where the scheduler is gone, or a worker has another version.
        """
        from distributed import wait

        try:
            with suppress(TimeoutError), self._client.as_current():
                wait(list(self._active), timeout=_POLL_S, return_when="FIRST_COMPLETED")
        except (OSError, CancelledError) as exc:
            raise ClusterError(_GONE) from exc
        for future in [future for future in self._active if future.done()]:
            task = self._active.pop(future, None)  # None: dropped because of an answer before
            if task is not None and not task.is_stale:
                yield task, _answer(future)

    def drop(self, work: Work | None = None) -> None:
        """Ends the tasks of a film, or all."""
        for future in [future for future, task in self._active.items() if work in (None, task.work)]:
            del self._active[future]
            future.cancel(force=True, msg="")


def _answer(future: Any) -> object:
    from distributed.scheduler import KilledWorker

    if future.status == "finished":
        return future.result()
    exc = future.exception() if future.status == "error" else None
    if isinstance(exc, KilledWorker):
        return Deadly(exc.allowed_failures + 1)
    raise exc or ClusterError(_GONE)
