"""Writes a comparison as one HTML page that needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from html import escape

from edge.compare.answers import Overlay
from edge.compare.report.document import Document, FailedRow, MeasuredRow
from edge.compare.report.layers import LAYER_COLUMNS, costliest, layer_cells, layers_line
from edge.compare.report.plots import Plot, plots
from edge.compare.report.style import CSS
from edge.compare.report.tables import COLUMNS, LEGEND, accuracy_line, cells, doubts, sentences, times, where
from edge.errors import RuntimeMissing

MOST_SEEN = 8  # classes named below a picture
P90 = COLUMNS.index("frame p90, ms")

HEAD = f"""<meta charset=utf-8><meta name=viewport content="width=device-width"><title>Model comparison</title>
<meta name=color-scheme content="light dark"><style>{CSS}</style>"""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table."""

    cells: Sequence[str]
    kind: str = ""  # its classes in CSS
    over: int | None = None  # the cell that is over the budget


def as_html(document: Document) -> str:
    here = document.environment
    try:
        drawn, missing = plots(document), ""
    except RuntimeMissing as exc:
        drawn, missing = [], str(exc)
    body = [
        "<h1>Model comparison</h1>",
        f"<p class=quiet>{escape(where(here))} · {escape(document.settings.source)} · {escape(document.created)}</p>",
        *(f"<div class=warning>{escape(text)}</div>" for text in _cautions(document, missing)),
        "<ul>",
        *(f"<li>{escape(sentence)}</li>" for sentence in sentences(document)),
        "</ul>",
        "<h2>Figures</h2>",
        _rows(document),
        *(f"<p class=quiet>{escape(line)}.</p>" for line in (LEGEND, accuracy_line(document)) if line),
        *_pictures(document),
        *_classes(document),
        f"<div class=plots>{''.join(map(_plot, drawn))}</div>" if drawn else "",
        *_baseline(document),
        *_pairs(document),
        *_profiles(document),
        "<h2>Environment</h2>",
        _facts(document),
    ]
    return f"<!doctype html><html lang=en><head>{HEAD}</head><body>{''.join(body)}</body></html>\n"


def _cautions(document: Document, missing: str) -> list[str]:
    partial = ["interrupted: these are the figures up to then"] if document.interrupted else []
    measured = len(document.measured)
    doubtful = [
        f"doubtful: {'all' if len(rows) == measured else ', '.join(rows)}: {reason}"
        for reason, rows in doubts(document).items()
    ]
    return [*partial, *document.warnings, *doubtful, *([missing] if missing else [])]


def _rows(document: Document) -> str:
    lines = []
    for number, row in enumerate(document.rows, start=1):
        name, *figures = cells(row, document)
        name = f"{number} {name}"
        if isinstance(row, FailedRow):
            lines.append(Line([name, f"failed: {row.error}"], kind="failed"))
            continue
        kind = " ".join(["doubtful"] * bool(row.invalid) + ["front"] * (row.name in document.front))
        lines.append(Line([name, *figures], kind=kind, over=P90 if document.is_over_budget(row) else None))
    return table("Figures", COLUMNS, lines, text={len(COLUMNS) - 1})


def _pictures(document: Document) -> Iterable[str]:
    """Yields the sample picture, its truth, and what each model sees in it."""
    if document.sample is None or not document.sample_overlays:
        return
    number = {row.name: place for place, row in enumerate(document.rows, start=1)}
    yield f"<h2>What they see</h2><div class=pictures>{_picture('The picture', document.sample, None)}"
    for found in document.sample_overlays:
        title = ", ".join(f"{number[name]} {name}" for name in found.rows if name in number) or "The truth"
        yield _picture(title, found.overlay.jpeg, found.overlay)
    yield "</div>"


def _picture(title: str, jpeg: str, overlay: Overlay | None) -> str:
    seen = overlay.seen[:MOST_SEEN] if overlay else ()
    words = ", ".join(f"{one.name} {one.share:.1%}" for one in seen)
    alt = f"{title}: {words}" if words else f"{title}, as it came"
    return (
        f'<figure><img alt="{escape(alt)}" src="data:image/jpeg;base64,{escape(jpeg)}">'
        f"<figcaption><b>{escape(title)}</b><span class=seen>"
        + "".join(f"<span>{_swatch(one.colour)}{escape(one.name)} {one.share:.1%}</span>" for one in seen)
        + "</span></figcaption></figure>"
    )


def _swatch(colour: str) -> str:
    """A spot of a colour; none of what is no colour, since reports come from strangers too."""
    return f'<i style="background: {colour}"></i>' if re.fullmatch("#[0-9a-f]{6}", colour) else ""


def _classes(document: Document) -> Iterable[str]:
    """Yields the IoU of each class by row, where there is truth."""
    rows = [(n, row.accuracy) for n, row in enumerate(document.rows, 1) if isinstance(row, MeasuredRow)]
    known = [(number, accuracy) for number, accuracy in rows if accuracy and accuracy.classes]
    if not known:
        return
    shares = {one.name: one.truth_share for _, accuracy in reversed(known) for one in accuracy.classes}
    lines = []
    for name, share in sorted(shares.items(), key=lambda found: -found[1]):
        scores = [next((one.iou for one in accuracy.classes if one.name == name), None) for _, accuracy in known]
        lines.append(Line([name, f"{share:.2%}", *("-" if iou is None else f"{iou:.3f}" for iou in scores)]))
    means = ["-" if accuracy.miou is None else f"{accuracy.miou:.3f}" for _, accuracy in known]
    lines.append(Line(["mean", "", *means]))
    yield "<h2>IoU of each class</h2>"
    yield table("IoU of each class", ("class", "share of the truth", *(str(number) for number, _ in known)), lines)
    yield "<p class=quiet>The columns are the rows of the first table. IoU: pixels that truth and model both give to a "
    yield "class, over those that either does; a class that is only predicted has 0 and counts; -: in neither.</p>"


def _plot(plot: Plot) -> str:
    return f"<figure><h2>{escape(plot.title)}</h2>{plot.svg}<figcaption>{escape(plot.caption)}</figcaption></figure>"


def _baseline(document: Document) -> Iterable[str]:
    baseline = document.baseline
    if not baseline:
        return
    yield f"<h2>Against the baseline of {escape(baseline.created)}</h2>"
    yield from (f"<div class=warning>another machine: {escape(text)}</div>" for text in baseline.differs)
    lines = [Line([change.name, times(change.invoke), times(change.frame)]) for change in baseline.changes]
    yield table("Against the baseline", ("model", "invoke", "frame"), lines, text={1, 2})


def _pairs(document: Document) -> Iterable[str]:
    if document.pairs:
        number = {row.name: place for place, row in enumerate(document.rows, start=1)}
        yield "<h2>Every pair</h2><p class=quiet>How many times as long the slower takes, by the numbers of the first "
        yield "table, with the 95 % interval of a bootstrap over rounds. A tie: the interval holds 1, or the "
        yield "difference is below 1 %.</p>"
        lines = [
            Line([f"{number[pair.second]} against {number[pair.first]}", times(pair.invoke), times(pair.frame)])
            for pair in document.pairs
        ]
        yield table("Every pair", ("rows", "invoke", "frame"), lines, text={1, 2})


def _profiles(document: Document) -> Iterable[str]:
    for row in document.measured:
        profile = row.profile
        if profile:
            title = f"Costliest layers: {row.name}"
            yield f"<h2>{escape(title)}</h2>"
            yield f"<p class=quiet>{escape(layers_line(profile))}</p>"
            yield table(title, LAYER_COLUMNS, [Line(layer_cells(layer)) for layer in costliest(profile)], {6})


def _facts(document: Document) -> str:
    here = document.environment
    facts = {**asdict(here), **asdict(document.settings), "energy": document.energy_source or "not told"}
    del facts["cpu_features"], facts["int8_note"]
    facts["processor has"] = ", ".join(here.cpu_features) or "nothing that int8 or float16 gain from"
    facts["processor lacks"] = here.int8_note
    runtimes = dict.fromkeys(f"{row.runtime} {row.runtime_version}" for row in document.measured)
    facts["runtimes"] = ", ".join(runtimes) or None
    facts["versions"] = ", ".join(f"{name} {number}" for name, number in here.versions.items())
    lines = [Line([name.replace("_", " "), str(value)]) for name, value in facts.items() if value is not None]
    sums = dict.fromkeys((f"{row.model} sha256", row.sha256 or "-") for row in document.rows)
    command = escape(" ".join(document.command))
    return table("Environment", ("what", ""), [*lines, *map(Line, sums)]) + f"<p><code>{command}</code></p>"


def table(title: str, columns: Sequence[str], lines: Iterable[Line], text: Collection[int] = ()) -> str:
    """Returns a table that scrolls where the screen is too narrow, by keys too.

    `text` are the columns that hold words; a row of two cells is a sentence that fills it.
    """
    head = "".join(
        f"<th scope=col{' class=text' if place in (0, *text) else ''}>{escape(name)}</th>"
        for place, name in enumerate(columns)
    )
    body = "".join(
        f"<tr class='{line.kind}'><th scope=row>{escape(line.cells[0])}</th>{_cells(line, len(columns), text)}</tr>"
        for line in lines
    )
    return (
        f'<div class=scroll tabindex=0 role=region aria-label="{escape(title)}"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cells(line: Line, columns: int, text: Collection[int]) -> str:
    if len(line.cells) == 2:
        return f"<td class='text long' colspan={columns - 1}><span>{escape(line.cells[1])}</span></td>"
    return "".join(
        f"<td{' class=over' if place == line.over else ' class=text' if place in text else ''}>{escape(cell)}</td>"
        for place, cell in enumerate(line.cells[1:], start=1)
    )
