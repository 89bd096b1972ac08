"""`label-archive` labels archives of films on all cores of this machine, or on the workers of a cluster."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

from edge.archive.archive import Archive
from edge.archive.cutting import PIECE_S
from edge.archive.films import Film, Outputs, films_of, keep_apart
from edge.archive.job import Drawing, LabelJob
from edge.archive.manifest import Manifest
from edge.archive.progress import Progress
from edge.archive.storage import file_system, is_local, normal
from edge.cli.cluster import sent_model
from edge.cli.main import Parser, parser, run, say, version
from edge.cli.options import add_cpu_options, add_drawing_options, hidden_classes, segmenter
from edge.cluster.models import sent
from edge.cluster.opening import check_installed, dashboard, local_plan, local_processes, open_cluster, slots
from edge.controls import Controls, View
from edge.errors import GateFailed, UsageError
from edge.files import writable_folder
from edge.renderer import Renderer
from edge.segmenter import Segmenter, read_model
from edge.sinks.open import check_label_ids, parse_labels
from edge.text import counted, one_line

EXAMPLES = (
    "label-archive model.tflite drives/ --output labels:labels --output overlay:films   on all cores",
    "label-archive model.tflite s3://bucket/drives --output overlay:s3://bucket/films --cluster tcp://10.0.0.5:8786",
)


def build_parser() -> Parser:
    made = parser("label-archive", "Label archives of films; a second run does only what is missing.", EXAMPLES)
    made.add_argument("model", type=Path, metavar="MODEL", help="a .tflite file")
    made.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="a film, a folder of films (looked through to any depth) or a pattern: here, or at an address of fsspec, "
        "such as s3://BUCKET/FOLDER or sftp://USER@HOST/FOLDER",
    )
    made.add_argument(
        "--output",
        action="append",
        required=True,
        metavar="O",
        help="labels:FOLDER, labels:FOLDER?ids=labelIds, or overlay:FOLDER; repeatable. The first folder has the "
        "manifest, too",
    )
    made.add_argument(
        "--cluster",
        default="local",
        metavar="C",
        help="local or local:N (processes on this machine), or a Dask scheduler: tcp://HOST:8786 or tls://HOST:8786",
    )
    made.add_argument(
        "--max-failures",
        type=int,
        metavar="N",
        help="begin no further film when more than N cannot be labelled, and do not mind up to N (default: work "
        "through all, and mind any)",
    )
    made.add_argument("--view", default="overlay", choices=get_args(View), help="what is drawn")
    add_drawing_options(made)
    add_cpu_options(made)
    return made


def main(argv: list[str] | None = None) -> int:
    return run("label-archive", argv, build_parser, label_archive)


def label_archive(options: argparse.Namespace) -> int:
    here, asked = local_processes(options.cluster)
    if options.max_failures is not None and options.max_failures < 0:
        raise UsageError(f"expected 0 or more, got {options.max_failures}", "max_failures")
    check_installed()
    outputs = parse_outputs(options.output)
    films, others = films_of(options.sources)
    keep_apart(options.sources, films, outputs)
    check_folders(outputs)
    data = read_model(options.model)
    plan = local_plan(len(data), asked)
    model = segmenter(options.model, options, say, on_cpu=True)
    threads = options.threads or (plan.threads if here else None)
    job = label_job(options, model, outputs, hashlib.sha256(data).hexdigest(), threads)
    manifest = Manifest(outputs.root)
    with open_cluster(options.cluster, plan.processes) as client:
        for line in about(films, others, here, slots(client), threads, dashboard(client)):
            say(line)  # before the model is sent, which takes long where a worker's way is slow
        with sent(client, data, job.model.sha256), drawn() as show:
            archive = Archive(client, job, films, outputs, manifest, max_failures=options.max_failures, report=show)
            try:
                archive.run()
            except KeyboardInterrupt:
                say(f"interrupted with {counted(archive.progress.films_done, 'film')} done; run it again to go on")
                raise
    return report(archive, manifest)


def parse_outputs(specs: Sequence[str]) -> Outputs:
    """Returns the folders of labels and of overlays. Raises UsageError."""
    folders: dict[str, str] = {}
    label_ids = False
    for spec in specs:
        kind, _, rest = spec.partition(":")
        if kind not in ("labels", "overlay") or not rest:
            raise UsageError("expected labels:FOLDER, labels:FOLDER?ids=labelIds or overlay:FOLDER", "output")
        folder, as_label_ids = parse_labels(spec) if kind == "labels" else (rest, False)
        if kind in folders:
            raise UsageError(f"expected one folder for {kind}, got two", "output")
        folders[kind] = normal(folder)
        label_ids = label_ids or as_label_ids
    first = next(iter(folders.values()))
    return Outputs(folders.get("labels"), folders.get("overlay"), label_ids, first)


def check_folders(outputs: Outputs) -> None:
    """Raises SinkError, UsageError or RuntimeMissing where the outputs cannot be written, before long work."""
    for folder in filter(None, (outputs.labels, outputs.overlay)):
        if is_local(folder):
            writable_folder(Path(folder))
        else:
            file_system(folder)


def label_job(
    options: argparse.Namespace, model: Segmenter, outputs: Outputs, sha256: str, threads: int | None
) -> LabelJob:
    """Returns the job, checked. Raises UsageError."""
    names = model.card.classes
    if outputs.label_ids:
        check_label_ids(f"labels:{outputs.labels}?ids=labelIds", names, model.names_known)
    hidden = hidden_classes(options.show, options.hide, names)
    drawing = Drawing(options.view, options.alpha, hidden, options.boundaries, not options.no_legend)
    Renderer(names, Controls(drawing.view, drawing.alpha))  # refuses what cannot be drawn
    file = sent_model(model, sha256, threads, options, on_cpu=True)
    wanted = outputs.labels is not None, outputs.overlay is not None
    return LabelJob(version(), file, *wanted, outputs.label_ids, drawing, PIECE_S)


def about(
    films: Sequence[Film], others: int, here: bool, workers: int, threads: int | None, link: str | None
) -> Iterator[str]:
    if others:
        yield f"{counted(others, 'file')} in the folders left out: no films by their names"
    each = f" of {counted(threads, 'thread')} each" if threads else ""
    yield f"{counted(len(films), 'film')} on {counted(workers, 'worker')}{each}{' of this machine' if here else ''}"
    yield f"the cluster at work: {link}" if link else "pip install bokeh, and Dask shows the cluster at work on a page"


@contextmanager
def drawn() -> Iterator[Callable[[Progress], None]]:
    """Yields what draws the progress on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda progress: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rates]}"))
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("labelling", total=None, rates="")

        def show(progress: Progress) -> None:
            over = progress.films_done + progress.films_before + progress.films_failed
            what = f"{over}/{progress.films} films, {progress.pieces_done}/{progress.pieces} pieces"
            bar.update(
                task,
                total=progress.films,
                completed=progress.share * progress.films,
                description=what,
                rates=one_line(rates(progress)),
            )

        yield show


def rates(progress: Progress) -> str:
    """Returns how many frames a second each worker does."""
    each = [f"{rate:.1f} ({name})" for name, rate in sorted(progress.rates.items())]
    return f"frames per second by worker: {', '.join(each)}" if each else ""


def report(archive: Archive, manifest: Manifest) -> int:
    """Says what was done, and why not all. Raises GateFailed where films failed."""
    progress, failed = archive.progress, archive.failures
    count, fps = counted(progress.frames_done, "frame"), progress.frames_done / max(progress.seconds, 1e-9)
    rate = f"; {count} in {progress.seconds:.1f} s: {fps:.1f} frames per second" if progress.frames_done else ""
    before = f", {counted(progress.films_before, 'film')} done before" if progress.films_before else ""
    kept = f", {counted(progress.pieces_kept, 'piece')} of an interrupted run kept" if progress.pieces_kept else ""
    say(f"{counted(progress.films_done, 'film')} done{before}{kept}{rate}; {manifest.address}")
    if progress.rates:
        say(rates(progress))
    for record in failed:
        say(f"{record.state}: {record.reason}")
    if failed and (archive.stopped or not archive.tolerates):
        left = progress.films - progress.films_done - progress.films_before - progress.films_failed
        more = f"; {counted(left, 'film')} not begun" if left else ""
        raise GateFailed(f"{counted(len(failed), 'film')} of {progress.films} could not be labelled{more}")
    return 0
