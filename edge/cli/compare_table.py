"""How a comparison looks in a terminal of 100 columns."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from edge.report.document import Document
from edge.report.page import LAYER_COLUMNS, costliest, layer_cells
from edge.report.tables import doubts, fastest_pairs, times

WIDTH = 100
LAYERS = 10  # of each model

Cells = dict[str, Callable[[dict[str, Any]], str]]

LATENCY: Cells = {
    "recipe": lambda row: row["recipe"],
    "input": lambda row: "x".join(map(str, row["input_hw"])),
    "os": lambda row: str(row["output_stride"]),
    "runtime": lambda row: row["runtime"],
    "thr": lambda row: str(row["threads"]),
    "median": lambda row: _ms(row["invoke_ms"]["median"]),
    "p90": lambda row: _ms(row["invoke_ms"]["p90"]),
    "p99": lambda row: _ms(row["invoke_ms"]["p99"]),
    "frame": lambda row: _ms(row["frame_ms"]["p90"]),
    "fps": lambda row: f"{row['fps']:.1f}",
    "GMAC/s": lambda row: "-" if row["gmacs_per_s"] is None else f"{row['gmacs_per_s']:.1f}",
    "RSS": lambda row: f"{row['peak_rss_mb']:.0f}",
    "labels": lambda row: _accuracy(row["accuracy"]),
}
DETAIL: Cells = {
    "MB": lambda row: f"{row['size_bytes'] / 1e6:.2f}",
    "load": lambda row: _ms(row["load_ms"]),
    "first": lambda row: _ms(row["first_invoke_ms"]),
    "warm-up": lambda row: f"{len(row['warm_up_ms'])}: {_ms(row['warm_up_ms'][0])}",
    "max": lambda row: _ms(row["invoke_ms"]["max"]),
    "jitter": lambda row: _ms(row["invoke_ms"]["jitter"]),
    **{
        name[:5]: lambda row, name=name: _ms(row["stages_ms"][name]["median"])  # type: ignore[misc]
        for name in ("preprocess", "invoke", "postprocess", "render")
    },
    "RSS": lambda row: f"{row['rss_mb']:.0f}",
    "GMAC": lambda row: f"{row['macs'] / 1e9:.2f}",
    "parts": lambda row: f"{row['partitions']}+{row['ops_outside']}",
    "out": lambda row: "-" if row["outside_share"] is None else f"{row['outside_share']:.0%}",
    "J": lambda row: "-" if row["frame_j"] is None else f"{row['frame_j']:.2f}",
}
LEGEND = (
    "median to p99: ms per invoke alone; frame: p90 of ms from the picture in memory to its overlay; os: output "
    "stride; RSS: peak MB of the process; labels: mIoU where the truth is known, else share as the reference; "
    "*: no other is as accurate and faster; !: doubtful"
)
DETAIL_LEGEND = (
    "load to jitter: ms; warm-up: how many invokes, the first of them; prepr to rende: median ms of a frame's stages; "
    "RSS: MB while working; parts: delegate partitions + operators outside; out: their share of the time; "
    "J: energy of a frame"
)


def show(document: Document) -> None:
    """The document on stdout; models that failed on stderr."""
    from rich.console import Console

    console = Console(width=WIDTH)
    for number, row in enumerate(document["rows"], start=1):
        console.print(f"{number} {row['model']}", highlight=False, markup=False, soft_wrap=True)
    console.print(_table(LATENCY, document, LEGEND))
    console.print()
    console.print(_table(DETAIL, document, DETAIL_LEGEND))
    console.print()
    for line in lines(document):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    for row in document["rows"]:
        if row.get("profile"):
            console.print(_layers(row))
    for row in document["rows"]:
        if "error" in row:
            print(f"{row['name']}: {row['error']}", file=sys.stderr)  # noqa: T201


def lines(document: Document) -> list[str]:
    """What stands below the tables; rows go by their numbers."""
    number = {row["name"]: str(place) for place, row in enumerate(document["rows"], start=1)}
    found = [f"warning: {text}" for text in document["warnings"]]
    found += [
        f"! doubtful: {', '.join(number[name] for name in rows)}: {reason}" for reason, rows in doubts(document).items()
    ]
    found += [
        f"{number[pair['second']]} against {number[pair['first']]}, the fastest: invoke {times(pair['invoke'])}, "
        f"frame {times(pair['frame'])}"
        for pair in fastest_pairs(document)
    ]
    if document["budget"]:
        found.append(f"budget: {document['budget']['sentence']}")
    if document["baseline"]:
        found += [f"another machine than the baseline's: {text}" for text in document["baseline"]["differs"]]
        found += [
            f"{number[change['name']]} since {document['baseline']['created'][:10]}: invoke {times(change['invoke'])}, "
            f"frame {times(change['frame'])}"
            for change in document["baseline"]["changes"]
        ]
    return found


def _table(columns: Cells, document: Document, legend: str) -> Any:
    made = _empty(["", *columns, " "], ("recipe", "runtime", " "), legend)
    for number, row in enumerate(document["rows"], start=1):
        if "error" in row:
            made.add_row(str(number), "failed", *["-"] * (len(columns) - 1), "")
            continue
        mark = ("*" if row["name"] in document["front"] else "") + ("!" if row["invalid"] else "")
        made.add_row(str(number), *(cell(row) for cell in columns.values()), mark)
    return made


def _layers(row: dict[str, Any]) -> Any:
    profile = row["profile"]
    legend = f"{profile['way']}, {profile['rounds']} rounds; the whole takes {_ms(profile['whole_ms'])} ms"
    made = _empty(LAYER_COLUMNS, ("layer", "name", "delegated"), legend)
    made.title, made.title_justify = f"\ncostliest layers of {row['name']}", "left"
    for layer in costliest(profile, LAYERS):
        kind, *figures, name = layer_cells(layer)
        made.add_row(kind if len(kind) <= 27 else f"{kind[:26]}…", *figures, _end(name, 28))
    return made


def _empty(columns: Sequence[str], left: Sequence[str], legend: str) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, padding=0, show_edge=False, pad_edge=False, caption=legend, caption_justify="left")
    for name in columns:
        made.add_column(name, justify="left" if name in left else "right", no_wrap=True)
    return made


def _end(text: str, most: int) -> str:
    """The end of a name tells more than its beginning."""
    return text if len(text) <= most else f"…{text[1 - most :]}"


def _ms(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}"


def _accuracy(found: dict[str, Any] | None) -> str:
    if not found:
        return "-"
    return f"{found['miou']:.3f}" if found["miou"] is not None else f"{found['agreement']:.1%}"
