"""Writes what devices of a fleet measured: what they have in common, and the whole report of each."""

from __future__ import annotations

import csv
import datetime
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from html import escape
from itertools import count
from pathlib import Path
from typing import Any

from edge.address import public
from edge.compare.report.document import Document, FailedRow, MeasuredRow
from edge.compare.report.files import write_report
from edge.compare.report.page import HEAD, Line, table
from edge.compare.report.tables import accuracy, where
from edge.files import write_whole
from edge.fleet.comparing import Compared
from edge.fleet.verdicts import BestForAll, KindRow, Spread, best_on, choose_for_all, kind_rows, kinds
from edge.text import counted

FORMAT = "fleet 1"  # no comparison of one device, whose format is a number


@dataclass(frozen=True, slots=True)
class FleetReport:
    """What devices measured of the same models; `models` are names that no two share."""

    created: str  # ISO 8601
    command: tuple[str, ...]
    interrupted: bool
    models: tuple[str, ...]
    devices: tuple[Compared, ...]
    kinds: tuple[tuple[Compared, ...], ...]
    rows: tuple[KindRow, ...]
    budget: BestForAll | None

    def kind_of(self, device: Compared) -> int | None:
        """Returns the place of a device's kind; None where it measured nothing."""
        return next((place for place, members in enumerate(self.kinds) if device in members), None)


def fleet_report(
    devices: Sequence[Compared],
    models: Sequence[str],
    command: Sequence[str],
    budget_ms: float | None,
    *,
    interrupted: bool = False,
) -> FleetReport:
    """Returns everything that was found."""
    return FleetReport(
        datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        tuple(public(word) for word in command),
        interrupted,
        tuple(models),
        tuple(devices),
        tuple(map(tuple, kinds(devices))),
        tuple(kind_rows(devices, len(models), budget_ms)),
        None if budget_ms is None else choose_for_all(devices, models, budget_ms),
    )


def folders(report: FleetReport) -> list[str]:
    """Returns what the folder of each device's own report is called; no two are alike."""
    plain = [re.sub(r"[^\w.-]+", "-", device.seat.name).strip("-.") or "device" for device in report.devices]
    given = {*WRITERS, *(name for name in plain if plain.count(name) > 1)}
    names = []
    for name in plain:
        free = name if name not in given else next(n for i in count(1) if (n := f"{name}-{i}") not in {*given, *plain})
        given.add(free)
        names.append(free)
    return names


def as_json(report: FleetReport) -> dict[str, Any]:
    """Returns the report without the single times, which each device's own report has."""
    named, budget = list(zip(report.devices, folders(report), strict=True)), report.budget
    return {
        "format": FORMAT,
        "created": report.created,
        "command": list(report.command),
        "interrupted": report.interrupted,
        "models": list(report.models),
        "kinds": [
            {"devices": [device.seat.name for device in members], "environment": asdict(_document(members).environment)}
            for members in report.kinds
        ],
        "rows": [{**asdict(row), "model": report.models[row.model]} for row in report.rows],
        "devices": [_device(report, device, folder) for device, folder in named],
        "budget": None if budget is None else {**asdict(budget), "best": _name(report, budget.best)},
    }


def _document(members: Sequence[Compared]) -> Document:
    found = members[0].document
    assert found is not None
    return found


def _name(report: FleetReport, model: int | None) -> str | None:
    return None if model is None else report.models[model]


def _device(report: FleetReport, device: Compared, folder: str) -> dict[str, Any]:
    about: dict[str, Any] = {
        "worker": device.seat.name,
        "resting": [seat.name for seat in device.others],
        "kind": report.kind_of(device),
        "error": device.error,
    }
    document = device.document
    if document is None:
        return {**about, "report": None, "budget": None, "rows": []}
    rows = [
        {
            "model": name,
            "error": "" if isinstance(row, MeasuredRow) else row.error,
            "frame_p90_ms": row.frame_ms.p90 if isinstance(row, MeasuredRow) else None,
            "invoke_p90_ms": row.invoke_ms.p90 if isinstance(row, MeasuredRow) else None,
            "valid": isinstance(row, MeasuredRow) and row.valid,
        }
        for name, row in zip(report.models, document.rows, strict=True)
    ]
    budget = document.budget and {
        "limit_ms": document.budget.limit_ms,
        "best": _name(report, best_on(document)),
        "sentence": document.budget.sentence,
    }
    return {**about, "report": f"{folder}/report.json", "budget": budget, "rows": rows}


def as_csv(report: FleetReport) -> str:
    """Returns a line for each model on each device; what is not known is empty."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["device", "kind", "model", "frame_p90_ms", "frame_median_ms", "invoke_p90_ms", "fps", "error"])
    for device in report.devices:
        kind = report.kind_of(device)
        if device.document is None:
            writer.writerow([device.seat.name, "", "", "", "", "", "", device.error])
            continue
        for name, row in zip(report.models, device.document.rows, strict=True):
            if isinstance(row, MeasuredRow):
                figures: list[Any] = [row.frame_ms.p90, row.frame_ms.median, row.invoke_ms.p90, row.fps, ""]
            else:
                figures = ["", "", "", "", row.error]
            writer.writerow([device.seat.name, kind, name, *figures])
    return out.getvalue()


KIND_COLUMNS = (
    "kind, model",
    "devices",
    "frame p90, ms",
    "frame median",
    "invoke p90",
    "fps",
    "accuracy",
    "within",
    "",
)
DEVICE_COLUMNS = ("device", "kind", "model", "frame p90, ms", "invoke p90", "fps", "accuracy", "")
FAILED = "failed: "


def spelled(spread: Spread, digits: int = 1) -> str:
    """Returns `41.2 (40.1 to 45.0)`; the range only where it is one."""
    middle, low, high = (f"{value:.{digits}f}" for value in (spread.median, spread.low, spread.high))
    return middle if low == high else f"{middle} ({low} to {high})"


def as_html(report: FleetReport) -> str:
    """Returns a page that needs nothing else, and leads to the pages of the devices."""
    sentences = [f"Budget, for all: {report.budget.sentence}"] if report.budget else []
    sentences += [f"Budget, {name}: {text}" for name, text in budget_answers(report)]
    failed = [f"{device.seat.name}: {device.error}" for device in report.devices if device.document is None]
    kind_lines = [Line([f"{row.kind + 1}, {report.models[row.model]}", *kind_cells(row)]) for row in report.rows]
    body = [
        f"<h1>Models on {counted(len(report.devices), 'device')}</h1><p class=quiet>{escape(report.created)}</p>",
        *(f"<div class=warning>{escape(text)}</div>" for text in failed),
        *(["<div class=warning>interrupted: these are the devices up to then</div>"] if report.interrupted else []),
        f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>",
        "<h2>Kinds of devices</h2>",
        table("Kinds of devices", KIND_COLUMNS, kind_lines, text={8}),
        "<p class=quiet>medians over the devices of a kind, and their range</p><h2>Devices</h2>",
        table("Devices", DEVICE_COLUMNS, map(Line, device_cells(report)), text={2, 7}),
        f"<h2>Reports</h2><ul>{''.join(_links(report))}</ul>",
    ]
    return f"<!doctype html><html lang=en><head>{HEAD}</head><body>{''.join(body)}</body></html>\n"


def _links(report: FleetReport) -> Iterator[str]:
    for device, folder in zip(report.devices, folders(report), strict=True):
        if device.document is not None:
            link = f"<a href='{escape(folder)}/report.html'>{escape(device.seat.name)}</a>"
            yield f"<li>{link}: {escape(where(device.document.environment))}</li>"


def kind_cells(row: KindRow) -> list[str]:
    """Returns the figures of a model on a kind as people read them, from the devices on."""
    return [
        str(row.devices),
        spelled(row.frame_p90_ms),
        f"{row.frame_median_ms.median:.1f}",
        f"{row.invoke_p90_ms.median:.1f}",
        f"{row.fps.median:.1f}",
        "-" if row.score is None else spelled(row.score, 3),
        "-" if row.within is None else f"{row.within} of {row.devices}",
        f"{row.doubtful} doubtful" if row.doubtful else "",
    ]


def device_cells(report: FleetReport) -> list[list[str]]:
    """Returns the figures of each model on each device as people read them."""
    lines = []
    for device in report.devices:
        kind = report.kind_of(device)
        for name, row in zip(report.models, device.document.rows if device.document else (), strict=False):
            about = [device.seat.name, "-" if kind is None else str(kind + 1), name]
            if isinstance(row, MeasuredRow):
                limit_ms = report.budget.limit_ms if report.budget else None
                marks = ["within"] * (limit_ms is not None and row.frame_ms.p90 <= limit_ms)
                marks += ["doubtful"] * (not row.valid)
                figures = [f"{row.frame_ms.p90:.1f}", f"{row.invoke_ms.p90:.1f}", f"{row.fps:.1f}", accuracy(row)]
                lines.append([*about, *figures, ", ".join(marks)])
            else:
                lines.append([*about, "-", "-", "-", "-", f"{FAILED}{row.error}"])
    return lines


def failures(report: FleetReport) -> list[str]:
    """Returns a line for each model that failed, and why, with the devices where it did."""
    where: dict[str, list[str]] = {}
    for device in report.devices:
        for name, row in zip(report.models, device.document.rows if device.document else (), strict=False):
            if isinstance(row, FailedRow):
                where.setdefault(f"{name}: {row.error}", []).append(device.seat.name)
    return [f"{', '.join(names)}: {why}" for why, names in where.items()]


def budget_answers(report: FleetReport) -> list[tuple[str, str]]:
    """Returns each device with its own answer to the budget."""
    return [
        (device.seat.name, device.document.budget.sentence)
        for device in report.devices
        if device.document is not None and device.document.budget is not None
    ]


WRITERS: dict[str, Callable[[FleetReport], str]] = {
    "report.json": lambda report: json.dumps(as_json(report), indent=1, allow_nan=False) + "\n",
    "report.csv": as_csv,
    "report.html": as_html,
}


def write_fleet(report: FleetReport, folder: Path) -> list[Path]:
    """Writes report.json, report.csv and report.html, and a folder with the whole report of each device.

    Returns what was written. Raises SinkError.
    """
    written = []
    for device, name in zip(report.devices, folders(report), strict=True):
        if device.document is not None:
            written += write_report(device.document, folder / name)
    for name, write in WRITERS.items():
        write_whole(folder / name, write(report).encode("utf-8", "replace"))
        written.append(folder / name)
    return written
