"""`evaluate-model` scores how well models label pictures whose labels are known."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from edge.cli import workstation
from edge.cli.cluster import add_cluster_option, check_cluster, cluster_with, sent_model
from edge.cli.main import INTERRUPTED, Parser, parser, run, say
from edge.cli.options import add_model_options, add_strict, normalisation, segmenter
from edge.cli.terminal import fitted
from edge.cluster.segmenters import SentModel
from edge.destinations import keep_apart
from edge.errors import UsageError
from edge.evaluation.datasets import KINDS, KNOWN
from edge.evaluation.misfit import misfit
from edge.evaluation.report import as_dict, classes, destination, figures, write_folder
from edge.evaluation.samples import ALL, open_samples, parse_indices
from edge.evaluation.scoring import Evaluation, Reference, evaluate
from edge.files import writable_folder
from edge.fleet import scoring
from edge.progress import bars
from edge.segmenter import Segmenter
from edge.text import counted, one_line

EXAMPLES = (
    "evaluate-model model.tflite --source demo                               the demo's frames know their labels",
    "evaluate-model a.tflite b.tflite --source street/ --labels truth/       pictures with label files",
    "evaluate-model a.tflite --source drive.mp4 --reference mobilenetv2.pb   against the frozen graph",
)
MAX_WORST = 100


def build_parser() -> Parser:
    made = parser("evaluate-model", "Score models on pictures with labels, or against another model.", EXAMPLES)
    made.add_argument("models", type=Path, nargs="+", metavar="MODEL", help=".tflite files")
    made.add_argument(
        "--source",
        required=True,
        metavar="S",
        help="folder of pictures (looked through to any depth), pattern, picture, video, or demo, which has labels",
    )
    made.add_argument("--labels", type=Path, metavar="DIR", help="folder of label files, looked through to any depth")
    made.add_argument(
        "--mapping",
        default="auto",
        metavar="KIND|FILE",
        help=f"what label files mean: {', '.join(KINDS)}, or a JSON file (see docs/evaluating.md)",
    )
    made.add_argument(
        "--reference",
        metavar="MODEL",
        help="take the labels of this .tflite for the truth or, with the convert extra, those of a frozen graph: "
        ".pb, .tar.gz, demo or a name that convert-model --list shows",
    )
    made.add_argument(
        "--frames", default="", metavar="I,J|A:B:STEP", help="take only these pictures, counted from 0 (default: all)"
    )
    add_strict(made)
    add_cluster_option(made, "spread the pictures over", here=True)
    add_model_options(made)
    made.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="write scores.json, pictures.csv, confusion matrices and the worst pictures",
    )
    made.add_argument("--worst", type=int, default=5, metavar="N", help="how many of the worst pictures to write")
    made.add_argument("--json", action="store_true", help="print the figures as JSON")
    return made


def main(argv: list[str] | None = None) -> int:
    return run("evaluate-model", argv, build_parser, evaluate_model)


def evaluate_model(options: argparse.Namespace) -> int:
    if (options.labels is None) == (options.reference is None) and options.source != "demo":
        raise UsageError("expected the truth: --labels DIR or --reference MODEL, one of them")
    if not 0 <= options.worst <= MAX_WORST:
        raise UsageError(f"expected 0 to {MAX_WORST}, got {options.worst}", "worst")
    check_cluster(options.cluster)
    indices = parse_indices(options.frames) if options.frames else ALL
    samples = open_samples(options.source, options.labels, options.mapping, indices, say)
    if options.mapping == "auto" and samples.labelling == KNOWN["ids"]:
        say(f"{options.labels}: grey levels are taken for ids of the model's classes; `mapping` says otherwise")
    if options.output:
        keep_apart(destination(options.output), [*samples.files, *read_besides(options)])
        writable_folder(options.output)
    models = [segmenter(path, options, say) for path in options.models]
    with open_reference(options) as reference, scorer(options, models, reference) as score:
        kept = options.worst if options.output else 0
        evaluation = evaluate(models, samples, reference=reference, keep_worst=kept, strict=options.strict)
        try:
            score(evaluation)
        except KeyboardInterrupt:
            if not evaluation.pictures:
                raise
            report(evaluation, options)
            say("evaluate-model: interrupted; the figures are those of the pictures until then")
            return INTERRUPTED
    report(evaluation, options)
    return 0


def read_besides(options: argparse.Namespace) -> list[Path]:
    """Returns the files that are read next to pictures and labels."""
    return [*options.models, *map(Path, (options.mapping, options.reference or "", options.classes or ""))]


@contextmanager
def open_reference(options: argparse.Namespace) -> Iterator[Reference | None]:
    """Yields the model or graph that takes the place of the truth, where one does."""
    if options.reference is None:
        yield None
    elif options.reference.endswith(".tflite"):
        model = segmenter(Path(options.reference), options, say, on_cpu=True)
        yield Reference.of(model)
    else:
        norm = normalisation(options)
        opened = workstation.frozen_reference(options.reference, fit=options.fit, norm=norm, track=bars, notice=say)
        with closing(opened) as graph:
            yield Reference(graph.name, graph.classes, graph)


@contextmanager
def scorer(
    options: argparse.Namespace, models: list[Segmenter], reference: Reference | None
) -> Iterator[Callable[[Evaluation], None]]:
    """Yields what takes the pictures through the models: in this process, or on the workers of a cluster."""
    if options.cluster is None:
        yield lambda evaluation: evaluation.run(bars)
        return
    truth = reference.segmenter if reference else None
    with cluster_with(options.cluster, [model.path for model in (*models, *filter(None, [truth]))]) as opened:
        threads = options.threads or opened.threads

        def sent(model: Segmenter, *, on_cpu: bool = False) -> SentModel:
            return sent_model(model, opened.sha256[model.path], threads, options, on_cpu=on_cpu)

        def score(evaluation: Evaluation) -> None:
            job = scoring.ScoringJob(
                tuple(map(sent, models)),
                evaluation.labelling,
                sent(truth, on_cpu=True) if truth else None,
                evaluation.keep_worst,
                evaluation.strict,
            )
            scoring.run(opened.client, evaluation, job, bars)

        yield score


def report(evaluation: Evaluation, options: argparse.Namespace) -> None:
    for line in evaluation.samples.left_out.lines():
        say(line)
    for tally in evaluation.tallies:
        if tally.ignored:
            say(f"{tally.segmenter.path.name} has no class {', '.join(tally.ignored)}: such pixels are ignored")
        if odd := misfit(tally.confusion, tally.classes.names):
            say(f"{tally.segmenter.path.name}: {odd}; `mapping` says what labels mean, `classes` names the model's")
    if options.json:
        print(json.dumps(as_dict(evaluation), indent=1, allow_nan=False))  # noqa: T201
    else:
        show(evaluation)
    if options.output:
        written = write_folder(evaluation, options.output)
        say(f"{counted(len(written), 'file')} in {options.output}")


LEGEND = """\
mIoU: over the classes in truth or prediction; in truth: over those alone
acc: right pixels; fwIoU: IoU weighted by true pixels; BF: F-score of boundaries
per class: true pixels, then %; - where it is in neither (docs/evaluating.md)"""


def show(evaluation: Evaluation) -> None:
    from rich.console import Console

    console = Console()
    truth = "" if evaluation.reference else f", labels {evaluation.labelling.name}"
    against = f" against {evaluation.reference.name}" if evaluation.reference else ""
    title = f"{counted(evaluation.pictures, 'picture')} of {evaluation.samples.name}{truth}{against}"
    console.print(fitted(one_line(title), sys.stdout), highlight=False, markup=False, soft_wrap=True)
    for number, tally in enumerate(evaluation.tallies, start=1):
        line = fitted(one_line(f"{number} {tally.segmenter.path.name}"), sys.stdout)
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print(summary(evaluation))
    for table in per_class(evaluation, console.width):
        console.print(table)
    console.print(LEGEND, style="dim", highlight=False)


def summary(evaluation: Evaluation) -> object:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False, pad_edge=False)
    for name in ("", "recipe", "input", "os", "mIoU", "in truth", "acc", "fwIoU", "BF"):
        table.add_column(name, justify="left" if name in ("", "recipe") else "right", no_wrap=True)
    for number, tally in enumerate(evaluation.tallies, start=1):
        card, scores = tally.segmenter.card, figures(tally)
        keys = ("mean_iou", "mean_iou_in_truth", "pixel_accuracy", "frequency_weighted_iou", "mean_boundary_f")
        table.add_row(
            str(number),
            card.recipe,
            "x".join(map(str, card.input_hw)),
            str(card.output_stride),
            *("-" if scores[key] is None else f"{scores[key]:.4f}" for key in keys),
        )
    return table


def per_class(evaluation: Evaluation, width: int) -> Iterator[object]:
    """Yields tables of a row per class and a column per model, as many models each as the width has room for; boundary
    scores too where there is one model.
    """
    models = [{entry["name"]: entry for entry in classes(tally)} for tally in evaluation.tallies]
    names = list(dict.fromkeys(name for model in models for name in model))
    pixels = {name: max(model.get(name, {}).get("truth_pixels", 0) for model in models) for name in names}
    if len(models) == 1:
        yield _class_table(pixels, {"IoU": (models[0], "iou"), "BF": (models[0], "boundary_f")})
        return
    columns = {f"IoU {number}": (model, "iou") for number, model in enumerate(models, start=1)}
    widest = len(f"IoU {len(models)}") + 1
    taken = max(map(len, ("class", *names))) + 1 + max(len(f"{count:,}") for count in (*pixels.values(), 100_000))
    room = max(1, (width - taken) // widest)
    for first in range(0, len(columns), room):
        yield _class_table(pixels, dict(list(columns.items())[first : first + room]))


def _class_table(pixels: dict[str, int], columns: dict[str, tuple[dict[str, dict[str, Any]], str]]) -> object:
    """Returns a table of classes with their pixels; `columns` are a model's entries by class, and which figure."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False, pad_edge=False)
    table.add_column("class", no_wrap=True)
    for name in ("pixels", *columns):
        table.add_column(name, justify="right", no_wrap=True)
    for name, count in pixels.items():
        values = (model.get(name, {}).get(key) for model, key in columns.values())
        table.add_row(name, f"{count:,}", *("-" if value is None else f"{value * 100:.1f}" for value in values))
    return table
