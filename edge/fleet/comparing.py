"""Compares models on the device of every worker, as `edge.compare` does on this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge.cluster.calls import while_wanted
from edge.cluster.each_worker import Seat, by_machine, on_each, seats
from edge.cluster.segmenters import arrived_as
from edge.compare import pythons
from edge.compare.comparison import Comparison, Settings
from edge.compare.report.building import document
from edge.compare.report.document import Document
from edge.compare.rows import Candidate, Row
from edge.errors import RoadliteError, SourceError
from edge.leftovers import TemporaryFolder
from edge.progress import Track, silent
from edge.text import counted


@dataclass(frozen=True, slots=True)
class SentFile:
    """A model file that was sent to the workers: its name, and the sha256 of its content."""

    name: str
    sha256: str

    def path(self) -> Path:
        """Returns where the worker that calls this has it. Raises ModelError where it did not arrive."""
        return arrived_as(self.name, self.sha256)


@dataclass(frozen=True, slots=True)
class SentRow:
    """A candidate as it travels, without its model where that could not be read or made: `error` says why."""

    candidate: Candidate
    model: SentFile | None
    error: str = ""

    def row(self) -> Row:
        """Returns the row to measure on the worker that calls this, with an interpreter of that machine."""
        candidate = self.candidate
        if self.model is None:
            return Row(candidate, error=self.error)
        try:
            python = pythons.interpreter_for(candidate.runtime, {})
            return Row(replace(candidate, path=self.model.path(), python=python))
        except RoadliteError as exc:
            return Row(candidate, error=str(exc))


@dataclass(frozen=True, slots=True)
class ComparisonJob:
    """What every device compares. Sources and folders of labels are opened there."""

    rows: tuple[SentRow, ...]
    settings: Settings
    command: tuple[str, ...]
    budget_ms: float | None = None
    reference: SentFile | None = None
    classes: tuple[str, bytes] | None = None  # name and content of a file of class names


@dataclass(frozen=True, slots=True)
class Compared:
    """A device, and what it measured; or why it did not. `others` are workers of the same machine, which rested."""

    seat: Seat
    others: tuple[Seat, ...]
    document: Document | None
    error: str = ""


def compare_on_each(
    client: Any, job: ComparisonJob, track: Track = silent, say: Callable[[str], None] = lambda line: None
) -> Iterator[Compared]:
    """Compares on one worker of each machine, so that nothing shares a core; yields devices as they are done.

    `say` is told of the workers that are left out. Raises ClusterError where the scheduler goes away.
    """
    machines = by_machine(seats(client))
    for first, *others in machines:
        if others:
            rest = "rests" if len(others) == 1 else "rest"
            say(f"{', '.join(seat.name for seat in others)} {rest}: on the same machine as {first.name}")
    places = {there[0].address: there for there in machines}
    answers = on_each(client, "comparing", dict.fromkeys(places, (compare, job)))
    for address, answer in track(answers, f"comparing on {counted(len(places), 'device')}", len(places)):
        first, *others = places[address]
        failed = isinstance(answer, RoadliteError)
        yield Compared(first, tuple(others), None if failed else answer, str(answer) if failed else "")


def compare(job: ComparisonJob) -> Document:
    """Compares on the worker that calls this. Raises SourceError and UsageError for the source."""
    with TemporaryFolder() as folder:
        settings = replace(job.settings, reference=job.reference.path() if job.reference else None)
        if job.classes is not None:
            file = Path(folder, Path(job.classes[0]).name)
            file.write_bytes(job.classes[1])
            settings = replace(settings, options=replace(settings.options, classes=str(file)))
        comparison = Comparison([row.row() for row in job.rows], settings)
        try:
            comparison.run(while_wanted)
        except SourceError as exc:
            raise SourceError(f"{exc}; `source` and `labels_dir` are opened on the worker") from exc
        return document(comparison, job.command, budget_ms=job.budget_ms)


def devices(found: Sequence[Compared]) -> list[Compared]:
    """Returns devices in the order of their names, however they came."""
    from natsort import natsorted

    return natsorted(found, key=lambda one: one.seat.name)
