"""The way into the converter for programs: one call from a network to verified files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convert.job import RESCUE_SECONDS, Job
from convert.tflite.ends import Ends, EndType
from convert.tflite.recipes import parse_recipes
from edge.classes import ClassSet
from edge.files import writable_folder
from edge.preprocess import Normalisation
from edge.progress import Track, silent
from edge.text import quiet

if TYPE_CHECKING:
    from convert.conversion import Outcome
    from convert.models.load import FrozenGraph
    from convert.tflite.source import TfliteSource


def convert(
    graph: str | Path,
    *,
    recipes: Sequence[str] = ("int8",),
    input_hw: tuple[int, int] | None = None,
    output_stride: str = "auto",
    output_dir: str | Path = ".",
    calibrate: Sequence[str | Path] = ("demo",),
    calibration_frames: int = 32,
    verification_frames: int = 8,
    labels_dir: str | Path | None = None,
    classes: ClassSet | None = None,
    norm: Normalisation | None = None,
    input_type: EndType | None = None,
    output_type: EndType | None = None,
    output_tensor: str | None = None,
    min_agreement: float | None = None,
    max_miou_drop: float | None = None,
    max_class_drop: float | None = None,
    rescue: bool = True,
    rescue_seconds: float = RESCUE_SECONDS,
    any_frames: bool = False,
    strict: bool = False,
    track: Track = silent,
    notice: Callable[[str], None] = quiet,
) -> list[Outcome]:
    """Makes a verified .tflite of a network by each recipe, and returns what became of each, in order.

    `graph` is what `convert-model` takes: an official model by its name, `demo`, `auto`, or a file. `recipes` are some
    of float32, float16, dynamic and int8. The fields are those of `convert.job.Job`: `input_hw` is (height, width) in
    pixels, None 513x1025, of a .tflite its own; `calibrate` are sources of frames as `edge.open_source` takes them;
    `labels_dir` holds label files named like these; `min_agreement`, `max_miou_drop` and `max_class_drop` are shares,
    0..1; `input_type` and `output_type` are dtypes of int8 models. `track` may show how far it is, `notice` gets lines
    for people.

    A file that falls short is not written: its `Outcome.passed` is False, and `Outcome.shortcomings` says why.

    Raises UsageError for values that make no sense, GraphError or ModelError for the network, SourceError for frames,
    DownloadError, ConversionError, SinkError for the disk, RuntimeMissing without TensorFlow.
    """
    job = Job(
        recipes=parse_recipes(",".join(recipes)),
        input_hw=input_hw,
        output_stride=output_stride,
        output_dir=Path(output_dir),
        calibrate=[str(source) for source in calibrate],
        calibration_frames=calibration_frames,
        verification_frames=verification_frames,
        min_agreement=min_agreement,
        classes=classes,
        labels_dir=None if labels_dir is None else Path(labels_dir),
        any_frames=any_frames,
        strict=strict,
        max_miou_drop=max_miou_drop,
        max_class_drop=max_class_drop,
        rescue=rescue,
        rescue_seconds=rescue_seconds,
        norm=norm,
        output_tensor=output_tensor,
        ends=Ends(input_type, output_type),
    )
    writable_folder(job.output_dir)
    source = load(str(graph), track, notice)

    from convert.conversion import run  # brings TensorFlow

    return run(source, job, track, notice)


def load(graph: str, track: Track = silent, notice: Callable[[str], None] = quiet) -> FrozenGraph | TfliteSource:
    """Reads what the user named. Raises RoadliteError."""
    if graph.lower().endswith(".tflite"):
        from convert.tflite.source import load_tflite

        return load_tflite(Path(graph))
    from convert.models.load import load_frozen_graph

    return load_frozen_graph(graph, track=track, notice=notice)
