"""Shows a comparison in a terminal of 80 columns or more."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from edge.cli.main import say
from edge.cli.terminal import fitted
from edge.compare.report.document import Document, FailedRow, MeasuredRow, ReportedAccuracy, ReportedProfile, Row
from edge.compare.report.layers import LAYER_COLUMNS, costliest, layer_cells, layers_line
from edge.compare.report.tables import accuracy_line, doubts, fastest_pairs, times
from edge.compare.rows import STAGES
from edge.text import counted, one_line

WIDTH = 100  # where there is no terminal to ask
NARROWEST = 80
LAYERS = 10  # of each model
KIND = 26  # letters of a layer's operators
FAULT = "red"  # of what failed or is over the budget, and of nothing else

Cells = dict[str, Callable[[MeasuredRow], str]]

FRAME: Cells = {
    "recipe": lambda row: row.recipe,
    "input": lambda row: "x".join(map(str, row.input_hw)),
    "os": lambda row: str(row.output_stride),
    "runtime": lambda row: row.runtime,
    "thr": lambda row: str(row.threads),
    "every": lambda row: str(row.label_every),
    "p90": lambda row: _ms(row.frame_ms.p90),
    "median": lambda row: _ms(row.frame_ms.median),
    "p99": lambda row: _ms(row.frame_ms.p99),
    "fps": lambda row: f"{row.fps:.1f}",
    "labels": lambda row: _accuracy(row.accuracy),
}
INVOKE: Cells = {
    **{
        name: lambda row, name=name: _ms(getattr(row.invoke_ms, name))  # type: ignore[misc]
        for name in ("p90", "median", "p99", "max", "jitter")
    },
    "load": lambda row: _ms(row.load_ms),
    "first": lambda row: _ms(row.first_invoke_ms),
    "warm-up": lambda row: f"{len(row.warm_up_ms)}: {_ms(row.warm_up_ms[0])}",
    "GMAC": lambda row: f"{row.macs / 1e9:.2f}",
    "GMAC/s": lambda row: "-" if row.gmacs_per_s is None else f"{row.gmacs_per_s:.1f}",
    "parts": lambda row: f"{row.partitions}+{row.ops_outside}",
}
COST: Cells = {
    **{
        name: lambda row, name=name: _ms(row.stages_ms[name].median)  # type: ignore[misc]
        for name in STAGES
    },
    "outside": lambda row: "-" if row.outside_share is None else f"{row.outside_share:.0%}",
    "file": lambda row: f"{row.size_bytes / 1e6:.2f}",
    "peak": lambda row: f"{row.peak_rss_mb:.0f}",
    "steady": lambda row: f"{row.rss_mb:.0f}",
    "energy": lambda row: "-" if row.frame_j is None else f"{row.frame_j:.2f}",
}
TABLES = (
    (
        "Whole frame, ms; the headline is p90",
        FRAME,
        "from the picture in memory to its overlay; p90: nine of ten take no longer; os: output stride; thr: threads; "
        "every: each so many frames are labelled; labels: mIoU where the truth is known, else share of pixels as the "
        "reference; *: no other is as accurate and faster; !: doubtful",
    ),
    (
        "Network alone, ms",
        INVOKE,
        "first: the first invoke; warm-up: how many more are not counted, and the first of them; parts: delegate "
        "partitions + operators outside",
    ),
    (
        "Stages of a frame, median ms; memory, MB; energy of a frame, J",
        COST,
        "outside: share of the network's time in operators outside the delegate; peak, steady: of the process",
    ),
)


def show(document: Document) -> None:
    """Prints the document on stdout, and models that failed on stderr."""
    from rich.console import Console

    console = Console()
    width = max(console.width, NARROWEST) if console.is_terminal else WIDTH
    console = Console(width=width)
    for number, row in enumerate(document.rows, start=1):
        _say(console, f"{number} {row.model}{_delegate(row)}")
    if document.measured:
        for title, columns, legend in TABLES:
            console.print(_table(title, columns, document, legend))
        console.print()
    for text in lines(document):
        _say(console, text)
    for row in document.rows:
        if isinstance(row, MeasuredRow) and row.profile:
            console.print(_layers(row, row.profile, width))
    for row in document.rows:
        if isinstance(row, FailedRow) and len(document.rows) > 1:  # of a single one it is how the command ends
            say(f"{row.name}: {row.error}")


def _say(console: Any, text: str) -> None:
    console.print(fitted(one_line(text), sys.stdout), highlight=False, markup=False, soft_wrap=True)


def lines(document: Document) -> list[str]:
    """Returns what stands below the tables; rows go by their numbers."""
    number = {row.name: str(place) for place, row in enumerate(document.rows, start=1)}
    texts = [f"warning: {text}" for text in document.warnings]
    texts += [text for text in [accuracy_line(document)] if text]
    texts += [
        f"! doubtful: {', '.join(number[name] for name in rows)}: {reason}" for reason, rows in doubts(document).items()
    ]
    texts += [
        f"{number[pair.second]} against {number[pair.first]}, the fastest: invoke {times(pair.invoke)}, "
        f"frame {times(pair.frame)}"
        for pair in fastest_pairs(document)
    ]
    if document.environment.int8_note:
        texts.append(f"this processor: {document.environment.int8_note}")
    if document.budget:
        texts.append(f"budget: {document.budget.sentence}")
    if document.baseline:
        texts += [f"another machine than the baseline's: {text}" for text in document.baseline.differs]
        texts += [
            f"{number[change.name]} since {document.baseline.created[:10]}: invoke {times(change.invoke)}, "
            f"frame {times(change.frame)}"
            for change in document.baseline.changes
        ]
    return texts


def _delegate(row: Row) -> str:
    """What an external delegate runs of a model, to stand behind its name."""
    loaded = row if isinstance(row, MeasuredRow) else row.loaded
    if loaded is None or not loaded.delegate:
        return ""
    return f" with {loaded.delegate}, which runs {counted(loaded.delegate_operators, 'operator')}"


def _table(title: str, columns: Cells, document: Document, legend: str) -> Any:
    from rich.text import Text

    if all(row.label_every == 1 for row in document.measured):
        columns = {name: cell for name, cell in columns.items() if name != "every"}
    made = empty_table(["", *columns, " "], ("recipe", "runtime", " "), title, legend)
    for number, row in enumerate(document.rows, start=1):
        if isinstance(row, FailedRow):
            made.add_row(str(number), Text("failed", FAULT), *["-"] * (len(columns) - 1), "")
            continue
        mark = ("*" if row.name in document.front else "") + ("!" if row.invalid else "")
        over = "p90" if columns.get("p90") is FRAME["p90"] and document.is_over_budget(row) else None
        made.add_row(
            str(number), *(Text(cell(row), FAULT if name == over else "") for name, cell in columns.items()), mark
        )
    return made


def _layers(row: MeasuredRow, profile: ReportedProfile, width: int) -> Any:
    cells = [layer_cells(layer) for layer in costliest(profile, LAYERS)]
    used = [max(map(len, column)) + 1 for column in zip(LAYER_COLUMNS, *cells, strict=True)]
    room = width - min(used[0], KIND + 1) - sum(used[1:-1])
    title = f"Costliest layers of {row.name}"
    made = empty_table(LAYER_COLUMNS, ("layer", "name", "delegated"), title, layers_line(profile))
    for kind, *figures, name in cells:
        made.add_row(kind if len(kind) <= KIND else f"{kind[: KIND - 1]}…", *figures, _end(name, room))
    return made


def empty_table(columns: Sequence[str], left: Sequence[str], title: str, legend: str) -> Any:
    """Returns a table without rows; the columns in `left` hold words."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    made = Table(
        box=SIMPLE_HEAD,
        padding=0,
        show_edge=False,
        pad_edge=False,
        title=Text(f"\n{title}"),
        title_justify="left",
        caption=Text(legend),
        caption_justify="left",
    )
    for name in columns:
        style = "bold" if name == "p90" else None
        made.add_column(name, justify="left" if name in left else "right", no_wrap=True, style=style)
    return made


def _end(text: str, most: int) -> str:
    """The end of a name tells more than its beginning."""
    return text if len(text) <= most else f"…{text[1 - most :]}"


def _ms(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}"


def _accuracy(accuracy: ReportedAccuracy | None) -> str:
    if accuracy is None:
        return "-"
    return f"{accuracy.miou:.3f}" if accuracy.miou is not None else f"{accuracy.agreement or 0:.1%}"
