"""`convert-model` turns frozen DeepLab graphs into verified TensorFlow Lite files."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import psutil

from convert.cli.convert_table import as_row, hurting, show
from convert.entry import load
from convert.file_names import destination
from convert.graph.strides import STRIDES
from convert.job import RESCUE_SECONDS, Job
from convert.tflite.ends import END_TYPES, Ends
from convert.tflite.recipes import RECIPES, parse_recipes
from edge.cli.cluster import add_cluster_option, check_cluster
from edge.cli.main import Parser, parser, run, say
from edge.cli.options import add_strict, classes, normalisation, parse_hw
from edge.cluster.opening import local_processes, open_cluster, slots
from edge.destinations import keep_apart
from edge.errors import GateFailed, RoadliteError, UsageError
from edge.files import writable_folder
from edge.processors import available_processors
from edge.progress import bars
from edge.text import counted

if TYPE_CHECKING:
    from convert.conversion import Outcome
    from convert.models.load import FrozenGraph
    from convert.tflite.source import TfliteSource


EXAMPLES = (
    "convert-model --list                                              the official models, and what they cost",
    "convert-model mobilenetv2 --input-size 257x513 --calibrate drive/ calibrated on your frames",
    "convert-model a.pb b.tar.gz --quantize float32,int8 --output out  several graphs, two files each",
)
FIELDS = {"labels_dir": "--labels"}


def build_parser() -> Parser:
    made = parser("convert-model", "Turn DeepLab networks into small, verified .tflite files.", EXAMPLES, FIELDS)
    made.add_argument(
        "graphs",
        nargs="*",
        metavar="GRAPH",
        help="an official model by its name (--list; downloaded once), demo (embedded), a .pb or .tar.gz, "
        "a SavedModel's folder, a .keras or .h5, a float .tflite, or auto: mobilenetv2 if it can be had, else demo "
        "(default: auto)",
    )
    made.add_argument("--list", action="store_true", help="show the official models and end; with --json as JSON")
    made.add_argument("--quantize", default="int8", metavar="RECIPE,...", help=f"any of {','.join(RECIPES)}")
    made.add_argument(
        "--input-size",
        metavar="HxW,...",
        help="height and width of the model's input (default: 513x1025; a .tflite's own)",
    )
    made.add_argument(
        "--output-stride",
        default="auto",
        metavar="N,...",
        help=f"any of {', '.join(STRIDES)}; auto (the default): 16, which published accuracies are measured at and "
        "which costs a third of 8, or the graph's where that is coarser; keep: the graph's",
    )
    made.add_argument(
        "--classes", metavar="NAME|FILE", help="cityscapes, voc or a file of class names: one a line, CSV or JSON"
    )
    made.add_argument(
        "--normalise",
        metavar="N",
        help="for graphs that take normalised pictures: deeplab (x/127.5-1, the default), unit (x/255) or MEAN,STD",
    )
    made.add_argument(
        "--output-tensor",
        metavar="NAME",
        help="of a .tflite with several outputs: the one to read (default: the only one with scores)",
    )
    _add_ends(made)
    _add_frames(made)
    _add_limits(made)
    add_cluster_option(made, "spread sizes, strides and recipes over", here=True)
    made.add_argument(
        "--output", type=Path, default=Path(), metavar="DIR", help="where the files go (default: this folder)"
    )
    made.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    return made


def _add_ends(made: argparse.ArgumentParser) -> None:
    """Adds the dtypes that int8 models take and give."""
    for end, what in (("input", "the picture"), ("output", "the scores")):
        made.add_argument(
            f"--{end}-type",
            choices=END_TYPES,
            help=f"dtype of {what} of int8 models (default: int8, or float32 beside a layer in float); MediaPipe takes "
            "uint8 and float32 pictures",
        )


def _add_frames(made: argparse.ArgumentParser) -> None:
    """Adds what models are calibrated and verified with."""
    made.add_argument(
        "--calibrate",
        action="append",
        metavar="PATH",
        help="image, folder or video to calibrate and verify with, repeatable (default: the demo's frames)",
    )
    made.add_argument(
        "--labels",
        type=Path,
        metavar="DIR",
        help="label files of the --calibrate pictures, named like them: gives the mean IoU of the held-out ones",
    )
    made.add_argument(
        "--any-frames",
        action="store_true",
        help="go on with --calibrate frames that look like noise, label masks or one colour",
    )
    add_strict(made)
    made.add_argument("--calibration-frames", type=int, default=32, metavar="N", help="frames to calibrate int8 with")
    made.add_argument("--verification-frames", type=int, default=8, metavar="N", help="other frames to verify with")


def _add_limits(made: argparse.ArgumentParser) -> None:
    """Adds how good a model must be, and what may be done for it."""
    made.add_argument(
        "--min-agreement",
        type=float,
        metavar="F",
        help="share of pixels that must be as in the re-targeted graph, 0..1 "
        "(default: 0.99 for float32 and float16, 0.95 for int8 and dynamic)",
    )
    made.add_argument(
        "--max-miou-drop",
        type=float,
        metavar="F",
        help="how much lower the mean IoU may be than the re-targeted graph's, 0..1; needs frames with labels",
    )
    made.add_argument(
        "--max-class-drop",
        type=float,
        metavar="F",
        help="how much lower the IoU of any one class may be, likewise (default: a fall of more than 0.05 is told)",
    )
    made.add_argument(
        "--no-rescue",
        action="store_true",
        help="int8 stays int8 throughout, instead of keeping the layers that hurt in float where it falls short",
    )
    made.add_argument(
        "--rescue-seconds",
        type=float,
        default=RESCUE_SECONDS,
        metavar="S",
        help="how long to look for those layers; then the best found so far is taken (default: %(default)g)",
    )


def main(argv: list[str] | None = None) -> int:
    return run("convert-model", argv, build_parser, convert)


def convert(options: argparse.Namespace) -> int:
    """Converts every graph; one that fails does not stop the others."""
    if options.list:
        from convert.cli import model_list

        model_list.show(options.json)
        return 0
    jobs = jobs_of(options)
    check_cluster(options.cluster)
    keep_apart([destination(options.output)], map(Path, options.graphs))
    writable_folder(options.output)
    done: dict[str, str] = {}  # name of a graph's files -> what named the graph
    outcomes: list[Outcome] = []
    failures: list[RoadliteError] = []
    try:
        for graph in options.graphs or ["auto"]:
            try:
                for made in convert_one(graph, jobs, done, options.cluster):
                    outcomes += made  # which are written: an interrupt while they are timed does not hide them
                    with_times = timed(made)
                    outcomes[-len(made) :] = with_times
                    if not options.json:
                        show(with_times)
            except RoadliteError as exc:
                failures.append(exc)
                if len(options.graphs) > 1:
                    say(f"{graph}: not converted: {exc}")
    finally:
        if options.json and outcomes:
            print(json.dumps([as_row(outcome) for outcome in outcomes], indent=1))  # noqa: T201
    judge(outcomes, failures, len(options.graphs))
    return 0


def convert_one(graph: str, jobs: list[Job], done: dict[str, str], cluster: str | None) -> Iterator[list[Outcome]]:
    """Converts a graph, and yields what became of each job; notes in `done` how its files are named.

    Raises RoadliteError.
    """
    source = load(graph, bars, say)
    if source.name in done:
        raise UsageError(f"{graph}: its files would be named like those of {done[source.name]}; rename it")
    done[source.name] = graph
    if cluster is not None:
        yield from _on_cluster(cluster, source, jobs)
        return

    from convert.conversion import run  # brings TensorFlow

    for job in jobs:
        yield run(source, job, bars, say)


def _on_cluster(cluster: str, source: FrozenGraph | TfliteSource, jobs: list[Job]) -> Iterator[list[Outcome]]:
    """Converts on the workers of a cluster; processes of this machine share its memory."""
    from convert import on_cluster

    needed = on_cluster.memory_needed(len(on_cluster.source_data(source)))
    here, asked = local_processes(cluster)
    free, most = psutil.virtual_memory().available, sum(len(job.recipes) for job in jobs)
    processes = asked or max(1, min(available_processors(), most, free // needed))
    if here and processes > 1 and processes * needed > free:
        raise UsageError(
            f"{processes} processes may take {processes * needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are "
            f"free; try local:{max(1, free // needed)}",
            "cluster",
        )
    offered = {on_cluster.MEMORY: max(needed, free // processes)} if here else None  # one always runs, as without
    with open_cluster(cluster, processes, offered) as client:
        say(f"on {counted(slots(client), 'worker')}{' of this machine' if here else ''}")
        yield from on_cluster.convert_on_cluster(client, source, jobs, bars, say)


def jobs_of(options: argparse.Namespace) -> list[Job]:
    """Returns what is asked for, a job for each size and stride. Raises UsageError, CardError."""
    job = job_of(options)
    sizes = [None] if options.input_size is None else [parse_hw(size) for size in _list(options.input_size)]
    return [
        replace(job, input_hw=size, output_stride=stride)
        for size in dict.fromkeys(sizes)
        for stride in dict.fromkeys(_list(options.output_stride))
    ]


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def job_of(options: argparse.Namespace) -> Job:
    """Returns what is asked for but for size and stride, checked before anything is loaded. Raises UsageError,
    CardError.
    """
    return Job(
        recipes=parse_recipes(options.quantize),
        input_hw=None,
        output_stride="auto",
        output_dir=options.output,
        calibrate=options.calibrate or ["demo"],
        calibration_frames=options.calibration_frames,
        verification_frames=options.verification_frames,
        min_agreement=options.min_agreement,
        classes=classes(options),
        labels_dir=options.labels,
        any_frames=options.any_frames,
        strict=options.strict,
        max_miou_drop=options.max_miou_drop,
        max_class_drop=options.max_class_drop,
        rescue=not options.no_rescue,
        rescue_seconds=options.rescue_seconds,
        norm=normalisation(options),
        output_tensor=options.output_tensor,
        ends=Ends(options.input_type, options.output_type),
    )


def judge(outcomes: list[Outcome], failures: list[RoadliteError], graphs: int) -> None:
    """Raises the error of a single graph, or one for all that failed, or GateFailed for what was not written."""
    if len(failures) == 1 and graphs <= 1:
        raise failures[0]
    if failures:
        raise RoadliteError(f"{len(failures)} of {graphs} graphs were not converted")
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if failed:
        raise GateFailed(
            f"not written, not good enough: {', '.join(text for o in failed for text in o.shortcomings)}"
            f"{''.join(hurting(o) for o in failed)}; try other --calibrate frames or a looser limit"
        )


def timed(outcomes: list[Outcome]) -> list[Outcome]:
    """Returns the outcomes of one graph with how long those that were written take, and says which are slow."""
    from convert.invoke_times import measure, slower

    rounds_s = measure({outcome.recipe.name: outcome.path for outcome in outcomes if outcome.passed}, bars)
    for line in slower(rounds_s):
        say(line)
    medians_ms = {name: median(seconds) * 1e3 for name, seconds in rounds_s.items()}
    return [replace(outcome, invoke_ms=medians_ms.get(outcome.recipe.name)) for outcome in outcomes]
