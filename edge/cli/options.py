"""Options that more than one command has."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge import classes as class_sets
from edge.classes import ClassSet
from edge.engine import RUNTIMES
from edge.errors import UsageError
from edge.preprocess import DEEPLAB, Normalisation
from edge.segmenter import Segmenter


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """What a model without a card may need, and how it runs."""
    parser.add_argument(
        "--threads", type=int, metavar="N", help="threads of the runtime (default: all cores, 4 at most)"
    )
    parser.add_argument("--runtime", default="auto", choices=RUNTIMES, help="auto takes the first that is installed")
    parser.add_argument("--labels", metavar="NAME|FILE", help="cityscapes, voc or a file with one class name a line")
    parser.add_argument(
        "--normalise", metavar="N",
        help="for float models without a card: deeplab (x/127.5-1), unit (x/255) or MEAN,STD",
    )  # fmt: skip


def segmenter_from(options: argparse.Namespace) -> Segmenter:
    return Segmenter(
        options.model, runtime=options.runtime, threads=options.threads,
        norm=parse_norm(options.normalise), classes=parse_labels(options.labels),
    )  # fmt: skip


def parse_labels(text: str | None) -> ClassSet | None:
    """A label set's name or a file of names. Raises UsageError, CardError."""
    if text is None:
        return None
    path = Path(text)
    if not path.is_file():
        return class_sets.known(text)
    with path.open("rb") as file:
        return class_sets.parse_names(file.read(1 << 16).decode("utf-8-sig", "replace"), text)


def parse_norm(text: str | None) -> Normalisation | None:
    """`deeplab`, `unit` or `MEAN,STD`, the last in grey levels. Raises UsageError."""
    if text is None:
        return None
    named = {"deeplab": DEEPLAB, "unit": Normalisation(0.0, 255.0)}
    if text in named:
        return named[text]
    try:
        mean, std = (float(part) for part in text.split(","))
    except ValueError as exc:
        raise UsageError(f"--normalise: expected deeplab, unit or MEAN,STD, got {text!r}") from exc
    if not (abs(mean) <= 1e6 and 1e-6 < std <= 1e6):
        raise UsageError(f"--normalise: expected a finite mean and a positive deviation, got {text!r}")
    return Normalisation(mean, std)
