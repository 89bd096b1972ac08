"""`compare-models --cluster` measures on the device of every worker."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from edge.cli.cluster import open_fleet
from edge.cli.compare_table import empty_table
from edge.cli.main import in_flags, say
from edge.cluster.models import sent
from edge.compare.comparison import Settings
from edge.compare.report.building import names
from edge.compare.report.document import Document, FailedRow
from edge.compare.report.tables import where
from edge.compare.rows import Row
from edge.errors import GateFailed, RoadliteError, UsageError
from edge.fleet.comparing import Compared, ComparisonJob, SentFile, SentRow, compare_on_each, devices
from edge.fleet.report import (
    DEVICE_COLUMNS,
    FAILED,
    KIND_COLUMNS,
    FleetReport,
    as_json,
    budget_answers,
    device_cells,
    failures,
    fleet_report,
    kind_cells,
    write_fleet,
)
from edge.progress import bars
from edge.segmenter import read_model
from edge.text import counted, one_line

ALONE = ("baseline", "fail_above", "from_report", "python")  # options of a comparison on this machine


def check(options: argparse.Namespace) -> None:
    """Raises UsageError for what a comparison on other devices does not take."""
    for field in ALONE:
        if getattr(options, field):
            raise UsageError("expected none together with `cluster`", field)


def compare_fleet(
    options: argparse.Namespace,
    rows: Sequence[Row],
    settings: Settings,
    command: Sequence[str],
    budget_ms: float | None,
    in_flags_of: Callable[[Document], Document],
) -> int:
    """Compares on every device, and shows and writes what came of it."""
    models: dict[str, bytes] = {}
    sent_rows = tuple(_sent(row, models) for row in rows)
    reference = None if settings.reference is None else _file(settings.reference, models)
    settings = replace(settings, reference=None)
    job = ComparisonJob(sent_rows, settings, tuple(command), budget_ms, reference, _classes(options.classes))
    found: list[Compared] = []
    interrupted = False
    with open_fleet(options.cluster) as client, ExitStack() as stack:
        for sha256, data in models.items():
            stack.enter_context(sent(client, data, sha256))
        try:
            for done in compare_on_each(client, job, bars, say):
                document = done.document and in_flags_of(done.document)
                found.append(replace(done, document=document, error=in_flags(done.error)))
        except KeyboardInterrupt:
            if not found:
                raise
            interrupted = True
    report = fleet_report(devices(found), names(rows), command, budget_ms, interrupted=interrupted)
    tell(report, options)
    if interrupted:
        raise KeyboardInterrupt
    return judge(report)


def _sent(row: Row, models: dict[str, bytes]) -> SentRow:
    """Returns a row that travels, and adds its model to `models`, by sha256."""
    if row.error:
        return SentRow(row.candidate, None, row.error)
    try:
        return SentRow(row.candidate, _file(row.candidate.path, models))
    except RoadliteError as exc:
        return SentRow(row.candidate, None, str(exc))


def _file(path: Path, models: dict[str, bytes]) -> SentFile:
    data = read_model(path)
    sha256 = hashlib.sha256(data).hexdigest()
    models[sha256] = data
    return SentFile(path.name, sha256)


def _classes(named: str | None) -> tuple[str, bytes] | None:
    """Returns a file of class names; None where they are known by name, which workers know too."""
    if named is None or not Path(named).is_file():
        return None
    return Path(named).name, Path(named).read_bytes()


def tell(report: FleetReport, options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps(as_json(report), indent=1))  # noqa: T201
    else:
        show(report)
    if options.output is not None:
        for path in write_fleet(report, options.output):
            print(one_line(str(path)), file=sys.stderr if options.json else sys.stdout)


def show(report: FleetReport) -> None:
    """Prints the tables of kinds and of devices on stdout, and what failed on stderr."""
    from rich.console import Console

    console = Console()
    console = console if console.is_terminal else Console(width=100)

    def line(text: str) -> None:
        console.print(one_line(text), highlight=False, markup=False, soft_wrap=True)

    for number, name in enumerate(report.models, start=1):
        line(f"{number} {name}")
    for number, members in enumerate(report.kinds, start=1):
        document = members[0].document
        assert document is not None
        line(f"kind {number}: {where(document.environment)}: {', '.join(device.seat.name for device in members)}")
    if report.rows:
        legend = "medians over the devices of a kind, and the range of the p90; within: devices that keep the budget"
        kind_table = empty_table(KIND_COLUMNS, ("kind, model", ""), "Kinds of devices", legend)
        for row in report.rows:
            kind_table.add_row(f"{row.kind + 1}, {row.model + 1}", *kind_cells(row))
        console.print(kind_table)
        device_table = empty_table(DEVICE_COLUMNS, ("device", ""), "Devices", "p90: nine of ten take no longer")
        number_of = {name: str(number) for number, name in enumerate(report.models, start=1)}
        for worker, kind, name, *cells in device_cells(report):
            *figures, mark = map(one_line, cells)
            mark = "failed" if mark.startswith(FAILED) else mark
            device_table.add_row(one_line(worker), kind, number_of[name], *figures, mark)
        console.print(device_table)
        console.print()
    for name, sentence in budget_answers(report):
        line(f"budget, {name}: {sentence}")
    if report.budget is not None:
        line(f"budget, for all: {report.budget.sentence}")
    for device in report.devices:
        for warning in device.document.warnings if device.document else ():
            line(f"warning, {device.seat.name}: {warning}")
        if device.document is None and len(report.devices) > 1:
            say(f"{device.seat.name}: {device.error}")
    for text in failures(report):
        say(text)


def judge(report: FleetReport) -> int:
    """Raises RoadliteError where nothing was measured, GateFailed where something was not."""
    wholes = [f"{device.seat.name}: {device.error}" for device in report.devices if device.document is None]
    parts = [
        f"{device.seat.name}: {row.error}"
        for device in report.devices
        for row in (device.document.rows if device.document else ())
        if isinstance(row, FailedRow)
    ]
    if not report.rows:
        raise RoadliteError([*wholes, *parts][0])
    if wholes:
        raise GateFailed(f"{len(wholes)} of {counted(len(report.devices), 'device')} could not be measured")
    if parts:
        raise GateFailed(f"{len(parts)} of {len(report.devices) * len(report.models)} could not be measured")
    return 0
