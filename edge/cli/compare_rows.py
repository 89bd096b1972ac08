"""Which rows `compare-models` measures: models, runtimes, delegates, threads and how many frames share labels."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from edge.cli import workstation
from edge.cli.main import say
from edge.cli.options import normalisation, parse_hw
from edge.compare import pythons as interpreters
from edge.compare.frames import MOST_MOVED
from edge.compare.rows import Candidate, Row
from edge.engine.delegates import check_runtime, parse_delegate
from edge.engine.open import MAX_THREADS
from edge.engine.runtimes import NAMES
from edge.errors import UsageError
from edge.progress import bars

GRAPHS = (".pb", ".tar.gz", ".tgz", ".tar")


def rows_from(options: argparse.Namespace) -> list[Row]:
    """Returns one row for each model, runtime, number of threads and of frames that share labels; a graph's models are
    converted where they are missing.
    """
    runtimes = [name.strip() for name in options.runtime.split(",")]
    unknown = [name for name in runtimes if name not in NAMES]
    if unknown:
        raise UsageError(f"unknown {unknown[0]!r}, expected some of {', '.join(NAMES)}", "runtime")
    every = parse_label_every(options.label_every)
    threads, asked = parse_threads(options.threads), interpreters.parse(options.python)
    elsewhere = options.cluster is not None  # where each device looks for interpreters of its own
    pythons = {runtime: "" if elsewhere else interpreters.interpreter_for(runtime, asked) for runtime in runtimes}
    delegates = delegates_from(options.delegate, runtimes)
    models = [made for model in options.models for made in models_of(model, options)]
    return [
        Row(Candidate(path, runtime, count, pythons[runtime], delegate, frames), error=error)
        for path, error in models
        for runtime in runtimes
        for delegate in delegates
        for count in threads
        for frames in every
    ]


def delegates_from(asked: list[str] | None, runtimes: Sequence[str]) -> list[str]:
    """Returns the delegates as `Candidate` has them. Raises UsageError."""
    given = dict.fromkeys(asked or ["none"])
    delegates = [None if text == "none" else parse_delegate(text) for text in given]
    for runtime in runtimes:
        for delegate in delegates:
            check_runtime(delegate, runtime)
    return [str(delegate or "") for delegate in delegates]


def models_of(model: str, options: argparse.Namespace) -> list[tuple[Path, str]]:
    """Returns (file, why it could not be made) of a model file, or of each model of a graph's grid."""
    path = Path(model)
    if path.suffix == ".tflite" or (path.is_file() and not model.lower().endswith(GRAPHS)):
        return [(path, "")]
    sizes = [parse_hw(size.strip()) for size in options.input_size.split(",")]
    strides, recipes = (
        [part.strip() for part in text.split(",")] for text in (options.output_stride, options.quantize)
    )
    return workstation.convert_missing(
        model, sizes, strides, recipes, norm=normalisation(options), track=bars, notice=say
    )


def parse_label_every(text: str) -> list[int]:
    """Returns [1, 4] for `1,4`, in that order and each once. Raises UsageError."""
    return list(dict.fromkeys(_counts(text, "1,4", MOST_MOVED, "frames", "label_every")))


def parse_threads(text: str) -> list[int] | list[None]:
    """Returns [1, 2] for `1,2`, the default where it is empty. Raises UsageError."""
    return _counts(text, "1,2", MAX_THREADS, "threads", "threads") if text else [None]


def _counts(text: str, like: str, most: int, what: str, field: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError as exc:
        raise UsageError(f"expected numbers like {like}, got {text!r}", field) from exc
    if not all(1 <= count <= most for count in counts):
        raise UsageError(f"expected 1 to {most} {what}, got {text!r}", field)
    return counts
