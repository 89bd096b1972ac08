"""Shows what became of the graphs of `convert-model`: the tables, what stands below them, and JSON."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from edge.cli.main import say
from edge.cli.terminal import fitted
from edge.text import counted

if TYPE_CHECKING:
    from convert.conversion import Outcome
    from convert.tflite.build import MixedModel


def show(outcomes: list[Outcome]) -> None:
    """Prints what became of one graph."""
    from rich.console import Console

    console = Console()
    console.print(table(outcomes))
    for line in spreads(outcomes):
        console.print(line, style="italic", highlight=False)
    console.print("IoU with what the network that was given sees at this size and stride", style="italic")
    console.print(class_table(outcomes))
    for o in outcomes:
        if o.rescued and o.plain:
            before, after = o.plain.fidelity, o.verdict.fidelity
            say(f"{o.recipe.name}: {before:.4f} as it was, {after:.4f} with {_in_float(o.rescued)}")
        if o.passed:
            line = fitted(f"{o.recipe.name}: {o.path}", sys.stdout)
            console.print(line, highlight=False, markup=False, soft_wrap=True)


def _in_float(rescued: MixedModel) -> str:
    from convert.tflite.quantize import first_name

    names = ", ".join(map(first_name, rescued.in_float))
    found = f"{len(rescued.in_float)} layers left in float: {names}" if names else "no layer found that would help"
    return found if rescued.finished else f"{found}; the search was ended by --rescue-seconds"


def hurting(outcome: Outcome) -> str:
    """Returns which layers cost the most, for the message of a failed gate."""
    if outcome.rescued is None or not outcome.rescued.costs:
        return ""
    from convert.tflite.quantize import first_name

    worst = (f"{first_name(cost.operator)} ({cost.lost:.3f})" for cost in outcome.rescued.costs[:4])
    return f"; the layers that cost {outcome.recipe.name} most, each quantized alone: {', '.join(worst)}"


def as_row(outcome: Outcome) -> dict[str, object]:
    """Returns what became of a recipe as `--json` prints it."""
    row: dict[str, object] = {
        "recipe": outcome.recipe.name,
        "file": str(outcome.path) if outcome.passed else None,
        "passed": outcome.passed,
        "limit": outcome.limit,
        "size_bytes": outcome.size_bytes,
        "convert_s": round(outcome.seconds, 2),
        "invoke_ms": None if outcome.invoke_ms is None else round(outcome.invoke_ms, 3),
        **outcome.verdict.as_json(),
    }
    return row if outcome.rescue is None else {**row, "rescue": asdict(outcome.rescue)}


def table(outcomes: list[Outcome]) -> object:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    first = outcomes[0].verdict
    made = Table(
        title=f"Share of equal pixels, on {first.frames} frames not used for calibration",
        title_justify="left",
        caption="fidelity, worst frame, objects (where either sees one): against the network that was given, at this "
        "size and stride. stock: against it as it came, at its own size and stride. invoke: the median, "
        f"of what was written, in turns.{_truth_line(outcomes)}",
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=0,
        show_edge=False,
        pad_edge=False,
    )
    made.add_column("recipe", no_wrap=True)
    for name in ("MB", "fidelity", "worst", "objects", "stock", "mIoU", "invoke", "made in", "gate"):
        made.add_column(name, justify="right", no_wrap=True)
    for o in outcomes:
        v = o.verdict
        made.add_row(
            o.recipe.name,
            f"{o.size_bytes / 1e6:.2f}",
            _share(v.fidelity),
            _share(v.worst_frame),
            _share(v.objects),
            _share(v.shrinking),
            _share(v.mean_iou),
            "-" if o.invoke_ms is None else f"{o.invoke_ms:.1f} ms",
            f"{o.seconds:.1f} s",
            f"[green]>= {o.limit:g}" if o.passed else "[red]failed",
        )
    return made


def spreads(outcomes: list[Outcome]) -> list[str]:
    """Returns how sure the fidelities are: between which those of single frames lie, and how many more would."""
    verdicts = [(o.recipe.name, o.verdict) for o in outcomes if o.verdict.between is not None]
    if not verdicts:
        return ["How sure this is cannot be told from one frame."]
    each = ", ".join(f"{name} {verdict.worst_frame:.4f} to {verdict.best_frame:.4f}" for name, verdict in verdicts)
    first = verdicts[0][1]
    return [
        f"Fidelity of single frames: {each}. Of further frames like these, {first.between:.0%} are expected to lie "
        "between."
    ]


def class_table(outcomes: list[Outcome]) -> object:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, padding=0, show_edge=False, pad_edge=False)
    made.add_column("class", no_wrap=True)
    for o in outcomes:
        made.add_column(o.recipe.name, justify="right", no_wrap=True)
    for name in dict.fromkeys(name for o in outcomes for name in o.verdict.per_class):
        made.add_row(name, *(_share(o.verdict.per_class.get(name)) for o in outcomes))
    return made


def _truth_line(outcomes: list[Outcome]) -> str:
    """Names the frames behind each mIoU: of other frames, those of compare-models or evaluate-model, it is another."""
    v = outcomes[0].verdict
    if v.stock_mean_iou is None:
        return ""
    own = f"the network's own is {v.stock_mean_iou:.4f}, at this size and stride {v.retargeted_mean_iou:.4f}"
    return f" mIoU: against the truth of these {counted(v.frames, 'frame')} alone; on them {own}."


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
