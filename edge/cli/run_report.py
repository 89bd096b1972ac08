"""Says what `run-model` runs, and how it went."""

from __future__ import annotations

import json
from pathlib import Path

from edge.cli.main import say, version
from edge.controls import RunDescription, RunStatistics
from edge.data import SourceInfo
from edge.files import write_whole
from edge.second_model import SecondModel
from edge.segmenter import Segmenter
from edge.sources.left_out import LeftOut
from edge.text import counted


def run_description(segmenter: Segmenter, info: SourceInfo) -> RunDescription:
    """Returns what never changes while the pipeline runs."""
    engine = segmenter.engine
    return RunDescription(
        version(),
        segmenter.path.name,
        engine.runtime,
        engine.threads,
        info.name,
        engine.delegate,
        engine.delegate_operators,
    )


def describe(segmenter: Segmenter, info: SourceInfo) -> str:
    height, width = segmenter.card.input_hw
    size = f" {info.size_wh[0]}x{info.size_wh[1]}" if info.size_wh else ""
    rate = f" at {float(info.rate):g} fps" if info.rate else ""
    engine = segmenter.engine
    delegate = f" with {engine.delegate}" if engine.delegate else ""
    return (
        f"{segmenter.card.name} {segmenter.card.recipe} {height}x{width} on {engine.runtime}{delegate}, "
        f"{len(segmenter.card.classes)} classes; {info.name}{size}{rate}"
    )


def report(stats: RunStatistics, info: SourceInfo, left_out: LeftOut, written: str, file: str | None) -> None:
    """Writes the times to a file and prints them; where that is standard output, it has nothing else."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    text = json.dumps(stats.as_json(), indent=1) + "\n"
    if file is not None and file != "-":  # first: whoever read what is printed may be gone
        write_whole(Path(file), text.encode())
    console, timing = Console(stderr=file == "-"), stats.timing
    console.print(f"{counted(timing.frames, 'frame')} in {timing.seconds:.1f} s: {timing.fps:.1f} frames per second")
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("ms per frame")
    for name in ("median", "p90"):
        table.add_column(name, justify="right")
    decoding = "draw the scene" if info.is_drawn else "decode"
    ages = ("age when shown", timing.frame_age_ms), ("age of labels", timing.label_age_ms)
    for name, times in (*timing.stages_ms.items(), *ages):
        if times is not None:
            table.add_row(decoding if name == "decode" else name, f"{times.median:.2f}", f"{times.p90:.2f}")
    console.print(table)
    if timing.moved is not None and timing.held is not None:
        console.print(f"labels of an earlier frame: {timing.moved:.1%} moved along, {timing.held:.1%} held in place")
    losses = (
        (stats.drops, "frame", " dropped because newer ones were there"),
        (stats.reconnects, "reconnect", ""),
        (stats.skipped, "damaged frame", ""),
        (stats.jumps, "jump", " of the film's clock closed to one frame period"),
    )
    if any(count for count, *_ in losses):
        say(", ".join(counted(count, what) + more for count, what, more in losses if count))
    for line in left_out.lines_of_unreadable():
        say(line)
    if written:
        say(f"wrote {written}")
    if file == "-":
        print(text, end="")  # noqa: T201


def say_disagreement(second: SecondModel | None) -> None:
    """Says how much two models disagreed, where there were two and frames."""
    found = None if second is None else second.summary()
    if found is not None:
        say(
            f"the two models disagree on {found.median:.1%} of the pixels (median of the frames), in the worst, frame "
            f"{found.worst_index}, on {found.worst:.1%}"
        )
