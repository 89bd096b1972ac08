"""`compare-models`: latency and memory of several models, side by side."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from edge.cli import Parser, parser, run
from edge.compare import Candidate, Row, compare
from edge.engine import MAX_THREADS, RUNTIMES
from edge.errors import GateFailed, RoadliteError, UsageError
from edge.progress import bars


def build_parser() -> Parser:
    made = parser("compare-models", "Time several models in turns, each in a process of its own.")
    made.add_argument("models", type=Path, nargs="+", metavar="MODEL", help=".tflite files")
    made.add_argument("--source", default="demo", metavar="S", help="video, picture, folder, glob, or demo")
    made.add_argument(
        "--threads", default="", metavar="N,...", help="threads of the runtime (default: all cores, 4 at most)"
    )
    made.add_argument("--runtime", default="auto", metavar="R,...", help=f"any of {', '.join(RUNTIMES)}")
    made.add_argument("--seconds", type=float, default=5.0, metavar="S", help="time to measure each for, at least")
    made.add_argument("--json", action="store_true", help="print the figures as JSON")
    return made


def main(argv: list[str] | None = None) -> int:
    return run("compare-models", argv, build_parser, compare_models)


def compare_models(options: argparse.Namespace) -> int:
    if not 0 < options.seconds <= 3600:
        raise UsageError(f"--seconds: expected more than 0 and at most 3600, got {options.seconds}")
    runtimes = [name.strip() for name in options.runtime.split(",")]
    unknown = [name for name in runtimes if name not in RUNTIMES]
    if unknown:
        raise UsageError(f"--runtime: unknown {unknown[0]!r}, expected some of {', '.join(RUNTIMES)}")
    candidates = [
        Candidate(model, runtime, threads)
        for model in options.models
        for runtime in runtimes
        for threads in parse_threads(options.threads)
    ]
    rows = compare(candidates, options.source, seconds=options.seconds, track=bars)
    if options.json:
        print(json.dumps([row.summary() for row in rows], indent=1))  # noqa: T201
    else:
        show(rows)
    failed = [row for row in rows if row.error]
    if len(failed) == len(rows):
        raise RoadliteError(failed[0].error)
    if failed:
        raise GateFailed(f"{len(failed)} of {len(rows)} could not be measured")
    return 0


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


COLUMNS = ("", "recipe", "input", "os", "runtime", "thr", "MB", "first", "median", "p90", "p99", "fps", "RSS", "parts")
LEGEND = (
    "first to p99: ms per invoke, warm-up left out; fps: picture in memory to overlay; os: output stride; "
    "RSS: peak MB of the whole process; parts: delegate partitions + operators outside"
)


def show(rows: list[Row]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(
        box=SIMPLE_HEAD, padding=0, show_edge=False, pad_edge=False, caption=LEGEND, caption_justify="left"
    )  # fmt: skip
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in ("", "recipe", "runtime") else "right", no_wrap=True)
    console = Console()
    for number, row in enumerate(rows, start=1):
        console.print(f"{number} {row.candidate.path.name}", highlight=False, markup=False, soft_wrap=True)
        table.add_row(str(number), *cells(row.summary()))
    console.print(table)
    for row in rows:
        if row.error:
            print(f"{row.candidate.path.name}: {row.error}", file=sys.stderr)  # noqa: T201


def cells(row: dict[str, Any]) -> list[str]:
    if "error" in row:
        return ["failed", *["-"] * (len(COLUMNS) - 2)]
    height, width = row["input_hw"]
    ms = row["invoke_ms"]
    return [
        row["recipe"], f"{height}x{width}", str(row["output_stride"]), row["runtime"], str(row["threads"]),
        f"{row['size_bytes'] / 1e6:.2f}", f"{row['first_invoke_ms']:.1f}",
        *(f"{ms[name]:.1f}" for name in ("median", "p90", "p99")),
        f"{row['fps']:.1f}", f"{row['peak_rss_mb']:.0f}", f"{row['partitions']}+{row['ops_outside']}",
    ]  # fmt: skip
