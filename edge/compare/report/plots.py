"""Plots a comparison as SVG. This is the only module that needs matplotlib."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

from edge.compare.report.document import Document, MeasuredRow
from edge.compare.report.style import ACCENT, BAD, DOT, INK, LINE, QUIET, STAGES, WARM, following
from edge.errors import RuntimeMissing
from edge.requirements import install_extra
from edge.text import shortened

WIDTH_IN = 4.8  # so that letters can still be read where the page makes it as narrow as a phone
LONGEST = 48  # letters of a name: longer ones are wider than the plot
MOST_POINTS = 400  # of a distribution: more only make the page heavy
_STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 11,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "grid.color": LINE,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor"), INK),
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), QUIET),
}
_BOX: Any = {
    "medianprops": {"color": ACCENT, "linewidth": 2.5},
    **{part: {"color": INK} for part in ("boxprops", "whiskerprops", "capprops")},
}


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot for eyes, and the same in words for screen readers."""

    title: str
    caption: str  # what its marks mean
    description: str  # its figures
    svg: str


def plots(document: Document) -> list[Plot]:
    """Returns what there is to plot. Raises RuntimeMissing without matplotlib."""
    try:
        import matplotlib
    except ImportError as exc:
        raise RuntimeMissing(f"no plots: matplotlib is missing: {install_extra('report')}") from exc

    with matplotlib.rc_context(_STYLE):
        return [
            Plot(title, caption, description, _svg(draw(), place, title, description))
            for place, (title, caption, description, draw) in enumerate(_wanted(document), start=1)
        ]


def _wanted(document: Document) -> Iterator[tuple[str, str, str, Callable[[], Any]]]:
    """Yields title, caption, description and how it is drawn."""
    rows, budget = document.measured, document.budget
    marks = "box: the middle half; line: median; whiskers: p1 and p99; diamond: p90"
    dashes = f"; dashes: the budget, {budget.limit_ms:g} ms; red: over it" if budget else ""
    if rows:
        said = _in_words(rows, lambda row: f"median {row.frame_ms.median:.1f}, p90 {row.frame_ms.p90:.1f} ms")
        yield "Whole frames", f"ms, every one that was timed; {marks}{dashes}", said, lambda: frames(rows, document)
        said = _in_words(rows, lambda row: f"median {row.invoke_ms.median:.1f}, p90 {row.invoke_ms.p90:.1f} ms")
        yield "The network alone", f"ms, every invoke that was timed; {marks}", said, lambda: invokes(rows)
        said = _in_words(rows, lambda row: ", ".join(f"{stage} {row.stages_ms[stage].median:.1f}" for stage in STAGES))
        yield "Where a frame's time goes", "ms, median of each stage", said, lambda: stages(rows)
    if any(row.accuracy for row in rows):
        caption = f"the higher and the further left, the better; blue: no other is as accurate and faster{dashes}"
        points = _scores(document)
        said = _in_words([row for row in rows if row.name in points], lambda row: f"{points[row.name][1]:.3f}")
        yield "Accuracy and time", caption, said, lambda: accuracy(document)
    if any(s.temperature_c or s.clock_mhz for s in document.telemetry):
        known = [s.temperature_c for s in document.telemetry if s.temperature_c is not None]
        held = sum(bool(s.throttled) for s in document.telemetry)
        said = f"{min(known):.0f} to {max(known):.0f} °C; " if known else ""
        said += f"throttled in {held} of {len(document.telemetry)} samples"
        yield "Heat and clock while measuring", "shaded: throttled", said, lambda: telemetry(document)


def _in_words(rows: Sequence[MeasuredRow], say: Callable[[MeasuredRow], str]) -> str:
    return "; ".join(f"{row.name}: {say(row)}" for row in rows)


def frames(rows: Sequence[MeasuredRow], document: Document) -> Any:
    """Draws the times of whole frames, and the budget they are to keep."""
    figure, axes = _distribution(rows, "frame", [document.is_over_budget(row) for row in rows])
    if document.budget:
        axes.axvline(document.budget.limit_ms, color=INK, linestyle="--", linewidth=1)
    return figure


def invokes(rows: Sequence[MeasuredRow]) -> Any:
    """Draws the times of the networks alone."""
    return _distribution(rows, "invoke", [False] * len(rows))[0]


def _distribution(
    rows: Sequence[MeasuredRow], what: Literal["frame", "invoke"], over: Sequence[bool]
) -> tuple[Any, Any]:
    """Draws a box from the first to the third quartile, whiskers to p1 and p99, and the times themselves."""
    import numpy as np

    figure, axes = _figure(0.62 * len(rows) + 0.6)
    chance = np.random.default_rng(0)
    for place, row in enumerate(rows):
        samples, latency = row.samples_ms, {"frame": row.frame_ms, "invoke": row.invoke_ms}[what]
        times = np.asarray(samples.frame if what == "frame" else samples.invoke)
        shown = times if len(times) <= MOST_POINTS else chance.choice(times, MOST_POINTS, replace=False)
        axes.plot(shown, place + chance.uniform(-0.2, 0.2, len(shown)), ".", color=DOT, alpha=0.45, ms=4)
        axes.boxplot(
            [times],
            orientation="horizontal",
            positions=[place],
            widths=0.36,
            whis=(1, 99),
            showfliers=False,
            manage_ticks=False,
            **_BOX,
        )
        axes.plot([latency.p90], [place], "D", color=BAD if over[place] else ACCENT, ms=6)
    _name_rows(axes, rows, over)
    axes.set_xlim(left=0)
    return figure, axes


def stages(rows: Sequence[MeasuredRow]) -> Any:
    """Draws the median of each stage as a bar."""
    figure, axes = _figure(0.62 * len(rows) + 0.9)
    for place, row in enumerate(rows):
        left = 0.0
        for stage, colour in STAGES.items():
            width = row.stages_ms[stage].median
            axes.barh(place, width, left=left, color=colour, height=0.36, label=None if place else stage)
            left += width
    _name_rows(axes, rows, [False] * len(rows))
    axes.legend(
        ncols=4,
        frameon=False,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        fontsize=10,
        borderaxespad=0,
        handlelength=1,
        columnspacing=1,
    )
    return figure


def accuracy(document: Document) -> Any:
    """Draws accuracy against the 90th percentile of a whole frame; the front is joined."""
    points = _scores(document)
    figure, axes = _figure(3.4 + 0.2 * len(points))
    best = sorted(points[name] for name in document.front if name in points)
    axes.plot(*zip(*best, strict=True), "-", color=ACCENT, alpha=0.5, zorder=1) if best else None
    over = {row.name for row in document.measured if document.is_over_budget(row)}
    for number, (name, point) in enumerate(points.items(), start=1):
        colour = BAD if name in over else ACCENT if name in document.front else DOT
        axes.plot(*point, "o", color=colour, ms=8, label=f"{number}  {shortened(name, LONGEST)}")
        axes.annotate(str(number), point, textcoords="offset points", xytext=(7, 5))
    if document.budget:
        axes.axvline(document.budget.limit_ms, color=INK, linestyle="--", linewidth=1)
    axes.set_xlim(left=0)
    axes.margins(y=0.2)
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_xlabel("ms, p90 of a frame")
    axes.set_ylabel("mIoU against the truth" if _has_truth(document) else "pixels as in the reference")
    figure.legend(frameon=False, loc="outside lower left", handletextpad=0.3, fontsize=10)
    return figure


def _has_truth(document: Document) -> bool:
    return any(row.accuracy and row.accuracy.miou is not None for row in document.measured)


def _scores(document: Document) -> dict[str, tuple[float, float]]:
    """Name -> (p90 of a frame in ms, accuracy), where the accuracies can be held against each other."""
    truth = _has_truth(document)
    known = {row.name: (row.frame_ms.p90, row.accuracy) for row in document.measured if row.accuracy}
    scores = {name: (ms, found.miou if truth else found.agreement) for name, (ms, found) in known.items()}
    return {name: (ms, score) for name, (ms, score) in scores.items() if score is not None}


def telemetry(document: Document) -> Any:
    """Draws temperature and clock over the time of the comparison."""
    figure, axes = _figure(2.6)
    samples = document.telemetry
    temperatures = [(s.t_s, s.temperature_c) for s in samples if s.temperature_c is not None]
    clocks = [(s.t_s, s.clock_mhz) for s in samples if s.clock_mhz is not None]
    lines = ((temperatures, "temperature, °C", WARM), (clocks, "clock, MHz", ACCENT))
    for place, (points, name, colour) in enumerate(line for line in lines if line[0]):
        ax = axes.twinx() if place else axes
        ax.plot(*zip(*points, strict=True), color=colour)
        ax.set_ylabel(name, color=colour)
        ax.grid(visible=not place)
        if points is clocks:
            ax.set_ylim(0, 1.15 * max(value for _, value in points))
    for sample in samples:
        if sample.throttled:
            axes.axvspan(sample.t_s, sample.t_s + 1, color=WARM, alpha=0.3, linewidth=0)
    axes.set_xlabel("s since the comparison began")
    return figure


def _figure(height_in: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    return figure, figure.add_subplot()


def _name_rows(axes: Any, rows: Sequence[MeasuredRow], over: Sequence[bool]) -> None:
    """Writes the names above their rows: beside them they would take half of a narrow plot."""
    for place, row in enumerate(rows):
        name = shortened(row.name, LONGEST - 13) + ", over budget" if over[place] else shortened(row.name, LONGEST)
        axes.text(
            0.01,
            place - 0.26,
            name,
            transform=axes.get_yaxis_transform(),
            va="bottom",
            color=BAD if over[place] else INK,
        )
    axes.set_yticks([])
    axes.set_ylim(len(rows) - 0.6, -0.75)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def _svg(figure: Any, place: int, title: str, description: str) -> str:
    """Returns a figure as SVG that has a name for screen readers, follows light and dark, and shares no id with other
    plots of the page.
    """
    import matplotlib

    out = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": title}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    text = re.sub(r'style="[^"]*"', lambda found: following(found[0]), text[text.index("<svg") :])
    text = re.sub(r'(?<=\bid=")|(?<=href="#)|(?<=url\(#)', f"plot{place}-", text)
    names = (
        f'<title id="plot{place}-title">{escape(title)}</title><desc id="plot{place}-desc">{escape(description)}</desc>'
    )
    text = re.sub("<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    return text.replace("<svg ", f'<svg role="img" aria-labelledby="plot{place}-title plot{place}-desc" ', 1).replace(
        ">", f">{names}", 1
    )
