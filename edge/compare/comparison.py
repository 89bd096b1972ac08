"""Makes rows of candidates: everything is loaded, takes its turns, and labels what there is to label."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge.compare.accuracy import RunningRow, assess, find_reference, reference_row, true_overlay
from edge.compare.answers import Overlay
from edge.compare.frames import Frames, prepare
from edge.compare.layers import profile
from edge.compare.monitor import Monitor, doubts, slowed
from edge.compare.overlays import jpeg, small
from edge.compare.rows import ModelOptions, Row, Turn
from edge.compare.worker import Worker
from edge.engine.runtimes import INTERPRETERS
from edge.leftovers import TemporaryFolder
from edge.progress import Track, silent

ROUND_S = 0.25  # many short rounds tell more than few long ones: a neighbour's burst spoils one of them
ROUNDS = 10, 40  # fewer tell little about noise, more only switch more often


@dataclass(frozen=True, slots=True)
class Settings:
    """How to compare."""

    source: str = "demo"
    seconds: float = 5.0  # of invokes for each candidate, and again of whole frames, at least
    min_runs: int = 50  # at least as many of each
    cool_down_s: float = 0.2  # pause before every turn
    frames: int = 16  # pictures; labels are compared on all, frames are timed on the first four
    labels_dir: Path | None = None
    strict: bool = False  # a picture that cannot be read is an error, instead of being left out
    reference: Path | None = None  # a model whose labels count as right; None for the float32 one of the list
    profile_s: float = 0.0  # to find what each candidate's layers take; 0 for not at all
    options: ModelOptions = field(default_factory=ModelOptions)

    @property
    def rounds(self) -> int:
        return min(max(round(self.seconds / ROUND_S), ROUNDS[0]), ROUNDS[1])


class Comparison:
    """What is being compared and, while it runs and after, what was found: also when it is interrupted."""

    def __init__(self, rows: Sequence[Row], settings: Settings, monitor: Monitor | None = None) -> None:
        """Takes rows; one that has an error already, because its model could not be made, stays as it is."""
        self.settings = settings
        self.rows = list(rows)
        self.monitor = monitor or Monitor()
        self.sample: str | None = None  # a picture of the source, JPEG in base64
        self.sample_truth: Overlay | None = None  # the same with its truth, where that is known

    def run(self, track: Track = silent) -> None:
        """Loads, measures, labels. Raises SourceError and UsageError for the source; a model's failure is a row's."""
        with ExitStack() as stack:
            folder = stack.enter_context(TemporaryFolder())
            settings = self.settings
            notes = self.monitor.notes
            frames = prepare(
                settings.source,
                Path(folder),
                settings.frames,
                settings.labels_dir,
                track,
                say=notes.append,
                strict=settings.strict,
                label_every=sorted({row.candidate.label_every for row in self.rows} or {1}),
            )
            notes += [line for line in frames.left_out.lines() if line not in notes]  # some were said while opening
            self.sample = jpeg(small(np.load(frames.sample)))
            running = [(row, stack.enter_context(Worker(row, self.monitor.tick))) for row in self.rows if not row.error]
            reference = None
            if settings.reference is not None:
                row = reference_row(settings.reference)
                reference = row, stack.enter_context(Worker(row))
            self._load([*running, *([reference] if reference else [])], frames, track)
            if reference is not None and reference[0].error:
                self.monitor.notes.append(f"no reference: {reference[0].error}")
                reference = None
            try:
                self._measure([row for row in running if not row[0].error], track)
            finally:
                self._judge()
            assess(running, frames, reference or find_reference(running), self.monitor.notes, track)
            self.sample_truth = true_overlay(running, frames)
            self._keep_measured("accuracy")
            if settings.profile_s:
                profile(running, settings.profile_s, track)
                self._keep_measured("profile")

    def _load(self, running: Sequence[RunningRow], frames: Frames, track: Track) -> None:
        for _, worker in running:
            worker.ready()  # all of them first: their imports are not to disturb each other's loading
        settings = self.settings
        for row, worker in track(running, "loading", len(running)):
            row.loaded = worker.load(frames.folder, settings.options)
            if row.loaded and not row.loaded.ops_outside and row.loaded.runtime in INTERPRETERS:
                row.outside_share = 0.0
            row.memory = worker.memory()
        self._note_assumptions(running)
        self.monitor.follow([worker.pid for _, worker in running])

    def _note_assumptions(self, running: Sequence[RunningRow]) -> None:
        for row, _ in running:
            for assumed in row.loaded.assumed if row.loaded else ():
                note = f"{row.candidate.path.name}: {assumed}"
                if note not in self.monitor.notes:  # rows differ in threads and runtimes
                    self.monitor.notes.append(note)

    def _measure(self, running: Sequence[RunningRow], track: Track) -> None:
        rounds = self.settings.rounds
        schedule = [(turn + place) % len(running) for turn in range(rounds) for place in range(len(running))]
        for which in track(schedule, "measuring", len(schedule)):
            row, worker = running[which]
            if not row.error:
                time.sleep(self.settings.cool_down_s)
                self._turn(row, worker)

    def _turn(self, row: Row, worker: Worker) -> None:
        rounds, monitor = self.settings.rounds, self.monitor
        seconds, min_runs = self.settings.seconds / rounds, -(-self.settings.min_runs // rounds)
        watch = monitor.begin()
        monitor.meter.begin()
        invoke_s = worker.invoke(seconds, min_runs)
        invoke_j = monitor.meter.end()
        monitor.meter.begin()
        stages_s = worker.frames(seconds, min_runs)
        frame_j = monitor.meter.end()
        seen = monitor.end(watch)
        if row.error:
            return
        row.turns.append(
            Turn(seen.start_s, seen.end_s, invoke_s, stages_s, invoke_j, frame_j, seen.clock_mhz, seen.reasons)
        )
        row.memory = worker.memory() or row.memory

    def _keep_measured(self, what: str) -> None:
        """Times stay good where a process fails that was asked for more after its turns."""
        for row in self.rows:
            if row.error and len(row.turns) == self.settings.rounds:
                self.monitor.notes.append(f"no {what} of {row.candidate.path.name}: {row.error}")
                row.error = ""

    def _judge(self) -> None:
        """Marks what was disturbed. A clock that fell is known only when all clocks are."""
        turns = [turn for row in self.rows for turn in row.turns]
        for turn, is_slow in zip(turns, slowed([turn.clock_mhz for turn in turns]), strict=True):
            if is_slow:
                turn.disturbed.append("the clock was more than 10 % below the fastest seen")
        for row in self.rows:
            row.invalid = doubts([turn.disturbed for turn in row.turns])
