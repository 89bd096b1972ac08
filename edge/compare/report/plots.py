"""Plots a comparison as SVG. This is the only module that needs matplotlib."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, Literal

from edge.compare.report.document import Document, MeasuredRow
from edge.errors import RuntimeMissing
from edge.requirements import install_extra
from edge.text import shortened

LONGEST = 36  # letters of a name: longer ones leave no room for the plot
MOST_POINTS = 400  # of a distribution: more only make the page heavy
STAGE_COLOURS = {"preprocess": "#8ecae6", "invoke": "#1d3557", "postprocess": "#f4a261", "render": "#a7c957"}
_STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 10,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e5e5",
    "axes.axisbelow": True,
}


def plots(document: Document) -> dict[str, str]:
    """Returns title -> SVG of what there is to plot. Raises RuntimeMissing without matplotlib."""
    try:
        import matplotlib
    except ImportError as exc:
        raise RuntimeMissing(f"no plots: matplotlib is missing: {install_extra('report')}") from exc

    rows = document.measured
    with matplotlib.rc_context(_STYLE):
        drawn: dict[str, Callable[[], str]] = {}
        if rows:
            drawn["Latency of a whole frame, every one that was timed"] = lambda: distribution(rows, "frame")
            drawn["Latency of an invoke alone"] = lambda: distribution(rows, "invoke")
            drawn["Where a frame's time goes (median of each stage)"] = lambda: stages(rows)
        if any(row.accuracy for row in rows):
            drawn["Accuracy over latency"] = lambda: accuracy(rows, document)
        if any(s.temperature_c or s.clock_mhz for s in document.telemetry):
            drawn["Temperature and clock while measuring"] = lambda: telemetry(document)
        return {title: draw() for title, draw in drawn.items()}


def distribution(rows: Sequence[MeasuredRow], what: Literal["frame", "invoke"]) -> str:
    """Draws a box from the first to the third quartile, whiskers to p1 and p99, and the frames themselves."""
    import numpy as np

    figure, axes = _figure(0.55 * len(rows) + 1.1)
    chance = np.random.default_rng(0)
    for place, row in enumerate(rows):
        samples, latency = row.samples_ms, {"frame": row.frame_ms, "invoke": row.invoke_ms}[what]
        times = np.asarray(samples.frame if what == "frame" else samples.invoke)
        shown = times if len(times) <= MOST_POINTS else chance.choice(times, MOST_POINTS, replace=False)
        axes.plot(shown, place + chance.uniform(-0.3, 0.3, len(shown)), ".", color="#457b9d", alpha=0.35, ms=4)
        axes.boxplot(
            [times],
            orientation="horizontal",
            positions=[place],
            widths=0.5,
            whis=(1, 99),
            showfliers=False,
            manage_ticks=False,
            medianprops={"color": "#d62828", "linewidth": 2},
        )
        axes.plot([latency.p90], [place], "D", color="#d62828", ms=5, label=None if place else "p90")
    _name_rows(axes, rows)
    axes.set_xlim(left=0)
    axes.set_xlabel("ms (box: middle half, line: median, whiskers: p1 and p99, diamond: p90)")
    return _svg(figure)


def stages(rows: Sequence[MeasuredRow]) -> str:
    """Draws the median of each stage as a bar."""
    figure, axes = _figure(0.45 * len(rows) + 1.4)
    for place, row in enumerate(rows):
        left = 0.0
        for stage, colour in STAGE_COLOURS.items():
            width = row.stages_ms[stage].median
            axes.barh(place, width, left=left, color=colour, height=0.6, label=None if place else stage)
            left += width
    _name_rows(axes, rows)
    axes.set_xlabel("ms")
    axes.legend(ncols=4, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    return _svg(figure)


def accuracy(rows: Sequence[MeasuredRow], document: Document) -> str:
    """Draws accuracy against the 90th percentile of a whole frame; the front is joined."""
    figure, axes = _figure(4.2)
    known = {row.name: (row.frame_ms.p90, row.accuracy) for row in rows if row.accuracy}
    truth = any(accuracy.miou is not None for _, accuracy in known.values())
    scores = {name: (ms, accuracy.miou if truth else accuracy.agreement) for name, (ms, accuracy) in known.items()}
    points = {name: (ms, score) for name, (ms, score) in scores.items() if score}
    best = sorted(points[name] for name in document.front if name in points)
    axes.plot(*zip(*best, strict=True), "-", color="#d62828", alpha=0.5, zorder=1) if best else None
    for number, (name, point) in enumerate(points.items(), start=1):
        colour = "#d62828" if name in document.front else "#457b9d"
        axes.plot(*point, "o", color=colour, ms=8, label=f"{number}  {shortened(name, 2 * LONGEST)}")
        axes.annotate(str(number), point, textcoords="offset points", xytext=(7, 5))
    if document.budget:
        axes.axvline(document.budget.limit_ms, color="#2a9d8f", linestyle="--")
    axes.set_xlim(left=0)
    axes.margins(y=0.2)
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_xlabel("ms, p90 of a frame (red: no other is as accurate and faster)")
    axes.set_ylabel("mIoU against the truth" if truth else "share of pixels as in the reference")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.16), handletextpad=0.3)
    return _svg(figure)


def telemetry(document: Document) -> str:
    """Draws temperature and clock over the time of the comparison."""
    figure, axes = _figure(2.8)
    samples = document.telemetry
    temperatures = [(s.t_s, s.temperature_c) for s in samples if s.temperature_c is not None]
    clocks = [(s.t_s, s.clock_mhz) for s in samples if s.clock_mhz is not None]
    lines = ((temperatures, "temperature, °C", "#d62828"), (clocks, "clock, MHz", "#457b9d"))
    for place, (points, name, colour) in enumerate(line for line in lines if line[0]):
        ax = axes.twinx() if place else axes
        ax.plot(*zip(*points, strict=True), color=colour)
        ax.set_ylabel(name, color=colour)
        ax.grid(visible=not place)
        if points is clocks:
            ax.set_ylim(0, 1.15 * max(value for _, value in points))
    for sample in samples:
        if sample.throttled:
            axes.axvspan(sample.t_s, sample.t_s + 1, color="#f4a261", alpha=0.5, linewidth=0)
    axes.set_xlabel("s since the comparison began (orange: throttled)")
    return _svg(figure)


def _figure(height_in: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, height_in), layout="constrained")
    return figure, figure.add_subplot()


def _name_rows(axes: Any, rows: Sequence[MeasuredRow]) -> None:
    axes.set_yticks(range(len(rows)), [shortened(row.name, LONGEST) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def _svg(figure: Any) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
