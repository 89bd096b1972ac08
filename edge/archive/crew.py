"""Keeps the tasks that workers of a cluster are at, and takes back what they answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edge.archive.work import Task, Work
from edge.cluster.spread import Workers
from edge.errors import WorkersDied


@dataclass(frozen=True, slots=True)
class Deadly:
    """The answer about a task of which as many workers died as may."""

    deaths: int


class Crew:
    """The workers of a cluster and their tasks."""

    def __init__(self, client: Any, roadlite: str) -> None:
        self._workers = Workers(client, roadlite, "run the same command again to go on")
        self._active: dict[Any, Task] = {}

    @property
    def is_busy(self) -> bool:
        """Whether there are tasks without an answer."""
        return bool(self._active)

    def room(self) -> int:
        """Returns how many more tasks the workers take. Raises ClusterError where there has been none for long."""
        return max(1, self._workers.slots()) - len(self._active)

    def give(self, task: Task) -> None:
        """Hands a task to the workers."""
        self._active[self._workers.submit(task.name, *task.call)] = task

    def answers(self) -> Iterator[tuple[Task, object]]:
        """Waits until a task is done, for half a second at most, and yields what is answered that still is of use.

        Raises ClusterError where the scheduler is gone, or a worker has another version.
        """
        self._workers.wait(list(self._active))
        for future in [future for future in self._active if future.done()]:
            task = self._active.pop(future, None)  # None: dropped because of an answer before
            if task is not None and not task.is_stale:
                yield task, self._answer(future, task)

    def drop(self, work: Work | None = None) -> None:
        """Ends the tasks of a film, or all."""
        for future in [future for future, task in self._active.items() if work in (None, task.work)]:
            del self._active[future]
            future.cancel(force=True, msg="")

    def _answer(self, future: Any, task: Task) -> object:
        try:
            return self._workers.result(future, task.name)
        except WorkersDied as exc:
            return Deadly(exc.deaths)
