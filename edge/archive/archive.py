"""Labels an archive: says what is left to do of its films, and puts on record what became of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence, Set
from typing import Any

from edge.address import public
from edge.archive.answers import Broken, Done, Fault, Planned, Settled, part_name
from edge.archive.crew import Crew, Deadly
from edge.archive.cutting import WHOLE, Plan
from edge.archive.films import Film, Outputs
from edge.archive.job import LabelJob
from edge.archive.joining import Join, join_film
from edge.archive.manifest import Manifest, Record, State
from edge.archive.planning import Known, plan_film
from edge.archive.progress import Progress
from edge.archive.storage import join, remove
from edge.archive.tasks import label_piece
from edge.archive.work import Task, Work

PARTS = ".roadlite-parts"


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
        self._crew, self._job, self._outputs, self._manifest = Crew(client, job.roadlite), job, outputs, manifest
        self._films: Iterator[Work] = iter([Work(film, number) for number, film in enumerate(films)])
        self._ready: deque[Task] = deque()
        self._unneeded: list[str] = []  # folders of parts
        self._max_failures, self._report = max_failures, report
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
            while self._hand_out():
                for task, answer in self._crew.answers():
                    self._take(task, answer)
                self._tidy()
                self._report(self.progress)
        finally:
            self._crew.drop()
            self._manifest.close()
            self._tidy()

    def _tidy(self) -> None:
        """Removes the parts of films whose records are written: until then they tell what is to be done again."""
        while self._unneeded and not self._manifest.is_waiting:
            remove(self._unneeded.pop())

    def _hand_out(self) -> bool:
        """Gives the workers as much as they take at a time. Returns whether there is anything to wait for."""
        room = self._crew.room()
        while room > 0 and (task := self._next()) is not None:
            if not task.is_stale:
                self._crew.give(task)
                room -= 1
        return self._crew.is_busy

    def _next(self) -> Task | None:
        """Returns a task, of a film that is begun if there is one; None where there is nothing left to begin."""
        if self._ready:
            return self._ready.popleft()
        work = None if self.stopped else next(self._films, None)
        return None if work is None else self._planning(work)

    def _planning(self, work: Work) -> Task:
        address = work.film.address
        known = Known(self._manifest.of(address), self._record(work, "done"), self._manifest.made(address))
        where = self._parts(work), self._outputs.of(work.film)
        return Task(work, "plan", (plan_film, work.film, known, *where, self._job.piece_s))

    def _take(self, task: Task, answer: object) -> None:
        work = task.work
        match answer:
            case Fault() as fault:
                self._faulty(work, fault)
            case Deadly(deaths=deaths):
                self._end(work, "set aside", f"{public(work.film.address)}: {task.what} ended {deaths} workers")
            case Settled(identity=identity):
                self._settled(work, identity)
            case Planned() as planned:
                work.planned, work.identity = planned, planned.identity
                work.key = self._job.key(work.film.address, planned.identity)
                self._begin(work, planned.plan)
            case Broken(pieces=pieces):
                self._broken(work, pieces)
            case Done() as done:
                self._done(task, done)

    def _settled(self, work: Work, identity: dict[str, object]) -> None:
        work.identity = identity
        before = self._manifest.of(work.film.address)
        if before is not None and before.state == "set aside":
            way_out = f"to try again, remove its line from {public(self._manifest.address)}"
            self._end(work, "set aside", f"{before.reason}; {way_out}", record=False)
            return
        work.over = True
        self.progress.skip()

    def _begin(self, work: Work, plan: Plan) -> None:
        assert work.planned is not None
        work.plan = plan
        work.kept = {piece.number for piece in plan.pieces if part_name(work.key, piece) in work.planned.kept}
        self.progress.expect(len(work.kept), len(plan.pieces))
        self._label(work, {piece.number for piece in plan.pieces} - work.kept)
        self._join_when_ready(work)

    def _label(self, work: Work, numbers: Set[int]) -> None:
        assert work.plan is not None
        work.left = set(numbers)
        for piece in work.plan.pieces:
            if piece.number in numbers:
                part = join(self._parts(work), part_name(work.key, piece))
                call = (label_piece, self._job, work.film, piece, part)
                self._ready.append(Task(work, "piece", call, work.plan, piece))

    def _done(self, task: Task, done: Done) -> None:
        work = task.work
        work.seconds += done.seconds
        work.workers.add(done.worker)
        if task.kind == "join":
            work.frames = done.frames
            self._end(work, "done")
            return
        assert task.piece is not None
        self.progress.count(done)
        work.left.discard(task.piece.number)
        self._join_when_ready(work)

    def _join_when_ready(self, work: Work) -> None:
        assert work.plan is not None
        assert work.planned is not None
        if not work.left:
            names = tuple(part_name(work.key, piece) for piece in work.plan.pieces)
            wanted = self._outputs.of(work.film)
            joined = Join(self._parts(work), names, work.plan.frames, wanted, work.planned.begun)
            self._ready.appendleft(Task(work, "join", (join_film, work.film, joined), work.plan))

    def _broken(self, work: Work, pieces: Set[int]) -> None:
        """Makes pieces again whose parts were damaged: once, since a disk that damages them twice will go on so."""
        if pieces & work.mended:
            number = min(pieces & work.mended)
            self._end(work, "failed", f"{public(work.film.address)}: piece {number} is damaged where it is kept")
            return
        self.progress.lose(len(pieces & work.kept), len(pieces))
        work.kept -= pieces
        work.mended |= pieces
        self._label(work, pieces)

    def _faulty(self, work: Work, fault: Fault) -> None:
        if not fault.as_whole or work.plan is None or work.plan.pieces == WHOLE:
            self._end(work, "failed", fault.reason, record=fault.on_record)
            return
        self._crew.drop(work)
        work.mended = set()
        self._begin(work, Plan(WHOLE, work.plan.frames))

    def _end(self, work: Work, state: State, reason: str = "", record: bool = True) -> None:
        made = self._record(work, state, reason)
        work.over = True
        if record:
            self._manifest.add(made)
        if state == "done":
            self.progress.films_done += 1
            self._unneeded.append(self._parts(work))
            return
        self.progress.films_failed += 1
        self.failures.append(made)

    def _record(self, work: Work, state: State, reason: str = "") -> Record:
        return Record(
            input=work.film.address,
            identity=work.identity,
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
