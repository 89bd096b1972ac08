"""What workers do: plan a film, label a piece of it, join its parts.

A fault of a film is an answer, not an exception: it goes on record, and the others go on.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from edge import pipeline
from edge.archive import part as parts
from edge.archive.cutting import Piece, Plan, plan
from edge.archive.films import Film
from edge.archive.job import LabelJob, ModelFile
from edge.archive.piece_source import PieceDiffers, PieceSource
from edge.archive.storage import exists, fetch, identity, is_local, names_in, put
from edge.cluster.models import arrived
from edge.controls import Controls
from edge.data import Result
from edge.errors import RoadliteError, SinkError, SourceError
from edge.leftovers import TemporaryFolder
from edge.renderer import Renderer
from edge.segmenter import Segmenter
from edge.sinks.base import Sink
from edge.sinks.open import open_sink
from edge.sources.base import Source
from edge.sources.video import Video
from edge.timing import Timing

_ONE_AT_A_TIME = threading.Lock()  # a model runs one picture at a time, whatever threads a worker has


@dataclass(frozen=True, slots=True)
class Fault:
    """Why something of a film could not be done; `as_whole` where reading the film in one piece may still do it."""

    reason: str
    as_whole: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """A film's identity, pieces, and the names of the parts that are there already."""

    identity: dict[str, object]
    plan: Plan
    kept: frozenset[str]


@dataclass(frozen=True, slots=True)
class Done:
    """What a piece took."""

    frames: int
    seconds: float
    worker: str


def part_name(key: str, piece: Piece) -> str:
    """Returns what the part of a piece is called."""
    return f"{key}-{'whole' if piece.is_whole else f'{piece.number:06d}'}.part"


def plan_film(film: Film, parts_folder: str, piece_s: float) -> Planned | Fault:
    """Plans a film."""
    try:
        is_what = identity(film.address, SourceError)
        return Planned(is_what, plan(film.address, piece_s), frozenset(names_in(parts_folder)))
    except RoadliteError as exc:
        return Fault(str(exc))


def label_piece(job: LabelJob, film: Film, piece: Piece, part: str, model: str = "") -> Done | Fault:
    """Labels a piece, and keeps its part at the address `part`. `model` is a model file; a worker has its own."""
    start_s = time.perf_counter()
    try:
        with _ONE_AT_A_TIME, TemporaryFolder() as folder:
            segmenter = _segmenter(job.model, model or str(arrived(job.model.sha256)))
            frames = _label(job, segmenter, film, piece, Path(folder))
            put(Path(folder, "part.zip"), part)
    except PieceDiffers as exc:
        return Fault(str(exc), as_whole=True)
    except RoadliteError as exc:
        return Fault(str(exc))
    return Done(frames, time.perf_counter() - start_s, worker_name())


def worker_name() -> str:
    """Returns what this worker is called; empty in a process that is none."""
    from distributed import get_worker

    try:
        return str(get_worker().name)
    except ValueError:
        return ""


@lru_cache(maxsize=1)
def _segmenter(model: ModelFile, path: str) -> Segmenter:
    return Segmenter(
        path,
        runtime=model.runtime,
        threads=model.threads,
        norm=model.norm,
        classes=model.classes,
        output_tensor=model.output_tensor,
        fit=model.fit,
    )


def _label(job: LabelJob, segmenter: Segmenter, film: Film, piece: Piece, folder: Path) -> int:
    """Takes a piece through the pipeline into `part.zip` in the folder; returns its count of frames."""
    source = _source(film, piece, folder)
    drawing, timing = job.drawing, Timing()
    controls = Controls(drawing.view, drawing.alpha, drawing.hidden, drawing.boundaries)
    renderer = Renderer(segmenter.card.classes, controls, legend=drawing.legend, hud=False)
    sinks: list[Sink] = [_Counter()]
    if job.labels:
        suffix = "?ids=labelIds" if job.label_ids else ""
        sinks.append(open_sink(f"labels:{folder / 'labels'}{suffix}", source.info))
    if job.overlay:
        sinks.append(parts.PartFilm(folder / parts.FILM, source.info.rate))
    try:
        pipeline.run(source, segmenter, renderer, sinks, timing)
    finally:
        for sink in sinks:
            sink.close()
    if not timing.frames:
        raise PieceDiffers(f"{film.address}: piece {piece.number} has no frame")
    film_file = folder / parts.FILM if job.overlay else None
    parts.pack(folder / "part.zip", film_file, folder / "labels" if job.labels else None, timing.frames)
    return timing.frames


class _Counter(Sink):
    """A sink that keeps nothing, for jobs whose outputs are none of the pipeline's."""

    def write(self, result: Result) -> None:
        pass

    def close(self) -> None:
        pass


def _source(film: Film, piece: Piece, folder: Path) -> Source:
    if not piece.is_whole:
        return PieceSource(film.address, piece)
    if is_local(film.address):
        return Video(Path(film.address))
    copy = folder / "film"  # whoever reads it as a whole needs all of it, and more than once
    fetch(film.address, copy, SourceError)
    return Video(copy)


def join_film(film: Film, addresses: Sequence[str], expected: int | None, outputs: dict[str, str]) -> Done | Fault:
    """Joins the parts of a film into its outputs, each of which appears at once.

    `expected` is how many frames the film has, where it was cut and its container tells.
    """
    start_s = time.perf_counter()
    try:
        with TemporaryFolder() as name:
            folder = Path(name)
            files = [_part(address, folder, number) for number, address in enumerate(addresses)]
            frames = sum(map(parts.frames_in, files))
            if len(files) > 1 and frames != expected:
                return Fault(f"{film.address}: expected {expected} frames, its pieces have {frames}", as_whole=True)
            if "overlay" in outputs:
                put(parts.join_films(files, folder), outputs["overlay"])
            if "labels" in outputs:
                _put_labels(files, folder, outputs["labels"])
    except ValueError as exc:
        return Fault(f"{film.address}: {exc}", as_whole=True)
    except RoadliteError as exc:
        return Fault(str(exc))
    except OSError as exc:
        return Fault(f"{film.address}: its parts cannot be joined ({exc.strerror or exc})")
    return Done(frames, time.perf_counter() - start_s, worker_name())


def _part(address: str, folder: Path, number: int) -> Path:
    if is_local(address):
        return Path(address)
    copy = folder / f"{number}.part"
    fetch(address, copy, SinkError)
    return copy


def _put_labels(files: Sequence[Path], folder: Path, address: str) -> None:
    """Puts the label pictures where they belong: in a folder of this machine, or elsewhere in a zip."""
    labels = parts.labels_in(files, single=len(files) == 1)
    if not is_local(address):
        with zipfile.ZipFile(folder / "labels.zip", "w", zipfile.ZIP_STORED) as packed:
            for name, data in labels:
                packed.writestr(zipfile.ZipInfo(name), data)
        put(folder / "labels.zip", address)
        return
    final = Path(address)
    final.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryFolder(final.parent) as beside:
        made = Path(beside, final.name)
        made.mkdir()
        for name, data in labels:
            (made / name).write_bytes(data)
        if exists(address):
            shutil.rmtree(address)
        os.replace(made, final)
