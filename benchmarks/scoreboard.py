"""What the benchmarks measured: kept in results.json, shown in README.md.

Each script replaces its own entry of results.json, and the part of README.md between two comments is rendered from the
whole of it; `python benchmarks/scoreboard.py` does only that. An entry holds title, about, command, date, machine, the
share of the processors that others took meanwhile, and rows: way, unit, rounds, median, p90, low and high (of the
median), ratio (value, low, high), target, met, and more. Intervals are 95 % by resampling the rounds; of fewer than
five rounds they are the lowest and the highest.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from machine import Load, described, machine

from edge.compare.estimates import FEWEST, Estimate, median, ratio
from edge.files import write_whole

FOLDER = Path(__file__).parent
RESULTS, README = FOLDER / "results.json", FOLDER / "README.md"
BEGIN, END = "<!-- rendered from results.json by scoreboard.py -->", "<!-- end of what is rendered -->"
WIDTH = 120
ORDER = (
    "end-to-end mobilenetv2",
    "end-to-end xception65",
    "invoke",
    "overhead",
    "stages",
    "postprocess",
    "conversion",
    "cold-start",
    "scaling",
    "archive",
    "namespaces",
    "live",
    "slow-board",
    "motion",
    "motion-film",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One way of doing something; figures are in `unit`."""

    way: str
    unit: str
    rounds: int
    median: float
    p90: float
    low: float
    high: float
    ratio: tuple[float, float, float] | None = None
    target: str = ""
    met: bool | None = None
    more: dict[str, str] = field(default_factory=dict)  # further columns
    column: str = ""  # rows of one way with columns share a line, which shows their medians


@dataclass(slots=True)
class Entry:
    """What one benchmark found."""

    title: str
    about: str = ""  # a paragraph: what was compared, how often
    ratio: str = ""  # what the rows' ratios mean
    rows: list[Row] = field(default_factory=list)


def row(
    way: str,
    samples: Sequence[float],
    unit: str = "ms",
    *,
    base: Sequence[float] | None = None,
    column: str = "",
    **more: str,
) -> Row:
    """Of one sample a round; the ratio is how many times as much `base`, from the same rounds, takes."""
    found = _interval(samples, median(samples))
    against = None if base is None else _ratio(base, samples)
    p90 = float(np.percentile(samples, 90))
    named = {name.replace("_", " "): value for name, value in more.items()}
    return Row(way, unit, len(samples), found.value, p90, found.low, found.high, against, more=named, column=column)


def aimed(found: Row, *, at_most: float | None = None, at_least: float | None = None, of: str = "median") -> Row:
    """With its target, which the median or the ratio meets or not."""
    value = found.median if of == "median" else found.ratio[0] if found.ratio else math.nan
    unit = f" {found.unit}" if of == "median" else ""
    if at_most is not None:
        return replace(found, target=f"<= {at_most:g}{unit}", met=value <= at_most)
    return replace(found, target=f">= {at_least:g}{unit}", met=value >= (at_least or 0.0))


def _interval(samples: Sequence[float], found: Estimate) -> Estimate:
    return found if len(samples) >= FEWEST else Estimate(found.value, min(samples), max(samples))


def _ratio(second: Sequence[float], first: Sequence[float]) -> tuple[float, float, float]:
    each = [b / a for a, b in zip(first, second, strict=True)]
    found = _interval(each, ratio(second, first))
    return found.value, found.low, found.high


@contextmanager
def benchmark(
    name: str, title: str, ratio: str = "", results: Path = RESULTS, readme: Path = README
) -> Iterator[Entry]:
    """The entry to fill; kept, printed and shown in the README when the block ends, not when it raises."""
    assert name in ORDER, name
    entry, before = Entry(title, ratio=ratio), Load.now()
    say(title)
    yield entry
    described_entry = {
        **asdict(entry),
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "date": date.today().isoformat(),
        "machine": machine(),
        "others": before.others(Load.now()),
    }
    kept = read(results)
    kept[name] = _rounded(described_entry)
    ordered = {known: kept[known] for known in ORDER if known in kept}
    write_whole(results, (json.dumps(ordered, indent=1) + "\n").encode())
    print("\n".join(table(kept[name])), flush=True)
    show(ordered, readme)


def read(results: Path = RESULTS) -> dict[str, Any]:
    return json.loads(results.read_text()) if results.exists() else {}


def show(results: dict[str, Any], readme: Path = README) -> None:
    """Puts the tables between the two comments of the README."""
    before, _, rest = readme.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    write_whole(readme, f"{before}{BEGIN}\n{render(results)}{END}{after}".encode())


def render(results: dict[str, Any]) -> str:
    """The tables of all entries, and the machines they were measured on."""
    machines: list[str] = []
    sections = []
    for entry in results.values():
        line = described(entry["machine"])
        machines += [line] if line not in machines else []
        where = f"machine {machines.index(line) + 1}"
        measured = (
            f"`{entry['command']}`, {entry['date']}, {where}; other processes took {entry['others']:.0%} of its "
            "processors meanwhile."
        )
        text = [fill(entry["about"], WIDTH, break_on_hyphens=False), "", fill(measured, WIDTH, break_on_hyphens=False)]
        sections.append("\n".join([f"## {entry['title']}", "", *table(entry), "", *text, ""]))
    listed = [fill(f"{number}. {line}", WIDTH, subsequent_indent="   ") for number, line in enumerate(machines, 1)]
    return "\n".join(["", *sections, "## Machines", "", *listed, "", ""])


def table(entry: dict[str, Any]) -> list[str]:
    """Lines of a Markdown table; columns without a figure are left out."""
    lines = [_cells(found, entry["ratio"]) for found in _lines(entry["rows"])]
    titles = list(dict.fromkeys(title for cells in lines for title in cells))
    titles = [title for title in titles if any(cells.get(title) for cells in lines)]
    head = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    return head + [f"| {' | '.join(cells.get(title, '') for title in titles)} |" for cells in lines]


def _lines(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, those of one way with columns joined to one."""
    found: dict[str, dict[str, Any]] = {}
    for index, row in enumerate(rows):
        line = found.setdefault(row["way"] if row["column"] else str(index), {**row, "columns": {}})
        if row["column"]:
            line["columns"][row["column"]] = number(row["median"])
    return list(found.values())


def _cells(row: dict[str, Any], ratio_title: str) -> dict[str, str]:
    if row["columns"]:
        return {"way": row["way"], **row["more"], **row["columns"]}
    spread = f"{number(row['low'])} - {number(row['high'])}" if row["rounds"] > 1 else ""
    against = row["ratio"]
    ratio_text = f"{number(against[0])} ({number(against[1])} - {number(against[2])})" if against else ""
    verdict = {None: "", True: f"{row['target']}: met", False: f"{row['target']}: **missed**"}[row["met"]]
    return {
        "way": row["way"],
        "median": f"{number(row['median'])} {row['unit']}",
        "interval": spread,
        "p90": number(row["p90"]) if row["rounds"] > 1 else "",
        ratio_title: ratio_text,
        **row["more"],
        "target": verdict,
    }


def number(value: float) -> str:
    """Three digits, and no fewer than the whole ones."""
    if not value or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def _rounded(value: Any) -> Any:
    """Figures to five digits: more would only make every line of a rerun differ further."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list | tuple) else value


def say(message: str) -> None:
    """Progress, on stderr."""
    print(f"[{Path(sys.argv[0]).stem}] {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    show(read())
