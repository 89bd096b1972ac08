"""`compare-models` tells which model to take on this device, and how sure that is."""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge.cli import compare_fleet
from edge.cli.cluster import check_cluster
from edge.cli.compare_rows import rows_from
from edge.cli.compare_table import show
from edge.cli.main import Parser, in_flags, parser, run, say
from edge.cli.options import add_reading_options, add_strict, model_options
from edge.compare import verdict
from edge.compare.comparison import Comparison, Settings
from edge.compare.report.building import document, names
from edge.compare.report.document import Document, FailedRow, read_report, row_as_json
from edge.compare.report.files import destination, write_report
from edge.compare.rows import Row
from edge.destinations import keep_apart
from edge.engine.runtimes import NAMES
from edge.errors import GateFailed, RoadliteError, UsageError
from edge.files import writable_folder
from edge.progress import bars
from edge.requirements import install_extra
from edge.text import one_line

EXAMPLES = (
    "compare-models a.tflite b.tflite                                which is faster here, and how sure is that",
    "compare-models *.tflite --source street/ --labels truth/        with their accuracy",
    "compare-models demo --input-size 257x513,513x1025 --output out  a grid, and a report with plots",
)
FIELDS = {"labels_dir": "--labels", "rate": "--source", "from_report": "--from"}


def build_parser() -> Parser:
    made = parser("compare-models", "Time several models in turns, each in a process of its own.", EXAMPLES, FIELDS)
    made.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help=".tflite files; or, with the convert extra, what convert-model takes: a grid is converted from it",
    )
    made.add_argument("--source", default="demo", metavar="S", help="video, picture, folder, glob, or demo")
    add_strict(made)
    made.add_argument(
        "--threads", default="", metavar="N,...", help="threads of the runtime (default: all cores, 4 at most)"
    )
    made.add_argument(
        "--label-every",
        default="1",
        metavar="N,...",
        help="also label every Nth frame alone and move its labels in those between, as run-model does",
    )
    made.add_argument("--runtime", default="auto", metavar="R,...", help=f"any of {', '.join(NAMES)}")
    made.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="R=PATH",
        help="run runtime R in another Python interpreter, which needs numpy and OpenCV; repeatable (default: this "
        "one, or one on PATH that has the runtime)",
    )
    made.add_argument(
        "--delegate",
        action="append",
        metavar="LIBRARY[,KEY=VALUE...]",
        help="run each model with this external delegate; repeatable, and none is the CPU alone (default: none)",
    )
    made.add_argument(
        "--cluster",
        metavar="C",
        help="measure on the device of each worker of a Dask scheduler, tcp://HOST:8786 or tls://HOST:8786, which open "
        "--source and --labels themselves (docs/fleet.md)",
    )
    add_reading_options(made)
    _add_measuring(made)
    _add_judging(made)
    _add_grid(made)
    return made


def _add_measuring(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--seconds",
        type=float,
        default=5.0,
        metavar="S",
        help="time to measure each for, at least: so long for invokes alone, and again for whole frames",
    )
    made.add_argument("--min-runs", type=int, default=50, metavar="N", help="invokes and frames of each, at least")
    made.add_argument("--cool-down", type=float, default=0.2, metavar="S", help="pause before every turn")
    made.add_argument(
        "--profile",
        type=float,
        nargs="?",
        const=120.0,
        default=0.0,
        metavar="S",
        help="time the layers of each as well, in about so many seconds (120 where none are given)",
    )


def _add_judging(made: argparse.ArgumentParser) -> None:
    made.add_argument("--labels", type=Path, metavar="DIR", help="label files for the pictures of --source")
    made.add_argument(
        "--reference",
        type=Path,
        metavar="MODEL",
        help="a .tflite whose labels count as right (default: the largest float32 model of the list)",
    )
    budget = made.add_mutually_exclusive_group()
    budget.add_argument("--budget-ms", type=float, metavar="MS", help="name the best model that is this fast")
    budget.add_argument("--budget-fps", type=float, metavar="FPS", help="the same, in frames per second")
    made.add_argument("--output", type=Path, metavar="DIR", help="write report.json, .csv, .md and .html there")
    made.add_argument(
        "--from",
        dest="from_report",
        type=Path,
        metavar="FILE",
        help="measure nothing: show an earlier report.json, and write it anew with --output",
    )
    made.add_argument("--baseline", type=Path, metavar="FILE", help="an earlier report.json to compare with")
    made.add_argument(
        "--fail-above", type=float, metavar="RATIO", help="exit with 3 where a model takes so many times as long"
    )
    made.add_argument("--json", action="store_true", help="print the figures as JSON")


def _add_grid(made: argparse.ArgumentParser) -> None:
    grid = made.add_argument_group("where MODEL is a graph")
    grid.add_argument("--input-size", default="513x1025", metavar="HxW,...", help="input sizes")
    grid.add_argument("--output-stride", default="auto", metavar="N,...", help="output strides: 8, 16, 32, keep, auto")
    grid.add_argument("--quantize", default="float32,int8", metavar="RECIPE,...", help="as convert-model takes it")


def main(argv: list[str] | None = None) -> int:
    command = ["compare-models", *(sys.argv[1:] if argv is None else argv)]
    return run("compare-models", argv, build_parser, lambda options: compare_models(options, command))


def compare_models(options: argparse.Namespace, command: Sequence[str]) -> int:
    if options.cluster is not None:
        compare_fleet.check(options)
        check_cluster(options.cluster)
    if options.from_report is not None:
        return show_again(options)
    if not options.models:
        raise UsageError("expected MODEL, one or more, or a report with `from_report`")
    settings = settings_from(options)
    budget_ms = budget_from(options)
    earlier = read_report(options.baseline) if options.baseline else None
    if options.fail_above is not None and (earlier is None or not 0 < options.fail_above < math.inf):
        raise UsageError("expected a ratio above 0, and `baseline` with it", "fail_above")
    if options.output is not None:
        keep_apart([destination(options.output)], read_besides(options))
        writable_folder(options.output)
        say_without_plots("; or draw them afterwards: compare-models --from report.json --output DIR")
    rows = rows_from(options)
    if options.cluster is not None:
        return compare_fleet.compare_fleet(options, rows, settings, command, budget_ms, document_in_flags)
    comparison = Comparison(rows, settings)
    interrupted = False
    try:
        comparison.run(bars)
    except KeyboardInterrupt:
        if not any(row.measured for row in comparison.rows):
            raise
        interrupted = True
    report = document(comparison, command, interrupted=interrupted, budget_ms=budget_ms, earlier=earlier)
    tell(document_in_flags(report), options)
    if interrupted:
        raise KeyboardInterrupt
    if earlier is not None and options.fail_above is not None:
        verdict.gate(comparison.rows, earlier, options.fail_above, names(comparison.rows).__getitem__)
    return judge(comparison.rows)


def read_besides(options: argparse.Namespace) -> list[Path]:
    """Returns the single files that are read; an earlier report is one that the new one must not replace."""
    return [Path(name) for name in (*options.models, options.source, options.baseline, options.classes) if name]


def tell(report: Document, options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps([shortened(row_as_json(row)) for row in report.rows], indent=1))  # noqa: T201
    else:
        show(report)
    if options.output is not None:
        for path in write_report(report, options.output):
            print(one_line(str(path)), file=sys.stderr if options.json else sys.stdout)


def say_without_plots(otherwise: str = "") -> None:
    """Tells before the minutes of measuring what report.html will lack."""
    if importlib.util.find_spec("matplotlib") is None:
        say(f"report.html will have no plots: matplotlib is missing: {install_extra('report')}{otherwise}")


def show_again(options: argparse.Namespace) -> int:
    """Shows an earlier report, and writes it anew where `--output` asks for that."""
    if options.models or options.baseline is not None or options.fail_above is not None:
        raise UsageError(
            "shows a report as it is: expected no MODEL, `baseline` or `fail_above` beside it", "from_report"
        )
    report = read_report(options.from_report)
    if options.output is not None:
        writable_folder(options.output)
        say_without_plots()
    tell(document_in_flags(report), options)
    return 0


def document_in_flags(report: Document) -> Document:
    """Returns a document whose advice names the flags of this command."""
    rows = tuple(
        replace(row, error=in_flags(row.error))
        if isinstance(row, FailedRow)
        else replace(row, assumed=tuple(map(in_flags, row.assumed)))
        for row in report.rows
    )
    return replace(report, warnings=tuple(map(in_flags, report.warnings)), rows=rows)


def shortened(row: dict[str, object]) -> dict[str, object]:
    """Returns a row without the single times, which the report keeps."""
    return {name: value for name, value in row.items() if name not in ("samples_ms", "rounds")}


def judge(rows: Sequence[Row]) -> int:
    failed = [row for row in rows if row.error]
    if len(failed) == len(rows):
        raise RoadliteError(failed[0].error)
    if failed:
        raise GateFailed(f"{len(failed)} of {len(rows)} could not be measured")
    return 0


def settings_from(options: argparse.Namespace) -> Settings:
    for name, least, most in (("seconds", 1e-3, 3600), ("min_runs", 1, 100_000), ("cool_down", 0, 600)):
        if not least <= getattr(options, name) <= most:
            raise UsageError(f"expected {least:g} to {most:g}, got {getattr(options, name)}", name)
    if not 0 <= options.profile <= 86_400:
        raise UsageError(f"expected seconds, up to 86400, got {options.profile}", "profile")
    return Settings(
        options.source,
        options.seconds,
        options.min_runs,
        options.cool_down,
        labels_dir=options.labels,
        strict=options.strict,
        reference=options.reference,
        profile_s=options.profile,
        options=model_options(options),
    )


def budget_from(options: argparse.Namespace) -> float | None:
    """Returns the budget in milliseconds. Raises UsageError."""
    value = options.budget_ms if options.budget_fps is None else options.budget_fps
    if value is None:
        return None
    if not 1e-6 <= value <= 1e12:  # nan is not either
        raise UsageError(f"`budget_ms`, `budget_fps`: expected a number above 0, got {value}")
    return float(value if options.budget_fps is None else 1e3 / value)
