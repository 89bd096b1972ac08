"""Holds the options that more than one command has."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import get_args

from edge.class_lists.files import class_set
from edge.classes import ClassSet
from edge.compare.rows import ModelOptions
from edge.engine.delegates import parse_delegate
from edge.engine.runtimes import NAMES
from edge.errors import DelegateError, UsageError
from edge.preprocess import Fit, Normalisation, parse_normalisation
from edge.progress import bars
from edge.segmenter import Segmenter
from edge.sources.options import SourceOptions

FASTEST = "fastest"  # the runtime that is measured to be

SOURCE_FIELDS = {"size_wh": "--width, --height", "rate": "--fps", "start_s": "--start", "timeout_s": "--timeout"}
"""Fields of `SourceOptions` that flags of another name set."""


def add_model_options(parser: argparse.ArgumentParser, *, fastest: bool = False) -> None:
    """Adds what a model without a card may need, and how it runs; `fastest` is offered where one model runs."""
    add_cpu_options(parser, fastest=fastest)
    parser.add_argument(
        "--delegate",
        type=parse_delegate,
        metavar="LIBRARY[,KEY=VALUE...]",
        help="run what this external delegate takes of the model on its accelerator, such as libedgetpu.so.1",
    )
    parser.add_argument(
        "--delegate-fallback",
        action="store_true",
        help="where the delegate is missing, refuses the model or crashes, let the CPU run it",
    )


def add_cpu_options(parser: argparse.ArgumentParser, *, fastest: bool = False) -> None:
    """Adds the same without delegates, for models that the CPU runs alone."""
    parser.add_argument(
        "--threads", type=int, metavar="N", help="threads of the runtime (default: all cores, 4 at most)"
    )
    parser.add_argument(
        "--runtime",
        default="auto",
        choices=(names := (*NAMES, FASTEST) if fastest else NAMES),
        metavar="R",
        help=f"{', '.join(names)}: auto takes the first that is installed"
        + ("; fastest measures litert and openvino once for each model" if fastest else ""),
    )
    add_reading_options(parser)
    parser.add_argument(
        "--fit",
        default="stretch",
        choices=get_args(Fit),
        help="pictures of another shape than the input's: stretch them, or pad them as the frozen graph does",
    )


def add_drawing_options(parser: argparse.ArgumentParser) -> None:
    """Adds how the overlay is drawn, but for `--view`."""
    parser.add_argument("--alpha", type=float, default=0.5, metavar="F", help="opacity of the overlay, 0..1")
    parser.add_argument("--show", metavar="CLASS,...", help="paint these classes only")
    parser.add_argument("--hide", metavar="CLASS,...", help="leave these classes unpainted")
    parser.add_argument("--boundaries", action="store_true", help="outline the areas")
    parser.add_argument("--no-legend", action="store_true", help="leave the list of classes out")


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """Adds what a model without a card may leave open."""
    parser.add_argument(
        "--classes",
        metavar="NAME|FILE",
        help="of models without a card: cityscapes, voc or a file of class names: one a line, CSV or JSON",
    )
    parser.add_argument(
        "--normalise",
        metavar="N",
        help="of float models without a card: deeplab (x/127.5-1), unit (x/255), MEAN,STD, or of each channel three "
        "means and three deviations",
    )
    parser.add_argument(
        "--output-tensor",
        metavar="NAME",
        help="of models with several outputs: the one to read (default: the only one with scores)",
    )


def segmenter_from(options: argparse.Namespace, say: Callable[[str], None]) -> Segmenter:
    """Opens the model; `say` is told which runtime is fastest, when that is measured, and what is assumed."""
    runtime = options.runtime
    if runtime == FASTEST and options.delegate is not None:
        raise UsageError(f"{FASTEST} compares what runs on the CPU, expected another one with `delegate`", "runtime")
    if runtime == FASTEST:
        from edge.compare.runtime_choice import fastest_runtime  # what times models is slow to import

        runtime = fastest_runtime(options.model, options.threads, model_options(options), say=say, track=bars)
    return segmenter(options.model, options, say, runtime)


def segmenter(
    path: Path, options: argparse.Namespace, say: Callable[[str], None], runtime: str = "", *, on_cpu: bool = False
) -> Segmenter:
    """Opens a model, on another runtime than the one asked for where one is named, without the delegate where it is to
    run `on_cpu`; `say` is told what is assumed.
    """
    try:
        made = _opened(path, options, runtime or options.runtime, on_cpu)
    except DelegateError as exc:
        raise DelegateError(f"{exc}; run it without, or let the CPU take over with `delegate_fallback`") from exc
    for assumed in made.assumed:
        say(f"{path.name}: {assumed}")
    return made


def _opened(path: Path, options: argparse.Namespace, runtime: str, on_cpu: bool) -> Segmenter:
    return Segmenter(
        path,
        runtime=runtime,
        threads=options.threads,
        norm=normalisation(options),
        classes=classes(options),
        output_tensor=options.output_tensor,
        fit=options.fit,
        trial=True,
        delegate=None if on_cpu else options.delegate,
        delegate_fallback=not on_cpu and options.delegate_fallback,
    )


def model_options(options: argparse.Namespace) -> ModelOptions:
    """Returns what is said of models, checked, for another process to read. Raises UsageError, CardError."""
    normalisation(options)
    classes(options)
    return ModelOptions(options.normalise, options.classes, options.output_tensor)


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Adds what is asked of a source of frames."""
    parser.add_argument(
        "--source",
        default="auto",
        metavar="S",
        help="auto (Pi camera, else USB camera), picamera2[:N], N or /dev/videoN, an address (rtsp, http, https, tcp, "
        "udp, rtmp; udp://@:PORT and tcp://0.0.0.0:PORT?listen wait for a sender), video, picture, folder, glob, demo, "
        "or - (raw rgb24 on stdin)",
    )
    parser.add_argument("--width", type=int, metavar="PX", help="of the pictures of a camera, or of raw frames")
    parser.add_argument("--height", type=int, metavar="PX", help="of the same, together with --width")
    parser.add_argument(
        "--fps",
        type=parse_rate,
        metavar="F",
        help="frames per second of a camera, of raw frames, of pictures, or of snapshots from an address",
    )
    parser.add_argument("--fourcc", metavar="CODE", help="pixel format of a V4L2 camera, such as MJPG or YUYV")
    parser.add_argument("--limit", type=int, metavar="N", help="stop after N frames")
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="seconds into a file to begin at")
    parser.add_argument("--loop", action="store_true", help="begin a file again when it is at its end")
    parser.add_argument("--realtime", action="store_true", help="give a file out at its own rate")
    parser.add_argument(
        "--timeout",
        type=float,
        default=5.0,
        metavar="S",
        help="open a camera or stream again that gives no frame for so many seconds",
    )
    parser.add_argument(
        "--max-reconnects", type=int, metavar="N", help="give a camera or stream up after N in a row (default: never)"
    )
    parser.add_argument(
        "--allow-hosts",
        type=_names,
        default=(),
        metavar="HOST,...",
        help="other hosts, or HOST:PORT, that a playlist or a redirect of an http address may lead to",
    )
    add_strict(parser)


def add_strict(parser: argparse.ArgumentParser) -> None:
    """Adds what every command that reads pictures has."""
    parser.add_argument(
        "--strict",
        action="store_true",
        help="end with an error at the first picture that cannot be read, instead of leaving it out and saying so",
    )


def source_options(options: argparse.Namespace, small_hw: tuple[int, int] | None = None) -> SourceOptions:
    """Returns the options of a source; a camera may scale to `small_hw` by itself. Raises UsageError."""
    return SourceOptions(
        size_wh=_size_wh(options),
        rate=options.fps,
        fourcc=options.fourcc,
        small_wh=small_hw and small_hw[::-1],
        limit=options.limit,
        start_s=options.start,
        loop=options.loop,
        realtime=options.realtime,
        strict=options.strict,
        timeout_s=options.timeout,
        max_reconnects=options.max_reconnects,
        allow_hosts=options.allow_hosts,
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _size_wh(options: argparse.Namespace) -> tuple[int, int] | None:
    if (options.width is None) != (options.height is None):
        raise UsageError("`width`, `height`: expected both or neither")
    return None if options.width is None else (options.width, options.height)


def parse_rate(text: str) -> Fraction:
    """Returns the rate that `30`, `29.97` or `30000/1001` say. Raises UsageError."""
    try:
        return Fraction(text).limit_denominator(1001)
    except (ValueError, ZeroDivisionError) as exc:
        raise UsageError(f"expected a number such as 30, 29.97 or 30000/1001, got {text!r}", "fps") from exc


def classes(options: argparse.Namespace) -> ClassSet | None:
    """Returns the class names that are asked for. Raises UsageError, CardError."""
    return None if options.classes is None else class_set(options.classes)


def class_files(options: argparse.Namespace) -> list[Path]:
    """Returns the file of class names, where one is named: none or one."""
    return [] if options.classes is None or not Path(options.classes).is_file() else [Path(options.classes)]


def normalisation(options: argparse.Namespace) -> Normalisation | None:
    """Returns the normalisation that is asked for. Raises UsageError."""
    return None if options.normalise is None else parse_normalisation(options.normalise)


def hidden_classes(show: str | None, hide: str | None, classes: ClassSet) -> frozenset[int]:
    """Returns the ids that are not painted, from the options' lists of names. Raises UsageError."""
    everything = frozenset(range(len(classes)))
    shown = everything if show is None else _ids(show, classes)
    return (everything - shown) | (frozenset() if hide is None else _ids(hide, classes))


def _ids(names: str, classes: ClassSet) -> frozenset[int]:
    ids = {name.casefold(): index for index, name in enumerate(classes.names)}
    asked = [name.strip() for name in names.split(",")]
    unknown = [name for name in asked if name.casefold() not in ids]
    if unknown:
        raise UsageError(f"this model has no class {unknown[0]!r}: expected some of {', '.join(classes.names)}")
    return frozenset(ids[name.casefold()] for name in asked)


def parse_hw(text: str, flag: str = "--input-size") -> tuple[int, int]:
    """Returns (513, 1025) for `513x1025`. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not match:
        raise UsageError(f"expected HEIGHTxWIDTH like 513x1025, got {text!r}", flag)
    return int(match[1]), int(match[2])
