"""Makes the document of a comparison."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from edge.address import public
from edge.compare import verdict
from edge.compare.answers import Overlay
from edge.compare.comparison import Comparison
from edge.compare.estimates import Estimate, jitter
from edge.compare.layer_times import Profile
from edge.compare.monitor import warnings
from edge.compare.report.document import (
    FORMAT,
    Baseline,
    Budget,
    Document,
    FailedRow,
    Latency,
    MeasuredRow,
    Ratio,
    ReportedAccuracy,
    ReportedEnvironment,
    ReportedLayer,
    ReportedProfile,
    ReportedSettings,
    Round,
    RowChange,
    RowPair,
    SampleOverlay,
    SingleTimes,
    rounded,
)
from edge.compare.report.document import Row as DocumentRow
from edge.compare.rows import STAGES, Accuracy, ClassScore, Row
from edge.device import board
from edge.device.environment import environment
from edge.files import sha256
from edge.text import counted, one_line
from edge.timing import percentiles

COMPARED = ("board", "cpu", "cores", "governor", "os")  # what must be equal for times of two reports to be comparable


def document(
    comparison: Comparison,
    command: Sequence[str],
    *,
    interrupted: bool = False,
    budget_ms: float | None = None,
    earlier: Document | None = None,
) -> Document:
    """Returns everything that was found."""
    rows, monitor = comparison.rows, comparison.monitor
    labels = names(rows)
    here = ReportedEnvironment(**vars_of(environment()), int8_note=_int8_note(rows))
    return Document(
        format=FORMAT,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=tuple(public(word) for word in command),
        interrupted=interrupted,
        environment=here,
        settings=_settings(comparison),
        warnings=(*warnings([row.loaded.threads if row.loaded else 1 for row in rows]), *monitor.notes),
        energy_source=monitor.meter.source or None,
        rows=tuple(row_of(row, label) for row, label in zip(rows, labels, strict=True)),
        pairs=tuple(
            RowPair(labels[pair.first], labels[pair.second], ratio_of(pair.invoke), ratio_of(pair.frame)).faster_first()
            for pair in verdict.pairs(rows)
        ),
        front=tuple(labels[i] for i in verdict.front(rows)),
        budget=None if budget_ms is None else _budget(rows, labels, budget_ms),
        baseline=None if earlier is None else _baseline(rows, labels, earlier, here),
        telemetry=tuple(monitor.samples),
        sample=comparison.sample,
        sample_overlays=tuple(_overlays(comparison, labels)),
    )


def names(rows: Sequence[Row]) -> list[str]:
    """Returns a name for each row that no other has: the file's, with runtime, delegate, threads and how many frames
    are labelled where these differ.
    """
    parts = []
    for row in rows:
        runtime = None if row.runtime == "auto" else row.runtime
        threads = None if row.threads is None else counted(row.threads, "thread")
        delegate = Path(row.candidate.delegate.split(",")[0]).name or "CPU"
        every = f"every {row.candidate.label_every}"
        parts.append((one_line(row.candidate.path.name).removesuffix(".tflite"), runtime, delegate, threads, every))
    varied = [place for place in (1, 2, 3, 4) if len({part[place] for part in parts} - {None}) > 1]
    short = [" ".join(filter(None, (part[0], *(part[place] for place in varied)))) for part in parts]
    return [
        name if short.count(name) == 1 else f"{name} ({short[:place].count(name) + 1})"
        for place, name in enumerate(short)
    ]


def row_of(row: Row, name: str) -> DocumentRow:
    """Returns a row of the document."""
    model, digest = row.candidate.path.name, sha256(row.candidate.path)
    if not row.measured or row.loaded is None or row.memory is None:
        error = one_line(row.error or "interrupted before it was measured")
        return FailedRow(
            name=name,
            model=model,
            sha256=digest,
            runtime=row.runtime,
            threads=row.threads,
            error=error,
            loaded=row.loaded,
        )
    invoke_j, frame_j = _energy(row)
    frame_ms = latency(row.frame_s)
    return MeasuredRow(
        name=name,
        model=model,
        sha256=digest,
        **vars_of(row.loaded),
        **vars_of(row.memory),
        invokes=len(row.invoke_s),
        invoke_ms=latency(row.invoke_s),
        frames=len(row.frame_s),
        frame_ms=frame_ms,
        stages_ms={stage: latency(s for turn in row.turns for s in turn.stages_s[stage]) for stage in STAGES},
        fps=round(1e3 / frame_ms.median, 2),
        gmacs_per_s=round(row.loaded.macs / float(np.median(row.invoke_s)) / 1e9, 2) if row.loaded.macs else None,
        outside_share=row.outside_share,
        invoke_j=invoke_j,
        frame_j=frame_j,
        accuracy=None if row.accuracy is None else _accuracy(row.accuracy),
        valid=not row.invalid,
        invalid=tuple(row.invalid),
        rounds=tuple(_rounds(row)),
        samples_ms=SingleTimes(*(tuple(round(s * 1e3, 3) for s in times) for times in (row.invoke_s, row.frame_s))),
        profile=None if row.profile is None else _profile(row.profile),
        label_every=row.candidate.label_every,
    )


def latency(seconds: Iterable[float]) -> Latency:
    """Returns median, p90, p99, maximum and jitter in milliseconds."""
    times = list(seconds)
    return Latency(**asdict(percentiles(times)), jitter=round(jitter(times) * 1e3, 3))


def ratio_of(estimate: Estimate) -> Ratio:
    """Returns a ratio with its interval; the ends are None where there were too few rounds to know."""
    low, high = (rounded(end) if 0 < end < math.inf else None for end in (estimate.low, estimate.high))
    return Ratio(rounded(estimate.value), low, high, verdict.tie(estimate))


def vars_of(part: object) -> dict[str, Any]:
    """Returns the fields of a dataclass, for another one that has them too."""
    return {field.name: getattr(part, field.name) for field in fields(part)}  # type: ignore[arg-type]


def _energy(row: Row) -> tuple[float | None, float | None]:
    """Returns the joules that an invoke and a frame take; None where a turn does not know."""
    spent = [(turn.invoke_j, turn.frame_j) for turn in row.turns]
    if any(invoke is None or frame is None for invoke, frame in spent):
        return None, None
    invoke_j, frame_j = (sum(turn[place] or 0 for turn in spent) for place in (0, 1))
    return round(invoke_j / len(row.invoke_s), 4), round(frame_j / len(row.frame_s), 4)


def _accuracy(known: Accuracy) -> ReportedAccuracy:
    miou, pixel_accuracy, agreement = (
        None if figure is None else round(figure, 5) for figure in (known.miou, known.pixel_accuracy, known.agreement)
    )
    classes = tuple(ClassScore(one.name, round(one.iou, 5), round(one.truth_share, 5)) for one in known.classes)
    return ReportedAccuracy(known.frames, miou, pixel_accuracy, agreement, known.reference, classes)


def _overlays(comparison: Comparison, labels: Sequence[str]) -> Iterable[SampleOverlay]:
    """Yields the truth of the sample picture where it is known, and each different overlay with its rows."""
    if comparison.sample_truth:
        yield SampleOverlay((), comparison.sample_truth)
    rows: dict[Overlay, list[str]] = {}
    for row, label in zip(comparison.rows, labels, strict=True):
        if row.overlay and row.measured:
            rows.setdefault(row.overlay, []).append(label)
    yield from (SampleOverlay(tuple(names), overlay) for overlay, names in rows.items())


def _rounds(row: Row) -> Iterable[Round]:
    for turn, invoke, frame in zip(row.turns, row.invoke_rounds(), row.frame_rounds(), strict=True):
        start_s, end_s = round(turn.start_s, 3), round(turn.end_s, 3)
        yield Round(start_s, end_s, round(invoke * 1e3, 4), round(frame * 1e3, 4), tuple(turn.disturbed))


def _int8_note(rows: Sequence[Row]) -> str | None:
    return board.int8_note(any(row.loaded and row.loaded.reduced_layers for row in rows))


def _settings(comparison: Comparison) -> ReportedSettings:
    settings = comparison.settings
    return ReportedSettings(
        public(settings.source),
        settings.seconds,
        settings.min_runs,
        settings.rounds,
        settings.cool_down_s,
        settings.labels_dir.name if settings.labels_dir else None,
        settings.reference.name if settings.reference else None,
    )


def _profile(profile: Profile) -> ReportedProfile:
    layers = [
        ReportedLayer(
            layer.place,
            layer.operators,
            layer.kind,
            layer.name,
            _ms(layer.seconds.value),
            _ms(layer.seconds.low),
            _ms(layer.seconds.high),
            round(profile.share(layer), 4),
            layer.macs,
            None if layer.gmacs_per_s is None else round(layer.gmacs_per_s, 2),
            layer.delegated,
        )
        for layer in profile.layers
    ]
    return ReportedProfile(
        profile.way,
        profile.rounds,
        _ms(profile.whole.value),
        _ms(profile.whole.low),
        _ms(profile.whole.high),
        _ms(profile.sum_s()),
        profile.adds_up(),
        tuple(layers),
    )


def _ms(seconds: float) -> float | None:
    return round(seconds * 1e3, 4) if math.isfinite(seconds) else None


def _budget(rows: Sequence[Row], labels: Sequence[str], limit_ms: float) -> Budget:
    choice = verdict.choose(rows, limit_ms, labels.__getitem__)
    best = None if choice.best is None else labels[choice.best]
    return Budget(round(choice.limit_ms, 3), best, choice.sentence)


def _baseline(rows: Sequence[Row], labels: Sequence[str], earlier: Document, here: ReportedEnvironment) -> Baseline:
    then, now = vars_of(earlier.environment), vars_of(here)
    differs = (f"{what}: {then[what]} then, {now[what]} now" for what in COMPARED if then[what] != now[what])
    changes = (
        RowChange(labels[change.row], ratio_of(change.invoke), ratio_of(change.frame))
        for change in verdict.changes(rows, earlier)
    )
    return Baseline(earlier.created, tuple(differs), tuple(changes))
