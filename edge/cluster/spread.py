"""Spreads calls over the workers of a cluster, and yields what they return in the order of the calls.

Dask moves and retries them; here is only how many are under way, and what it means when they do not come back.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from itertools import islice
from typing import Any
from uuid import uuid4

from edge.cluster.calls import on_same_version
from edge.cluster.opening import slots
from edge.errors import ClusterError, WorkersDied
from edge.versions import installed

PATIENCE_S = 60.0  # for the first worker to come back when all are gone
AHEAD = 2  # calls for each that is worked on: the next is there when one is done
HELD = 16  # calls for each that is worked on, with those whose answers wait for their turn: all are in memory
_POLL_S = 0.5
_GONE = "the scheduler went away, or took the work back"


class Workers:
    """The workers of a cluster, who must have this version of Roadlite, and whether there are any."""

    def __init__(self, client: Any, roadlite: str | None = None, again: str = "run the same command again") -> None:
        """`again` is the way out that is said when they are gone."""
        self._client, self._seen_s = client, time.monotonic()
        self._roadlite, self._again = roadlite or installed("roadlite"), again

    def slots(self) -> int:
        """Returns how many calls the workers take at a time. Raises ClusterError where there has been none for long."""
        try:
            found = slots(self._client)
        except OSError as exc:
            raise ClusterError(f"{_GONE}; {self._again}") from exc
        now_s = time.monotonic()
        self._seen_s = now_s if found else self._seen_s
        if now_s - self._seen_s > PATIENCE_S:
            raise ClusterError(f"there has been no worker for {PATIENCE_S:.0f} s; start some, and {self._again}")
        return found

    def addresses(self) -> set[str]:
        """Returns where the workers are. Raises ClusterError where the scheduler is gone."""
        try:
            return set(self._client.nthreads())
        except OSError as exc:
            raise ClusterError(f"{_GONE}; {self._again}") from exc

    def wait(self, futures: Collection[Any]) -> None:
        """Waits until one is done, for half a second at most. Raises ClusterError where the scheduler is gone."""
        from distributed import wait

        try:
            with suppress(TimeoutError), self._client.as_current():
                wait(list(futures), timeout=_POLL_S, return_when="FIRST_COMPLETED")
        except (OSError, CancelledError) as exc:
            raise ClusterError(f"{_GONE}; {self._again}") from exc

    def submit(self, what: str, call: Callable[..., Any], *arguments: Any, **where: Any) -> Any:
        """Returns the future of a call on a worker of this version; `what` is what Dask calls it."""
        key = f"{what.replace(' ', '-')}-{uuid4().hex[:12]}"
        return self._client.submit(on_same_version, self._roadlite, call, *arguments, key=key, pure=False, **where)

    def result(self, future: Any, what: str) -> Any:
        """Returns what a call that is done has returned.

        Raises what it raised, WorkersDied where it ended too many, ClusterError where it has no answer.
        """
        from distributed.scheduler import KilledWorker

        try:
            if future.status == "finished":
                return future.result()
            exc = future.exception() if future.status == "error" else None
        except (OSError, CancelledError) as gone:  # on the way from the worker
            raise ClusterError(f"{_GONE}; {self._again}") from gone
        if isinstance(exc, KilledWorker):
            deaths = exc.allowed_failures + 1
            raise WorkersDied(f"{what} ended {deaths} workers, the last was {exc.last_worker.address}", deaths)
        raise exc or ClusterError(f"{_GONE}; {self._again}")


def spread(
    client: Any,
    what: str,
    call: Callable[..., Any],
    items: Iterable[Any],
    *arguments: Any,
    where: Mapping[str, Any] | None = None,
) -> Iterator[Any]:
    """Yields `call(item, *arguments)` of each item, in order; of the items, few are taken before they are needed.
    `where` is what Dask is told of the workers that may do it.

    Raises what a call raises, when it is its turn, and ClusterError where the scheduler or all workers go away, or
    `what`, the call in a word, costs the lives of more workers than the scheduler allows.
    """
    workers, left, in_turn = Workers(client), iter(items), deque[Any]()
    try:
        while True:
            at_a_time = max(1, workers.slots())
            room = AHEAD * at_a_time - sum(not future.done() for future in in_turn)
            for item in islice(left, max(0, min(room, HELD * at_a_time - len(in_turn)))):
                in_turn.append(workers.submit(what, call, item, *arguments, **(where or {})))
            if not in_turn:
                return
            workers.wait([future for future in in_turn if not future.done()] or in_turn)
            while in_turn and in_turn[0].done():
                yield workers.result(in_turn.popleft(), what)
    finally:
        for future in in_turn:
            future.cancel(force=True, msg="")
