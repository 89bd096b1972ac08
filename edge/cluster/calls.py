"""What runs on workers around every call, and what the caller can learn there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from edge.cluster.opening import other_version
from edge.errors import ClusterError
from edge.versions import installed

T = TypeVar("T")


def on_same_version(roadlite: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """Calls where this version of Roadlite is; a worker may have come after the others were asked.

    Raises ClusterError on a worker of another version.
    """
    found = installed("roadlite")
    if found != roadlite:
        raise other_version(worker_name(), found, roadlite)
    return call(*arguments)


def worker_name() -> str:
    """Returns what this worker is called; empty in a process that is none."""
    from distributed import get_worker

    try:
        return str(get_worker().name)
    except ValueError:
        return ""


def is_wanted() -> bool:
    """Returns whether anybody still waits for what this worker's thread computes: whoever did may have been stopped."""
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:
        return True
    task = worker.state.tasks.get(worker.get_current_task())
    return task is not None and task.state != "cancelled"


def while_wanted(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yields items, as a `Track` does, and raises ClusterError where nobody waits for the work any more."""
    for item in items:
        if not is_wanted():
            raise ClusterError(f"{what}: nobody waits for it any more")
        yield item
