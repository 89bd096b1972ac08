"""Writes a comparison as tables: for spreadsheets, and to paste."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from edge.compare.report.document import Document, FailedRow, MeasuredRow, Ratio, Row, RowPair, row_as_json
from edge.compare.rows import STAGES
from edge.device.environment import Environment
from edge.text import counted

JsonRow = Mapping[str, object]

_LATENCIES = ("median", "p90", "p99", "max", "jitter")
_PLAIN = (
    "name",
    "model",
    "sha256",
    "recipe",
    "input_hw",
    "output_stride",
    "runtime",
    "runtime_version",
    "threads",
    "delegate",
    "delegate_operators",
    "label_every",
    "size_bytes",
    "macs",
    "gmacs_per_s",
    "partitions",
    "ops_outside",
    "outside_share",
    "load_ms",
    "first_invoke_ms",
    "invokes",
    "frames",
    "fps",
    "peak_rss_mb",
    "rss_mb",
    "invoke_j",
    "frame_j",
)


def as_csv(document: Document) -> str:
    """Returns one line for each row, numbers unrounded; what is not known is empty."""
    columns: dict[str, Callable[[JsonRow], Any]] = {name: _key(name) for name in _PLAIN}
    for group in ("invoke_ms", "frame_ms"):
        columns |= {f"{group.removesuffix('_ms')}_{name}_ms": _key(group, name) for name in _LATENCIES}
    columns |= {f"{stage}_median_ms": _key("stages_ms", stage, "median") for stage in STAGES}
    columns |= {name: _key("accuracy", name) for name in ("miou", "pixel_accuracy", "agreement", "reference")}
    columns |= {"valid": _key("valid"), "invalid": _key("invalid"), "error": _key("error")}
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([_cell(get(row)) for get in columns.values()] for row in map(row_as_json, document.rows))
    return out.getvalue()


def _key(*path: str) -> Callable[[JsonRow], Any]:
    def get(row: JsonRow) -> Any:
        value: Any = row
        for name in path:
            value = None if value is None else value.get(name)
        return value

    return get


def _cell(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return ("x" if all(isinstance(part, int) for part in value) else "; ").join(map(str, value))
    return value


COLUMNS = (
    "model",
    "frame p90, ms",
    "frame median",
    "fps",
    "invoke p90",
    "invoke median",
    "accuracy",
    "recipe",
    "input, stride",
    "runtime, threads",
    "GMAC/s",
    "file MB",
    "RSS MB",
    "",
)


LEGEND = (
    "frame: picture in memory to overlay; invoke: the network alone; p90, the headline: nine of ten take no longer; "
    "front: no other is as accurate and faster"
)


def cells(row: Row, document: Document) -> list[str]:
    """Returns a row as people read it, in the order of COLUMNS."""
    if isinstance(row, FailedRow):
        return [row.name, *["-"] * (len(COLUMNS) - 2), row.error]
    height, width = row.input_hw
    invoke, frame = row.invoke_ms, row.frame_ms
    marks = ["front"] * (row.name in document.front) + ["over budget"] * document.is_over_budget(row)
    marks += ["doubtful"] * bool(row.invalid)
    return [
        row.name,
        f"{frame.p90:.1f}",
        f"{frame.median:.1f}",
        f"{row.fps:.1f}",
        f"{invoke.p90:.1f}",
        f"{invoke.median:.1f}",
        accuracy(row),
        row.recipe,
        f"{height}x{width}, {row.output_stride}",
        f"{row.runtime} {row.runtime_version}, {row.threads}"
        + (f", {row.delegate}" if row.delegate else "")
        + (f", every {row.label_every}" if row.label_every > 1 else ""),
        "-" if row.gmacs_per_s is None else f"{row.gmacs_per_s:.1f}",
        f"{row.size_bytes / 1e6:.2f}",
        f"{row.peak_rss_mb:.0f}",
        ", ".join(marks),
    ]


def accuracy(row: MeasuredRow) -> str:
    """Returns `mIoU 0.471` against the truth, `98.9 % as float32.tflite` against a reference, `-` where nothing is
    known.
    """
    known = row.accuracy
    if known is None:
        return "-"
    if known.miou is not None:
        return f"mIoU {known.miou:.3f}"
    return "-" if known.agreement is None else f"{known.agreement:.1%} equal"


def accuracy_line(document: Document) -> str:
    """Returns on how many frames the accuracy was found, and what it is held against; empty where it is not known."""
    known = next((row.accuracy for row in document.measured if row.accuracy), None)
    if known is None:
        return ""
    of = f"{counted(known.frames, 'frame')} of {document.settings.source}"
    return (
        f"mIoU: against the truth, on {of}"
        if known.miou is not None
        else f"equal: pixels as {known.reference} labels them, on {of}"
    )


def as_markdown(document: Document) -> str:
    """Returns Markdown to paste into an issue or a README."""
    here = document.environment
    lines = [
        _escaped(f"{where(here)}; {document.settings.source}, {document.created[:10]}"),
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + "---|" * len(COLUMNS),
        *("| " + " | ".join(_escaped(cell) for cell in cells(row, document)) + " |" for row in document.rows),
        "",
        f"{LEGEND}.",
        *(f"\n{_escaped(line)}." for line in [accuracy_line(document)] if line),
        *(f"\n{_escaped(line)}" for line in sentences(document)),
        *(f"\nDoubtful ({_escaped(', '.join(rows))}): {reason}" for reason, rows in doubts(document).items()),
    ]
    return "\n".join(lines) + "\n"


def where(here: Environment) -> str:
    """Returns the machine in a line."""
    return ", ".join(str(part) for part in (here.board, here.cpu, f"{here.cores} cores", here.os) if part)


def sentences(document: Document) -> list[str]:
    """Returns what the figures say, one line each."""
    texts = [ratio_line(pair) for pair in fastest_pairs(document)]
    if document.environment.int8_note:
        texts.append(f"This processor: {document.environment.int8_note}")
    if document.budget:
        texts.append(f"Budget: {document.budget.sentence}")
    return texts


def doubts(document: Document) -> dict[str, list[str]]:
    """Returns why times are doubtful -> names of the rows."""
    rows: dict[str, list[str]] = {}
    for row in document.measured:
        for reason in row.invalid:
            rows.setdefault(reason, []).append(row.name)
    return rows


def fastest_pairs(document: Document) -> list[RowPair]:
    """Returns the pairs with the fastest row, it first."""
    ahead: dict[str, float] = {}  # sum of the logarithms of its ratios: what is fast in the same rounds counts
    for pair in document.pairs:
        log = math.log(pair.frame.ratio)
        ahead[pair.first] = ahead.get(pair.first, 0.0) - log
        ahead[pair.second] = ahead.get(pair.second, 0.0) + log
    if not ahead:
        return []
    fastest = min(ahead, key=lambda name: ahead[name])
    return [
        pair if pair.first == fastest else pair.flipped()
        for pair in document.pairs
        if fastest in (pair.first, pair.second)
    ]


def ratio_line(pair: RowPair) -> str:
    """Returns a line such as `float32 against int8: invoke 3.10 times as long (2.98 to 3.21), frame ...`"""
    parts = [f"invoke {times(pair.invoke)}", f"frame {times(pair.frame)}"]
    return f"{pair.second} against {pair.first}: {', '.join(parts)}"


def times(ratio: Ratio) -> str:
    """Returns a ratio in words."""
    if ratio.low is None or ratio.high is None:
        return f"{ratio.ratio:.2f} times as long (too few rounds to be sure)"
    span = f"({ratio.low:.2f} to {ratio.high:.2f})"
    return f"a tie {span}" if ratio.tie else f"{ratio.ratio:.2f} times as long {span}"


def _escaped(cell: str) -> str:
    """As text that Markdown neither ends a cell at nor takes for HTML or emphasis."""
    return re.sub(r"([\\|<>*`\[\]])", r"\\\1", " ".join(cell.split()))
