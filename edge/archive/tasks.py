"""What workers do beside planning and joining films: label pieces of them."""

from __future__ import annotations

import threading
import time
from functools import lru_cache
from pathlib import Path

from edge import pipeline
from edge.address import public
from edge.archive import part as parts
from edge.archive.answers import Done, Fault
from edge.archive.cutting import Piece
from edge.archive.films import Film
from edge.archive.job import LabelJob
from edge.archive.piece_source import PieceDiffers, PieceSource
from edge.archive.storage import fetch, is_local, put
from edge.cluster.calls import is_wanted, worker_name
from edge.cluster.segmenters import SentModel
from edge.controls import Controls
from edge.data import Result
from edge.errors import ClusterError, RoadliteError, SourceError
from edge.leftovers import TemporaryFolder
from edge.renderer import Renderer
from edge.segmenter import Segmenter
from edge.sinks.base import Sink
from edge.sinks.open import NullSink, open_sink
from edge.sources.base import Source
from edge.sources.video import Video
from edge.text import reason
from edge.timing import Timing

_ONE_AT_A_TIME = threading.Lock()  # a model runs one picture at a time, whatever threads a worker has


def label_piece(job: LabelJob, film: Film, piece: Piece, part: str, model: Path | None = None) -> Done | Fault:
    """Labels a piece, and keeps its part at the address `part`. `model` is a model file; a worker has its own."""
    try:
        with _ONE_AT_A_TIME, TemporaryFolder() as folder:
            start_s = time.perf_counter()
            segmenter = _segmenter(job.model, model)
            frames = _label(job, segmenter, film, piece, Path(folder))
            put(Path(folder, "part.zip"), part)
            return Done(frames, time.perf_counter() - start_s, worker_name())
    except PieceDiffers as exc:
        return Fault(str(exc), as_whole=True)
    except RoadliteError as exc:
        return Fault(str(exc))
    except OSError as exc:
        where = f" on worker {name}" if (name := worker_name()) else ""
        said = f"piece {piece.number} cannot be labelled{where} ({reason(exc)})"
        return Fault(f"{public(film.address)}: {said}")


@lru_cache(maxsize=1)
def _segmenter(model: SentModel, path: Path | None) -> Segmenter:
    return model.open(path)


def _label(job: LabelJob, segmenter: Segmenter, film: Film, piece: Piece, folder: Path) -> int:
    """Takes a piece through the pipeline into `part.zip` in the folder; returns its count of frames."""
    source = _source(film, piece, folder)
    drawing, timing = job.drawing, Timing()
    controls = Controls(drawing.view, drawing.alpha, drawing.hidden, drawing.boundaries)
    renderer = Renderer(segmenter.card.classes, controls, legend=drawing.legend, hud=False)
    sinks: list[Sink] = [_WhileWanted()]
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


class _WhileWanted(NullSink):
    """Ends the run where nobody waits for the piece any more."""

    def write(self, result: Result) -> None:
        if not is_wanted():
            raise ClusterError("nobody waits for it any more")


def _source(film: Film, piece: Piece, folder: Path) -> Source:
    if not piece.is_whole:
        return PieceSource(film.address, piece)
    if is_local(film.address):
        return Video(Path(film.address))
    copy = folder / "film"  # whoever reads it as a whole needs all of it, and more than once
    fetch(film.address, copy, SourceError)
    return Video(copy)
