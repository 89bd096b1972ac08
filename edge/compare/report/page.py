"""Writes a comparison as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from html import escape

from edge.compare.report.document import Document, FailedRow, MeasuredRow, ReportedLayer, ReportedProfile
from edge.compare.report.plots import plots
from edge.compare.report.tables import COLUMNS, cells, doubts, sentences, times, where
from edge.errors import RuntimeMissing
from edge.text import counted

COSTLIEST = 12  # layers shown of each model

_CSS = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1240px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: 0 } h2 { font-size: 1.2rem; margin-top: 2.2rem }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-size: 13px }
th, td { padding: .3rem .5rem; text-align: right; border-bottom: 1px solid #ddd } td { white-space: nowrap }
th:first-child, td:first-child { text-align: left } td:first-child { white-space: normal; min-width: 11rem }
td:first-child { overflow-wrap: anywhere } tr.doubtful td { color: #8a5a00 }
tr.front td:first-child { font-weight: 600; color: #b3121d } tr.failed td { color: #666 }
th:last-child, td:last-child { text-align: left }
tr.failed td:last-child, tr.fact td:last-child { white-space: normal; overflow-wrap: anywhere; min-width: 16rem }
.warning { background: #fff4e0; border-left: 4px solid #f4a261; padding: .4rem .8rem; margin: .4rem 0 }
svg { width: 100%; max-width: 900px; min-width: 620px; height: auto }
.quiet { color: #666 } code { font-size: 13px; overflow-wrap: anywhere }
"""

HEAD = f"""<meta charset=utf-8><meta name=viewport content="width=device-width"><title>Model comparison</title>
<style>{_CSS}</style>"""


def as_html(document: Document) -> str:
    here = document.environment
    try:
        drawn, missing = plots(document), ""
    except RuntimeMissing as exc:
        drawn, missing = {}, str(exc)
    body = [
        "<h1>Model comparison</h1>",
        f"<p class=quiet>{escape(where(here))} · {escape(document.settings.source)} · {escape(document.created)}</p>",
        *(f"<div class=warning>{escape(text)}</div>" for text in _cautions(document, missing)),
        "<ul>",
        *(f"<li>{escape(sentence)}</li>" for sentence in sentences(document)),
        "</ul>",
        "<h2>Figures</h2>",
        _rows(document),
        "<p class=quiet>invoke: the network alone; frame: picture in memory to overlay; p90, the headline: nine of ten "
        "take no longer; red: no other is as accurate and faster.</p>",
        *(f"<h2>{escape(title)}</h2><div class=scroll>{svg}</div>" for title, svg in drawn.items()),
        *_baseline(document),
        *_pairs(document),
        *_profiles(document),
        "<h2>Environment</h2>",
        _facts(document),
    ]
    return f"<!doctype html><html lang=en><head>{HEAD}</head><body>{''.join(body)}</body></html>\n"


def _cautions(document: Document, missing: str) -> list[str]:
    partial = ["interrupted: these are the figures up to then"] if document.interrupted else []
    measured = sum(isinstance(row, MeasuredRow) for row in document.rows)
    doubtful = [
        f"doubtful: {'all' if len(rows) == measured else ', '.join(rows)}: {reason}"
        for reason, rows in doubts(document).items()
    ]
    return [*partial, *document.warnings, *doubtful, *([missing] if missing else [])]


def _rows(document: Document) -> str:
    lines = []
    for row in document.rows:
        kind = "failed" if isinstance(row, FailedRow) else "doubtful" if row.invalid else ""
        kind += " front" if row.name in document.front else ""
        name, *figures = cells(row, document)
        lines.append((kind, [name, row.error] if isinstance(row, FailedRow) else [name, *figures]))
    return table(COLUMNS, lines)


def _baseline(document: Document) -> Iterable[str]:
    baseline = document.baseline
    if not baseline:
        return
    yield f"<h2>Against the baseline of {escape(baseline.created)}</h2>"
    yield from (f"<div class=warning>another machine: {escape(text)}</div>" for text in baseline.differs)
    yield table(("", "invoke", "frame"), [("", [c.name, times(c.invoke), times(c.frame)]) for c in baseline.changes])


def _pairs(document: Document) -> Iterable[str]:
    if document.pairs:
        yield "<h2>Every pair</h2><p class=quiet>How many times as long the second takes, with the 95 % interval of a "
        yield "bootstrap over rounds. A tie: the interval holds 1, or the difference is below 1 %.</p>"
        lines = [("", [p.first, p.second, times(p.invoke), times(p.frame)]) for p in document.pairs]
        yield table(("first", "second", "invoke", "frame"), lines)


def _profiles(document: Document) -> Iterable[str]:
    for row in document.measured:
        profile = row.profile
        if profile:
            yield f"<h2>Costliest layers: {escape(row.name)}</h2>"
            yield f"<p class=quiet>{escape(layers_line(profile))}</p>"
            yield table(LAYER_COLUMNS, [("", layer_cells(layer)) for layer in costliest(profile)])


LAYER_COLUMNS = ("layer", "ms", "95 % interval", "share", "GMAC/s", "delegated", "name")


def costliest(profile: ReportedProfile, count: int = COSTLIEST) -> list[ReportedLayer]:
    """Returns the layers that take longest."""
    return sorted(profile.layers, key=lambda layer: -(layer.ms or 0.0))[:count]


def layers_line(profile: ReportedProfile) -> str:
    """Returns how the layers were measured, and whether they add up to the model."""
    low, high = profile.whole_low_ms, profile.whole_high_ms
    whole = f"{profile.whole_ms:.2f} ms" + ("" if low is None or high is None else f" ({low:.2f} to {high:.2f})")
    verdict = "" if profile.adds_up else ": they do not add up, there is too much noise"
    rounds = counted(profile.rounds, "round")
    return f"{profile.way}, {rounds}; all layers take {profile.sum_ms:.2f} ms, the model as it is {whole}{verdict}"


def layer_cells(layer: ReportedLayer) -> list[str]:
    """Returns a layer in the order of LAYER_COLUMNS."""
    low, high = layer.low_ms, layer.high_ms
    last = layer.place + layer.operators - 1
    place = str(last) if layer.operators == 1 else f"{layer.place}-{last}"
    return [
        f"{place} {layer.kind}",
        f"{layer.ms:.3f}",
        "-" if low is None or high is None else f"{low:.3f} to {high:.3f}",
        f"{layer.share:.1%}",
        "-" if layer.gmacs_per_s is None else f"{layer.gmacs_per_s:.1f}",
        {True: "yes", False: "no", None: "-"}[layer.delegated],
        layer.name.rpartition(";")[2],
    ]


def _facts(document: Document) -> str:
    here = document.environment
    facts = {**asdict(here), **asdict(document.settings), "energy": document.energy_source or "not told"}
    facts["versions"] = ", ".join(f"{name} {number}" for name, number in here.versions.items())
    facts["cpu_features"] = ", ".join(here.cpu_features)
    lines = [("fact", [name.replace("_", " "), str(value)]) for name, value in facts.items() if value is not None]
    sums = [("fact", [f"{row.model} sha256", row.sha256 or "-"]) for row in document.rows]
    return table(("", ""), [*lines, *sums]) + f"<p><code>{escape(' '.join(document.command))}</code></p>"


def table(columns: Sequence[str], lines: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Returns a table of lines, each with the class of its row; the last cell of a short line takes what is left."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(
        f"<tr class='{kind}'>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells[:-1])
        + f"<td colspan={len(columns) - len(cells) + 1}>{escape(cells[-1])}</td></tr>"
        for kind, cells in lines
    )
    return f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
