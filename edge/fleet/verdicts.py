"""Says what comparisons on several devices mean: by kinds of devices, and which model to take for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from edge.compare.report.document import Document, MeasuredRow
from edge.device.environment import Environment
from edge.fleet.comparing import Compared
from edge.text import counted


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure on several devices: its median, and the lowest and highest."""

    median: float
    low: float
    high: float


def spread_of(values: Sequence[float]) -> Spread:
    return Spread(round(median(values), 3), round(min(values), 3), round(max(values), 3))


@dataclass(frozen=True, slots=True)
class KindRow:
    """A model on the devices of a kind; figures are those of the devices that measured it."""

    kind: int  # place in the list of kinds
    model: int  # place in the list of models
    devices: int
    frame_p90_ms: Spread
    frame_median_ms: Spread
    invoke_p90_ms: Spread
    fps: Spread
    score: Spread | None  # mIoU where every device knows it, else agreement with the reference
    within: int | None  # how many of the devices keep the budget; None where there is none
    doubtful: int  # how many of the devices call their times doubtful


@dataclass(frozen=True, slots=True)
class BestForAll:
    """The model to take where all devices get the same one."""

    limit_ms: float
    best: int | None  # place in the list of models
    sentence: str


Kind = tuple[str | int | None, ...]


def kind_of(environment: Environment) -> Kind:
    """Returns what devices have in common whose times belong together."""
    memory_gb = None if environment.memory_mb is None else round(environment.memory_mb / 1e3)
    here = environment
    return here.board, here.cpu, here.cores, memory_gb, here.architecture, here.os, here.python


def kinds(devices: Sequence[Compared]) -> list[list[Compared]]:
    """Returns the devices that measured something, those of one kind together."""
    grouped: dict[Kind, list[Compared]] = {}
    for device in devices:
        if device.document is not None:
            grouped.setdefault(kind_of(device.document.environment), []).append(device)
    return list(grouped.values())


def measured(device: Compared, model: int) -> MeasuredRow | None:
    """Returns what a device measured of a model; None where it failed there."""
    row = device.document.rows[model] if device.document is not None else None
    return row if isinstance(row, MeasuredRow) else None


def score_of(row: MeasuredRow) -> float | None:
    known = row.accuracy
    if known is None:
        return None
    return known.agreement if known.miou is None else known.miou


def kind_rows(devices: Sequence[Compared], models: int, limit_ms: float | None) -> list[KindRow]:
    """Returns each model on each kind of device, where at least one of them measured it."""
    rows = []
    for kind, members in enumerate(kinds(devices)):
        for model in range(models):
            found = [row for row in (measured(device, model) for device in members) if row is not None]
            if found:
                rows.append(_kind_row(kind, model, found, limit_ms))
    return rows


def _kind_row(kind: int, model: int, found: Sequence[MeasuredRow], limit_ms: float | None) -> KindRow:
    scores = [score for score in map(score_of, found) if score is not None]
    return KindRow(
        kind,
        model,
        len(found),
        spread_of([row.frame_ms.p90 for row in found]),
        spread_of([row.frame_ms.median for row in found]),
        spread_of([row.invoke_ms.p90 for row in found]),
        spread_of([row.fps for row in found]),
        spread_of(scores) if len(scores) == len(found) else None,
        None if limit_ms is None else sum(row.frame_ms.p90 <= limit_ms for row in found),
        sum(not row.valid for row in found),
    )


def choose_for_all(devices: Sequence[Compared], names: Sequence[str], limit_ms: float) -> BestForAll:
    """Chooses the most accurate of the models that keep the budget on every device, by its p90 of a whole frame; where
    accuracy is not known of all of them, the one whose slowest device is the fastest.

    Devices that measured nothing are not asked. The accuracy of a model is its lowest.
    """
    there = [device for device in devices if device.document is not None]
    on_all = f"on all {len(there)} devices" if len(there) > 1 else "on the only device"
    slowest = {model: _slowest(there, model) for model in range(len(names))}
    everywhere = {model: found for model, found in slowest.items() if found is not None}
    within = {model: found for model, found in everywhere.items() if found[0] <= limit_ms}
    if not within:
        nearest = min(everywhere.items(), default=None, key=lambda item: item[1][0])
        least = f"; {names[nearest[0]]} comes nearest, {_on(nearest[1])}" if nearest else ""
        return BestForAll(limit_ms, None, f"none is within {limit_ms:.1f} ms {on_all} (p90 of a frame){least}")
    lowest = {model: _lowest_score(there, model) for model in within}
    scores = {model: score for model, score in lowest.items() if score is not None}
    if len(scores) == len(within):
        best = max(within, key=lambda model: (scores[model], -within[model][0]))
        why = f"most accurate, {scores[best]:.3f}, of the"
    else:
        best = min(within, key=lambda model: within[model][0])
        why = "fastest (accuracy is not known) of the"
    sentence = f"{names[best]}: {why} {len(within)} within {limit_ms:.1f} ms {on_all}; at most {_on(within[best])}"
    silent = len(devices) - len(there)
    return BestForAll(limit_ms, best, sentence + (f"; {counted(silent, 'device')} not asked" if silent else ""))


def _on(found: tuple[float, str]) -> str:
    return f"{found[0]:.1f} ms on {found[1]}"


def _slowest(devices: Sequence[Compared], model: int) -> tuple[float, str] | None:
    """Returns the longest p90 of a model in milliseconds, and the device; None where a device has none."""
    rows = [(measured(device, model), device.seat.name) for device in devices]
    times = [(row.frame_ms.p90, name) for row, name in rows if row is not None]
    return max(times) if times and len(times) == len(rows) else None


def _lowest_score(devices: Sequence[Compared], model: int) -> float | None:
    scores = [score_of(row) for row in (measured(device, model) for device in devices) if row is not None]
    return min((score for score in scores if score is not None), default=None) if None not in scores else None


def best_on(document: Document) -> int | None:
    """Returns the place of the model that a device's own answer to the budget names; None where there is none."""
    best = document.budget.best if document.budget else None
    return next((place for place, row in enumerate(document.rows) if best is not None and row.name == best), None)
