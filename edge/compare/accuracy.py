"""Measures accuracy beside latency: against the truth where it is known, against a reference model where there is
one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from edge.compare.answers import Overlay
from edge.compare.frames import Frames
from edge.compare.rows import Accuracy, Candidate, ClassScore, Row
from edge.compare.worker import Worker
from edge.data import MOST_NARROW, Ids
from edge.errors import SourceError
from edge.evaluation.metrics import Confusion, agreement
from edge.evaluation.misfit import misfit
from edge.leftovers import TemporaryFolder
from edge.postprocess import nearest
from edge.progress import Track, silent

RunningRow = tuple[Row, Worker]
"""A row and the process of its candidate."""


def assess(
    running: Sequence[RunningRow], frames: Frames, reference: RunningRow | None, notes: list[str], track: Track = silent
) -> None:
    """Sets `row.accuracy` and `row.overlay`. Threads do not change labels: of rows that differ in nothing else, one is
    asked.

    Why truth could not be taken into account is added to `notes`.
    """
    known: dict[tuple[Path, str, int], tuple[Accuracy | None, Overlay | None]] = {}
    with ExitStack() as stack:
        standard = None
        if reference is not None:
            standard = Path(stack.enter_context(TemporaryFolder()))
            reference[1].label(standard)
            if reference[0].error:
                standard = None
        for row, worker in track(running, "accuracy", len(running)):
            key = row.candidate.path, row.runtime, row.candidate.label_every
            if row.error:
                continue
            if key not in known:
                known[key] = _of(row, worker, frames, standard, reference[0] if reference else None, notes)
            row.accuracy, row.overlay = known[key]


def find_reference(running: Sequence[RunningRow]) -> RunningRow | None:
    """Returns the float32 model of the list with the most pixels, where there is one and something to hold against
    it.
    """
    exact = [row for row in running if not row[0].error and row[0].candidate.runtime != "openvino-bf16"]
    exact = [row for row in exact if row[0].candidate.label_every == 1]
    floats = [row for row in exact if row[0].loaded and row[0].loaded.recipe == "float32"]
    others = {(row.candidate.path, row.candidate.runtime, row.candidate.label_every) for row, _ in running}
    if not floats or len(others) < 2:
        return None
    return max(floats, key=lambda row: math.prod(row[0].loaded.input_hw) if row[0].loaded else 0)


def reference_row(path: Path) -> Row:
    """Returns a row that is asked for labels only."""
    return Row(Candidate(path, "auto", None))


def _of(
    row: Row, worker: Worker, frames: Frames, standard: Path | None, reference: Row | None, notes: list[str]
) -> tuple[Accuracy | None, Overlay | None]:
    assert row.loaded is not None
    classes = row.loaded.classes
    confusion, equal = Confusion(min(len(classes), MOST_NARROW)), []
    comparable = reference is not None and reference.loaded is not None and reference.loaded.classes == classes
    with TemporaryFolder() as folder:
        for name in worker.label(Path(folder)):
            ids: Ids = np.load(Path(folder, name))
            truth = _truth(frames, name, classes, notes) if len(classes) <= MOST_NARROW else None
            if truth is not None:
                confusion.add(truth, nearest(ids, (truth.shape[0], truth.shape[1])))
            if standard is not None and comparable:
                equal.append(agreement(ids, np.load(standard / name)))
        overlay = worker.overlay(frames.sample, Path(folder, frames.sample.name))
    accuracy = Accuracy(len(frames.names))
    if confusion.counts.any():
        accuracy.miou, accuracy.pixel_accuracy = confusion.mean_iou(), confusion.pixel_accuracy()
        accuracy.classes = _scores(confusion, classes)
        if odd := misfit(confusion, classes):
            notes.append(f"{row.candidate.path.name}: {odd}")
    if equal and reference is not None:
        accuracy.agreement, accuracy.reference = float(np.mean(equal)), reference.candidate.path.name
    return None if row.error or accuracy.score is None else accuracy, overlay


def _scores(confusion: Confusion, classes: Sequence[str]) -> tuple[ClassScore, ...]:
    shares = confusion.counts.sum(axis=1) / confusion.counts.sum()
    found = zip(classes, confusion.iou().tolist(), shares.tolist(), strict=True)
    return tuple(ClassScore(name, iou, share) for name, iou, share in found if not math.isnan(iou))


def true_overlay(running: Sequence[RunningRow], frames: Frames) -> Overlay | None:
    """Returns the truth of the sample picture, painted as the first model that knows its classes would; None where it
    is not known.
    """
    for row, worker in running:
        classes = row.loaded.classes if row.loaded and not row.error else ()
        truth = _truth(frames, frames.sample.name, classes, []) if 0 < len(classes) <= MOST_NARROW else None
        if truth is not None:
            with TemporaryFolder() as folder:
                np.save(Path(folder, "truth.npy"), truth)
                return worker.overlay(frames.sample, Path(folder, "truth.npy"))
    return None


def _truth(frames: Frames, name: str, classes: Sequence[str], notes: list[str]) -> Ids | None:
    try:
        return frames.truth(name, classes)
    except SourceError as exc:
        if f"labels left out: {exc}" not in notes:
            notes.append(f"labels left out: {exc}")
        return None
