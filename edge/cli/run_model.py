"""`run-model`: a model, a source of frames, and what to do with the results."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import get_args

from edge import pipeline
from edge.cli import Parser, parser, run, version
from edge.cli.options import add_model_options, segmenter_from
from edge.data import SourceInfo
from edge.errors import UsageError
from edge.files import writable_folder, write_whole
from edge.live import Controls
from edge.progress import bars
from edge.render import Renderer, View
from edge.segmenter import Segmenter
from edge.sinks import open_sink
from edge.sources import open_source
from edge.timing import Timing


def build_parser() -> Parser:
    made = parser("run-model", "Label every frame of a video or of pictures and show the result.")
    made.add_argument("model", type=Path, metavar="MODEL", help="a .tflite file")
    made.add_argument("--source", default="demo", metavar="S", help="video, picture, folder, glob, or demo")
    made.add_argument(
        "--output", action="append", metavar="O",
        help="NAME.mp4, a folder or pattern of pictures, NAME.png, labels:DIR, or null; repeatable "
        "(default: SOURCE-overlay.mp4, or .png for one picture)",
    )  # fmt: skip
    made.add_argument("--view", default="overlay", choices=get_args(View), help="what is drawn")
    made.add_argument("--alpha", type=float, default=0.5, metavar="F", help="opacity of the overlay, 0..1")
    made.add_argument("--no-legend", action="store_true", help="leave the list of classes out")
    made.add_argument("--no-hud", action="store_true", help="leave the line with the latency out")
    made.add_argument("--limit", type=int, metavar="N", help="stop after N frames")
    made.add_argument("--stats", type=Path, metavar="FILE", help="write the times as JSON")
    add_model_options(made)
    return made


def main(argv: list[str] | None = None) -> int:
    return run("run-model", argv, build_parser, run_model)


def run_model(options: argparse.Namespace) -> int:
    if not 0 <= options.alpha <= 1:
        raise UsageError(f"--alpha: expected 0 to 1, got {options.alpha}")
    if options.limit is not None and options.limit < 1:
        raise UsageError(f"--limit: expected 1 or more frames, got {options.limit}")
    if options.stats is not None:
        writable_folder(options.stats.parent)
    segmenter = segmenter_from(options)
    controls = Controls(view=options.view, alpha=options.alpha)
    renderer = Renderer(segmenter.card.classes, controls, legend=not options.no_legend, hud=not options.no_hud)
    timing = Timing()
    with ExitStack() as stack:
        source = stack.enter_context(closing(open_source(options.source, limit=options.limit)))
        outputs = options.output or [default_output(options.source, source.info)]
        sinks = [stack.enter_context(closing(open_sink(spec, source.info))) for spec in outputs]
        say(describe(segmenter, source.info))
        total = min(filter(None, (source.info.frame_count, options.limit)), default=None)
        frames = bars(source, "labelling", total)
        try:
            pipeline.run(frames, segmenter, renderer, sinks, timing)
        finally:
            frames.close()  # takes the bar away before the report is printed
            for sink in sinks:  # also after Ctrl-C: what is done is kept
                sink.close()
            if timing.frames:
                report(timing, segmenter, source.info, outputs, options.stats)
    return 0


def default_output(spec: str, info: SourceInfo) -> str:
    stem = Path(spec).stem or "pictures"
    if info.rate is None and info.frame_count == 1:
        return f"{stem}-overlay.png"
    return f"{stem}-overlay/" if info.rate is None else f"{stem}-overlay.mp4"


def describe(segmenter: Segmenter, info: SourceInfo) -> str:
    height, width = segmenter.card.input_hw
    size = f" {info.size_wh[0]}x{info.size_wh[1]}" if info.size_wh else ""
    rate = f" at {float(info.rate):g} fps" if info.rate else ""
    return (
        f"{segmenter.card.name} {segmenter.card.recipe} {height}x{width} on {segmenter.engine.runtime}, "
        f"{len(segmenter.card.classes)} classes; {info.name}{size}{rate}"
    )


def report(timing: Timing, segmenter: Segmenter, info: SourceInfo, outputs: list[str], stats: Path | None) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(f"{timing.frames} frames in {timing.seconds:.1f} s: {timing.fps:.1f} frames per second")
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("ms per frame")
    for name in ("median", "p90"):
        table.add_column(name, justify="right")
    summary = timing.summary()
    for name, times in summary["stages_ms"].items():
        table.add_row(name, f"{times['median']:.2f}", f"{times['p90']:.2f}")
    console.print(table)
    written = [spec for spec in outputs if spec != "null"]
    if written:
        say("wrote " + ", ".join(spec.removeprefix("labels:") for spec in written))
    if stats is not None:
        about = {
            "roadlite": version(), "model": segmenter.path.name, "runtime": segmenter.engine.runtime,
            "threads": segmenter.engine.threads, "source": info.name,
        }  # fmt: skip
        write_whole(stats, (json.dumps({**about, **summary}, indent=1) + "\n").encode())


def say(message: str) -> None:
    print(message, file=sys.stderr)  # noqa: T201
