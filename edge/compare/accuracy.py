"""Accuracy beside latency: against the truth where it is known, against a reference model where there is one."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from edge.compare.frames import Frames
from edge.compare.rows import Accuracy, Candidate, Row
from edge.compare.worker import Worker
from edge.data import Ids
from edge.errors import SourceError
from edge.evaluation.metrics import Confusion, agreement
from edge.postprocess import nearest
from edge.progress import Track, silent

Bench = tuple[Row, Worker]


def assess(
    benches: Sequence[Bench], frames: Frames, reference: Bench | None, notes: list[str], track: Track = silent
) -> None:
    """Sets `row.accuracy`. Threads do not change labels: of rows that differ in nothing else, one is asked.

    Why truth could not be taken into account is added to `notes`.
    """
    known: dict[tuple[Path, str], Accuracy | None] = {}
    with ExitStack() as stack:
        standard = None
        if reference is not None:
            standard = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="roadlite-")))
            reference[1].ask("label", str(standard))
            if reference[0].error:
                standard = None
        for row, worker in track(benches, "accuracy", len(benches)):
            key = row.candidate.path, str(row.about.get("runtime", row.candidate.runtime))
            if row.error:
                continue
            if key not in known:
                known[key] = _of(row, worker, frames, standard, reference[0] if reference else None, notes)
            row.accuracy = known[key]


def find_reference(benches: Sequence[Bench]) -> Bench | None:
    """The float32 model of the list with the most pixels, where there is one and something to hold against it."""
    exact = [bench for bench in benches if not bench[0].error and bench[0].candidate.runtime != "openvino-bf16"]
    floats = [bench for bench in exact if bench[0].about["recipe"] == "float32"]
    others = {(row.candidate.path, row.candidate.runtime) for row, _ in benches}
    if not floats or len(others) < 2:
        return None
    return max(floats, key=lambda bench: bench[0].about["input_hw"][0] * bench[0].about["input_hw"][1])


def reference_row(path: Path) -> Row:
    """One that is asked for labels only."""
    return Row(Candidate(path, "auto", None))


def _of(
    row: Row, worker: Worker, frames: Frames, standard: Path | None, reference: Row | None, notes: list[str]
) -> Accuracy | None:
    classes = row.about["classes"]
    confusion, equal = Confusion(len(classes)), []
    comparable = reference is not None and reference.about.get("classes") == classes
    with tempfile.TemporaryDirectory(prefix="roadlite-") as folder:
        for name in worker.ask("label", folder) or []:
            ids: Ids = np.load(Path(folder, name))
            truth = _truth(frames, name, classes, notes)
            if truth is not None:
                confusion.add(truth, nearest(ids, (truth.shape[0], truth.shape[1])))
            if standard is not None and comparable:
                equal.append(agreement(ids, np.load(standard / name)))
    found = Accuracy(len(frames.names))
    if confusion.counts.any():
        found.miou, found.pixel_accuracy = confusion.mean_iou(), confusion.pixel_accuracy()
    if equal and reference is not None:
        found.agreement, found.reference = float(np.mean(equal)), reference.candidate.path.name
    return None if row.error or found.score is None else found


def _truth(frames: Frames, name: str, classes: Sequence[str], notes: list[str]) -> Ids | None:
    try:
        return frames.truth(name, classes)
    except SourceError as exc:
        if f"labels left out: {exc}" not in notes:
            notes.append(f"labels left out: {exc}")
        return None
