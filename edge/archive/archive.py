"""Labels an archive: plans films, hands their pieces to a cluster, and puts what comes back on record.

Dask moves and retries the tasks; here is only which of them are left to do.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from edge.address import public
from edge.archive import tasks
from edge.archive.cutting import WHOLE, Piece, Plan
from edge.archive.films import Film, Outputs
from edge.archive.job import LabelJob
from edge.archive.manifest import Manifest, Record, State
from edge.archive.progress import Progress
from edge.archive.storage import exists, join, remove
from edge.cluster.opening import slots
from edge.errors import ClusterError

PARTS = ".roadlite-parts"
PATIENCE_S = 60.0  # for the first worker to come back when all are gone
_POLL_S = 0.5
_GONE = "the scheduler went away, or took the work back; run the same command again to go on"


@dataclass(slots=True)
class Work:
    """A film on its way."""

    film: Film
    number: int
    planned: tasks.Planned | None = None
    plan: Plan | None = None
    key: str = ""
    left: set[int] = field(default_factory=set)  # numbers of the pieces that are not done
    frames: int = 0
    seconds: float = 0.0
    workers: set[str] = field(default_factory=set)
    over: bool = False


@dataclass(frozen=True, slots=True)
class _Task:
    """A call for a worker."""

    work: Work
    kind: str  # plan, piece or join
    call: tuple[Any, ...]
    piece: Piece | None = None


class Archive:
    """The work on an archive. `run` does it; `failures` are the films that could not be labelled."""

    def __init__(
        self,
        client: Any,
        job: LabelJob,
        films: Sequence[Film],
        outputs: Outputs,
        manifest: Manifest,
        *,
        max_failures: int | None = None,
        report: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self._client, self._job, self._outputs, self._manifest = client, job, outputs, manifest
        self._films: Iterator[Work] = iter([Work(film, number) for number, film in enumerate(films)])
        self._ready: deque[_Task] = deque()
        self._active: dict[Any, _Task] = {}
        self._max_failures, self._report = max_failures, report
        self._seen_s = time.monotonic()  # when there was a worker last
        self.progress = Progress(films=len(films))
        self.failures: list[Record] = []

    @property
    def tolerates(self) -> bool:
        """Whether the films that failed are no more than was said to be tolerated."""
        return len(self.failures) <= (self._max_failures or 0)

    @property
    def stopped(self) -> bool:
        """Whether more films failed than may."""
        return self._max_failures is not None and len(self.failures) > self._max_failures

    def run(self) -> None:
        """Works until every film is done or has failed, or more have failed than may: then what was begun is ended.

        Raises ClusterError where the scheduler goes away, or all workers do.
        """
        try:
            while self._fill(self._workers()):
                self._wait()
                for future in [future for future in self._active if future.done()]:
                    self._take(self._active.pop(future), future)
                self._report(self.progress)
        finally:
            for future in self._active:
                future.cancel(force=True, msg="")
            self._manifest.close()

    def _workers(self) -> int:
        """Returns how many tasks the workers take at a time. Raises ClusterError where there has been none for long."""
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
        return found

    def _wait(self) -> None:
        """Waits until a task is done, for half a second at most. Raises ClusterError where the scheduler is gone."""
        from distributed import wait

        try:
            with suppress(TimeoutError), self._client.as_current():
                wait(list(self._active), timeout=_POLL_S, return_when="FIRST_COMPLETED")
        except (OSError, CancelledError) as exc:
            raise ClusterError(_GONE) from exc

    def _fill(self, workers: int) -> bool:
        """Gives the workers as much as they take at a time, the pieces of films that are begun first."""
        room = max(1, workers) - len(self._active)
        while room > 0:
            if not self._ready:
                work = None if self.stopped else next(self._films, None)
                if work is None:
                    break
                call = (tasks.plan_film, work.film, self._parts(work), self._job.piece_s)
                self._ready.append(_Task(work, "plan", call))
            task = self._ready.popleft()
            if not task.work.over:
                self._active[self._client.submit(*task.call, key=_key(task), pure=False)] = task
                room -= 1
        return bool(self._active)

    def _take(self, task: _Task, future: Any) -> None:
        if future.status != "finished":
            self._died(task, future)
            return
        match future.result():
            case _ if task.work.over:
                pass
            case tasks.Fault(reason=reason, as_whole=as_whole):
                self._faulty(task.work, reason, as_whole)
            case tasks.Planned() as planned:
                self._planned(task.work, planned)
            case tasks.Done() as done:
                self._done(task, done)

    def _died(self, task: _Task, future: Any) -> None:
        from distributed.scheduler import KilledWorker

        exc = future.exception() if future.status == "error" else None
        if isinstance(exc, KilledWorker):
            if not task.work.over:
                what = "its planning" if task.piece is None else f"piece {task.piece.number}"
                self._end(
                    task.work,
                    "set aside",
                    f"{public(task.work.film.address)}: {what} ended {exc.allowed_failures + 1} workers",
                )
        elif exc is not None:
            raise exc
        else:
            raise ClusterError(_GONE)

    def _planned(self, work: Work, planned: tasks.Planned) -> None:
        work.planned, work.key = planned, self._job.key(work.film.address, planned.identity)
        before, mine = self._manifest.of(work.film.address), self._record(work, "done")
        made = [address for address in self._outputs.of(work.film).values() if exists(address)]
        if before is not None and before.is_same_work(mine):
            if before.state == "done" and len(made) == len(self._outputs.of(work.film)):
                work.over = True
                self.progress.skip()
                return
            if before.state == "set aside":
                reason = f"{before.reason}; to try again, remove its line from {public(self._manifest.address)}"
                self._end(work, "set aside", reason, record=False)
                return
        if made and before is None and not exists(self._parts(work)):
            self._end(work, "failed", f"{public(made[0])}: is there, and is not of this archive; move it away")
            return
        self._begin(work, planned.plan)

    def _begin(self, work: Work, plan: Plan) -> None:
        kept = work.planned.kept if work.planned is not None else frozenset()
        work.plan = plan
        work.left = {piece.number for piece in plan.pieces if tasks.part_name(work.key, piece) not in kept}
        self.progress.expect(len(plan.pieces) - len(work.left), len(plan.pieces))
        for piece in plan.pieces:
            if piece.number in work.left:
                call = (tasks.label_piece, self._job, work.film, piece, self._part(work, piece))
                self._ready.append(_Task(work, "piece", call, piece))
        self._join_when_ready(work)

    def _done(self, task: _Task, done: tasks.Done) -> None:
        work = task.work
        work.seconds += done.seconds
        work.workers.add(done.worker)
        if task.kind == "join":
            work.frames = done.frames
            self._end(work, "done")
            return
        assert task.piece is not None
        if work.plan is None or task.piece not in work.plan.pieces:
            return  # of a film that is read as a whole by now
        self.progress.count(done)
        work.left.discard(task.piece.number)
        self._join_when_ready(work)

    def _join_when_ready(self, work: Work) -> None:
        assert work.plan is not None
        if not work.left:
            parts = [self._part(work, piece) for piece in work.plan.pieces]
            call = (tasks.join_film, work.film, parts, work.plan.frames, self._outputs.of(work.film))
            self._ready.appendleft(_Task(work, "join", call))

    def _faulty(self, work: Work, reason: str, as_whole: bool) -> None:
        if not as_whole or (work.plan is not None and work.plan.pieces == WHOLE):
            self._end(work, "failed", reason)
        elif work.plan is not None:
            self._ready = deque(task for task in self._ready if task.work is not work)
            self._begin(work, Plan(WHOLE, work.plan.frames))

    def _end(self, work: Work, state: State, reason: str = "", record: bool = True) -> None:
        made = self._record(work, state, reason)
        work.over = True
        if record:
            self._manifest.add(made)
        if state == "done":
            self.progress.films_done += 1
            remove(self._parts(work))
            return
        self.progress.films_failed += 1
        self.failures.append(made)

    def _record(self, work: Work, state: State, reason: str = "") -> Record:
        return Record(
            input=work.film.address,
            identity=work.planned.identity if work.planned is not None else {},
            state=state,
            model=self._job.model.name,
            model_sha256=self._job.model.sha256,
            options=self._job.options(),
            frames=work.frames,
            pieces=len(work.plan.pieces) if work.plan is not None else 0,
            seconds=round(work.seconds, 3),
            workers=tuple(sorted(work.workers)),
            outputs=self._outputs.of(work.film) if state == "done" else {},
            reason=reason,
        )

    def _parts(self, work: Work) -> str:
        return join(self._outputs.root, PARTS, work.film.name)

    def _part(self, work: Work, piece: Piece) -> str:
        return join(self._parts(work), tasks.part_name(work.key, piece))


def _key(task: _Task) -> str:
    """What Dask calls a task: without the film's address, which its dashboard would show."""
    from uuid import uuid4

    number = "" if task.piece is None else f"-piece{task.piece.number}"
    return f"{task.kind}-film{task.work.number}{number}-{uuid4().hex[:8]}"
