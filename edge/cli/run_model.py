"""`run-model` labels the frames of a source with a model, and shows or keeps the results."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack, closing
from itertools import repeat
from pathlib import Path
from typing import get_args

from edge import pipeline
from edge.cli.event_options import (
    add_event_options,
    check_events,
    event_destinations,
    open_events,
    regions_of,
    watched_regions,
)
from edge.cli.main import Parser, parser, run, say
from edge.cli.options import (
    SOURCE_FIELDS,
    add_drawing_options,
    add_model_options,
    add_source_options,
    class_files,
    hidden_classes,
    segmenter_from,
    source_options,
)
from edge.cli.pace import add_pace_options, check_label_every, pace_of
from edge.cli.run_report import describe, report, run_description, say_disagreement
from edge.cli.signals import ending_gently
from edge.controls import Controls, LivePipeline, View
from edge.data import Result, SourceInfo
from edge.destinations import keep_apart, one_file
from edge.device.board import display, temperature_c
from edge.device.cooling import Heat
from edge.errors import SinkError, SourceError, UsageError
from edge.files import writable_folder
from edge.memory import share_one_heap
from edge.progress import bars
from edge.renderer import Renderer
from edge.second_model import SecondModel
from edge.segmenter import Segmenter
from edge.sinks.base import Sink
from edge.sinks.fan_out import FanOut
from edge.sinks.open import destination_of, open_sink
from edge.sinks.systemd import SystemdNotifier
from edge.smooth import Smoother, parse_smooth
from edge.sources.open import files_of, open_source
from edge.sources.options import SourceHealth
from edge.status import Status
from edge.timing import Timing

COMPARE = "compare"

EXAMPLES = (
    "run-model model.tflite                                           the camera, in a window or a web page",
    "run-model model.tflite --source drive.mp4                        a film, into drive-overlay.mp4",
    "run-model model.tflite --output 'web://0.0.0.0?token-file=FILE'  the camera, for a browser elsewhere",
)


def build_parser() -> Parser:
    made = parser(
        "run-model",
        "Label every frame of a camera, a video or of pictures and show the result.",
        EXAMPLES,
        SOURCE_FIELDS,
    )
    made.add_argument("model", type=Path, metavar="MODEL", help="a .tflite file")
    made.add_argument("other", type=Path, nargs="?", metavar="OTHER", help="another one, for --view compare")
    add_source_options(made)
    made.add_argument(
        "--output",
        action="append",
        metavar="O",
        help="window, web[://HOST:PORT[?token-file=FILE&public-url=URL]], NAME.mp4, udp://HOST:PORT, rtsp://HOST/NAME, "
        "a folder or pattern of pictures, NAME.png, labels:DIR, NAME.jsonl or NAME.csv with the shares of classes in "
        "every frame, or null; repeatable (default: for cameras and streams a window, or the web page "
        "where there is no display; for files SOURCE-overlay.mp4, or .png for one picture)",
    )
    add_event_options(made)
    made.add_argument(
        "--view",
        choices=(*get_args(View), COMPARE),
        help="what is drawn (default: overlay; of two models compare: both overlays, and where they disagree)",
    )
    add_pace_options(made)
    add_drawing_options(made)
    made.add_argument("--smooth", metavar="two|F", help="steadier labels: sum two frames, or weigh the newest with F")
    made.add_argument("--no-hud", action="store_true", help="leave the line with the latency out")
    made.add_argument("--max-temp", type=float, metavar="C", help="lower the rate above this temperature")
    made.add_argument("--stats", metavar="FILE", help="write the times as JSON; - is standard output")
    add_model_options(made, fastest=True)
    return made


def main(argv: list[str] | None = None) -> int:
    return run("run-model", argv, build_parser, run_model)


def run_model(options: argparse.Namespace) -> int:
    check_outputs(options)
    check(options)
    held = regions_of(options)
    share_one_heap()
    segmenter = segmenter_from(options, say)
    asked = source_options(options, segmenter.preprocess.size_hw)
    classes = segmenter.card.classes
    hidden = hidden_classes(options.show, options.hide, classes)
    view: View = "overlay" if options.view in (None, COMPARE) else options.view
    controls = Controls(view, options.alpha, hidden, options.boundaries)
    renderer = Renderer(classes, controls, legend=not options.no_legend, hud=not options.no_hud)
    timing, health = Timing(), SourceHealth()
    second = second_model(options, segmenter, controls, timing)
    with ExitStack() as stack:
        source = stack.enter_context(closing(open_source(options.source, asked, health=health, say=say)))
        pace = pace_of(options, source.info)
        heat = stack.enter_context(closing(Heat(options.max_temp)))
        status = Status(run_description(segmenter, source.info), timing, health, controls, heat)
        specs = options.output or [default_output(options.source, source.info)]
        live = LivePipeline(
            classes, controls, status.now, segmenter.names_known, held.regions, options.regions, watched_regions(held)
        )
        opening = open_sink if options.output else open_shown
        sinks: dict[str, Sink] = {
            spec: stack.enter_context(closing(opening(spec, source.info, live, say))) for spec in specs
        }
        watch = open_events(options, held, source.info, live, say)
        sinks.update({name: stack.enter_context(closing(sink)) for name, sink in watch.items()})
        service = stack.enter_context(closing(SystemdNotifier(status.log)))
        for line in (describe(segmenter, source.info), *(sink.notice for sink in sinks.values() if sink.notice)):
            say(line)
        outputs, progress = FanOut(sinks, say), Progress(source.info.frame_count)
        try:
            with ending_gently(controls.quit):
                pipeline.run(
                    source,
                    segmenter,
                    renderer,
                    [outputs, service, progress],
                    timing,
                    smooth=Smoother(options.smooth) if options.smooth else None,
                    second=second,
                    pace=pace,
                    pause=lambda: wait_while_paused(controls),
                    hold=lambda: rest(controls, heat),
                    status=status.line,
                    until=controls.quit,
                )
        finally:
            progress.close()  # takes the bar away before the report is printed
            try:
                outputs.close()  # also after Ctrl-C: what is done is kept
            finally:
                if timing.frames:
                    report(status.whole_run(), source.info, health.left_out, outputs.written, options.stats)
                    say_disagreement(second)
        if not timing.frames and not controls.quit.is_set():
            raise SourceError(f"{source.info.name}: ended before its first frame; expected at least one")
    return 0


def check(options: argparse.Namespace) -> None:
    """Refuses what makes no sense before anything is loaded."""
    if not 0 <= options.alpha <= 1:
        raise UsageError(f"expected 0 to 1, got {options.alpha}", "alpha")
    if options.max_temp is not None and not 30 <= options.max_temp <= 120:
        raise UsageError(f"expected 30 to 120 degrees Celsius, got {options.max_temp:g}", "max_temp")
    if options.max_temp is not None and temperature_c() is None:
        raise UsageError("this board does not tell its temperature", "max_temp")
    check_label_every(options.label_every)
    check_events(options)
    if (options.view == COMPARE) != (options.other is not None) and options.view is not None:
        raise UsageError("expected two models with compare, and no other view of two", "view")
    if options.smooth:
        parse_smooth(options.smooth)
    source_options(options)
    if options.stats not in (None, "-"):
        writable_folder(Path(options.stats).parent)


def second_model(
    options: argparse.Namespace, segmenter: Segmenter, controls: Controls, timing: Timing
) -> SecondModel | None:
    """Opens the other model, where one is named. Raises UsageError, ModelError."""
    if options.other is None:
        return None
    other = segmenter_from(argparse.Namespace(**{**vars(options), "model": options.other}), say)
    smooth = Smoother(options.smooth) if options.smooth else None
    shown = {"legend": not options.no_legend, "hud": not options.no_hud}
    return SecondModel(segmenter, other, controls, timing, smooth, **shown)


def check_outputs(options: argparse.Namespace) -> None:
    """Refuses outputs that would take the place of what is read, or of one another. Raises UsageError, SourceError."""
    inputs = [
        options.model,
        *([options.other] if options.other else []),
        *files_of(options.source),
        *class_files(options),
    ]
    if options.regions:
        inputs.append(options.regions)
    destinations = [destination_of(spec) for spec in dict.fromkeys(options.output or ())]
    if options.stats not in (None, "-"):
        destinations.append(one_file("--stats", Path(options.stats)))
    destinations += event_destinations(options)
    keep_apart([destination for destination in destinations if destination is not None], inputs)


def wait_while_paused(controls: Controls) -> None:
    """Waits while a viewer wants a pause; not after the end is wanted."""
    while controls.paused and not controls.quit.wait(0.05):
        pass


def rest(controls: Controls, heat: Heat) -> None:
    """Waits as long as the heat wants it; not after the end is wanted."""
    if heat.rest_s:
        controls.quit.wait(heat.rest_s)


class Progress(Sink):
    """A sink that counts results on stderr."""

    def __init__(self, total: int | None) -> None:
        self._steps = bars(repeat(None), "labelling", total)

    def write(self, result: Result) -> None:
        next(self._steps)

    def close(self) -> None:
        self._steps.close()


def default_output(spec: str, info: SourceInfo) -> str:
    """Returns the output of a source for which none is named.

    What is live is shown; what is a file becomes one, so that a script gets the same with and without a display.
    """
    if info.live:
        return "window" if display() else "web"
    stem = Path(spec).stem or "pictures"
    if info.size_wh is None:
        return f"{stem}-overlay.png" if info.frame_count == 1 else f"{stem}-overlay/"
    return f"{'stdin' if spec == '-' else stem}-overlay.mp4"


def open_shown(spec: str, info: SourceInfo, live: LivePipeline, notice: Callable[[str], None] = say) -> Sink:
    """Opens the default output, the web page where there is a display but nothing to open a window with."""
    try:
        return open_sink(spec, info, live, notice)
    except SinkError as exc:
        if spec != "window":
            raise
        notice(f"{exc}; showing the web page instead")
        return open_sink("web", info, live)
