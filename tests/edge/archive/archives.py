"""Archives of small films for tests, and what there is to be found in their outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from small_models import strongest_colour

from edge.archive.archive import Archive
from edge.archive.films import Film, Outputs, films_of
from edge.archive.job import LabelJob
from edge.archive.manifest import Manifest
from edge.classes import ClassSet
from edge.cluster.models import sent
from edge.cluster.opening import open_cluster
from edge.cluster.segmenters import SentModel
from edge.preprocess import parse_normalisation
from edge.versions import installed

CLASSES = ClassSet(("red", "green", "blue"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)))
MODEL = strongest_colour()


def model_file() -> SentModel:
    sha256 = hashlib.sha256(MODEL).hexdigest()
    return SentModel("tiny.tflite", sha256, "litert", 1, parse_normalisation("unit"), CLASSES)


def job(piece_s: float = 1.0, **changes: Any) -> LabelJob:
    return LabelJob(
        installed("roadlite"), model_file(), **{"labels": True, "overlay": True, "piece_s": piece_s, **changes}
    )


def moving_film(path: Path, frames: int, codec: str = "libx264", **encoding: str) -> Path:
    """A film of 25 frames a second of coloured bars that move, so that no two frames have the same labels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bars = np.repeat(np.eye(3, dtype=np.uint8)[[0, 1, 2, 1]] * 200 + 20, 16, axis=0)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options={"g": "12", "bf": "2", **encoding})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(frames):
            row = np.roll(bars, index, axis=0)
            picture = np.ascontiguousarray(np.broadcast_to(row, (48, 64, 3)))
            picture[index % 48] = 0
            frame = av.VideoFrame.from_ndarray(picture)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def outputs(folder: Path) -> Outputs:
    return Outputs(str(folder / "labels"), str(folder / "films"), False, str(folder / "labels"))


@contextmanager
def cluster(processes: int) -> Iterator[Any]:
    """A cluster on this machine whose workers have the model."""
    with open_cluster("local", processes) as client, sent(client, MODEL, model_file().sha256):
        yield client


def archive(
    client: Any, sources: Path | Sequence[Film], folder: Path, made: LabelJob | None = None, **options: Any
) -> Archive:
    """An archive that is ready to run."""
    films = films_of([str(sources)])[0] if isinstance(sources, Path) else sources
    wanted = outputs(folder)
    return Archive(client, made or job(), films, wanted, Manifest(wanted.root), **options)


def labels(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def pictures(path: Path) -> list[tuple[float, bytes]]:
    """The frames of a film: when each is shown, and its pixels."""
    with av.open(str(path)) as container:
        return [(frame.time or 0.0, frame.to_ndarray().tobytes()) for frame in container.decode(video=0)]
