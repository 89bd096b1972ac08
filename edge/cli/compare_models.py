"""`compare-models`: which model, on this device, and how sure is that."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.cli.compare_table import show
from edge.cli.main import Parser, parser, run, say
from edge.cli.options import parse_labels, parse_norm
from edge.compare import pythons as interpreters
from edge.compare import verdict
from edge.compare.comparison import Comparison, Settings
from edge.compare.report.document import Document, document, names
from edge.compare.report.files import read_report, write_report
from edge.compare.rows import Candidate, Row
from edge.engine.open import MAX_THREADS
from edge.engine.runtimes import NAMES
from edge.errors import GateFailed, RoadliteError, RuntimeMissing, UsageError
from edge.files import writable_folder
from edge.progress import bars
from edge.requirements import install_extra
from edge.text import one_line

GRAPHS = (".pb", ".tar.gz", ".tgz", ".tar")


def build_parser() -> Parser:
    made = parser("compare-models", "Time several models in turns, each in a process of its own.")
    made.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help=".tflite files; or, with the convert extra, what convert-model takes: a grid is converted from it",
    )
    made.add_argument("--source", default="demo", metavar="S", help="video, picture, folder, glob, or demo")
    made.add_argument(
        "--threads", default="", metavar="N,...", help="threads of the runtime (default: all cores, 4 at most)"
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
        "--labels", metavar="NAME|FILE", help="classes of models without a card: cityscapes, voc or a file"
    )
    made.add_argument("--normalise", metavar="N", help="of float models without a card: deeplab, unit or MEAN,STD")
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
    made.add_argument("--labels-dir", type=Path, metavar="DIR", help="label files for the pictures of --source")
    made.add_argument(
        "--reference",
        type=Path,
        metavar="MODEL",
        help="a .tflite whose labels count as right (default: the largest float32 model of the list)",
    )
    budget = made.add_mutually_exclusive_group()
    budget.add_argument("--budget-ms", type=float, metavar="MS", help="name the best model that is this fast")
    budget.add_argument("--budget-fps", type=float, metavar="FPS", help="the same, in frames per second")
    made.add_argument("--report", type=Path, metavar="DIR", help="write report.json, .csv, .md and .html there")
    made.add_argument("--baseline", type=Path, metavar="FILE", help="an earlier report.json to compare with")
    made.add_argument(
        "--fail-above", type=float, metavar="RATIO", help="exit with 3 where a model takes so many times as long"
    )
    made.add_argument("--json", action="store_true", help="print the figures as JSON")


def _add_grid(made: argparse.ArgumentParser) -> None:
    grid = made.add_argument_group("where MODEL is a graph")
    grid.add_argument("--sizes", default="513x1025", metavar="HxW,...", help="input sizes")
    grid.add_argument("--strides", default="auto", metavar="N,...", help="output strides: 8, 16, 32, keep, auto")
    grid.add_argument("--quantize", default="float32,int8", metavar="RECIPE,...", help="as convert-model takes it")


def main(argv: list[str] | None = None) -> int:
    command = ["compare-models", *(sys.argv[1:] if argv is None else argv)]
    return run("compare-models", argv, build_parser, lambda options: compare_models(options, command))


def compare_models(options: argparse.Namespace, command: Sequence[str]) -> int:
    settings = settings_from(options)
    budget_ms = budget_from(options)
    earlier = read_report(options.baseline) if options.baseline else None
    if options.fail_above is not None and (earlier is None or not 0 < options.fail_above < math.inf):
        raise UsageError("--fail-above: expected a ratio above 0, and --baseline with it")
    if options.report is not None:
        writable_folder(options.report)
    comparison = Comparison(rows_from(options), settings)
    interrupted = False
    try:
        comparison.run(bars)
    except KeyboardInterrupt:
        if not any(row.measured for row in comparison.rows):
            raise
        interrupted = True
    found = document(comparison, command, interrupted=interrupted, budget_ms=budget_ms, earlier=earlier)
    tell(found, options)
    if interrupted:
        raise KeyboardInterrupt
    if earlier is not None and options.fail_above is not None:
        verdict.gate(comparison.rows, earlier, options.fail_above, names(comparison.rows).__getitem__)
    return judge(comparison.rows)


def tell(found: Document, options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps([shortened(row) for row in found["rows"]], indent=1))  # noqa: T201
    else:
        show(found)
    if options.report is not None:
        for path in write_report(found, options.report):
            print(one_line(str(path)), file=sys.stderr if options.json else sys.stdout)
        if importlib.util.find_spec("matplotlib") is None:
            say(f"report.html has no plots: matplotlib is missing: {install_extra('report')}")


def shortened(row: dict[str, object]) -> dict[str, object]:
    """Without the single times, which --report keeps."""
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
            raise UsageError(
                f"--{name.replace('_', '-')}: expected {least:g} to {most:g}, got {getattr(options, name)}"
            )
    if not 0 <= options.profile <= 86_400:
        raise UsageError(f"--profile: expected seconds, up to 86400, got {options.profile}")
    parse_norm(options.normalise)
    parse_labels(options.labels)
    return Settings(
        options.source,
        options.seconds,
        options.min_runs,
        options.cool_down,
        labels_dir=options.labels_dir,
        reference=options.reference,
        profile_s=options.profile,
        norm=options.normalise,
        labels=options.labels,
    )


def budget_from(options: argparse.Namespace) -> float | None:
    """In milliseconds. Raises UsageError."""
    value = options.budget_ms if options.budget_fps is None else options.budget_fps
    if value is None:
        return None
    if not 1e-6 <= value <= 1e12:  # nan is not either
        raise UsageError(f"--budget-ms, --budget-fps: expected a number above 0, got {value}")
    return float(value if options.budget_fps is None else 1e3 / value)


def rows_from(options: argparse.Namespace) -> list[Row]:
    """One row for each model, runtime and number of threads; a graph's models are converted where they are missing."""
    runtimes = [name.strip() for name in options.runtime.split(",")]
    unknown = [name for name in runtimes if name not in NAMES]
    if unknown:
        raise UsageError(f"--runtime: unknown {unknown[0]!r}, expected some of {', '.join(NAMES)}")
    threads, asked = parse_threads(options.threads), interpreters.parse(options.python)
    pythons = {runtime: interpreters.interpreter_for(runtime, asked) for runtime in runtimes}
    models = [made for model in options.models for made in models_of(model, options)]
    return [
        Row(Candidate(path, runtime, count, pythons[runtime]), error=error)
        for path, error in models
        for runtime in runtimes
        for count in threads
    ]


def models_of(model: str, options: argparse.Namespace) -> list[tuple[Path, str]]:
    """(file, why it could not be made) of a model file, or of each model of a graph's grid."""
    path = Path(model)
    if path.suffix == ".tflite" or (path.is_file() and not model.lower().endswith(GRAPHS)):
        return [(path, "")]
    try:
        grid = importlib.import_module("convert.model_grid")  # not an import statement: edge runs where it is not
    except ImportError as exc:
        raise RuntimeMissing(
            f"{model}: converting needs {exc.name}: {install_extra('convert')}, or name .tflite files"
        ) from exc
    made: list[tuple[Path, str]] = grid.convert_missing(
        model, sizes=options.sizes, strides=options.strides, recipes=options.quantize, track=bars, notice=say
    )
    return made


def parse_threads(text: str) -> list[int | None]:
    """`1,2` -> [1, 2]; empty -> the default. Raises UsageError."""
    if not text:
        return [None]
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError as exc:
        raise UsageError(f"--threads: expected numbers like 1,2, got {text!r}") from exc
    if not all(1 <= count <= MAX_THREADS for count in counts):
        raise UsageError(f"--threads: expected 1 to {MAX_THREADS} threads, got {text!r}")
    return list(counts)
