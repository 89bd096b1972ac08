"""Holds the options that tell which frames are labelled, and which are shown."""

from __future__ import annotations

import argparse

from edge.data import SourceInfo
from edge.errors import UsageError
from edge.pipeline import MOST_TOGETHER, Pace

VIEW_RATES = ("camera", "labels")


def add_pace_options(made: argparse.ArgumentParser) -> None:
    """Adds what is labelled and what is shown."""
    made.add_argument(
        "--view-rate",
        choices=VIEW_RATES,
        help="of cameras and streams: show every frame, with the newest labels moved along, or the labelled ones alone "
        "(default: camera); files are shown frame by frame",
    )
    made.add_argument(
        "--label-every",
        type=int,
        default=1,
        metavar="N",
        help="label every Nth frame, and move its labels along in those between",
    )


def check_label_every(count: int) -> None:
    """Raises UsageError for a number of frames that makes no sense."""
    if not 1 <= count <= MOST_TOGETHER:
        raise UsageError(f"expected 1 to {MOST_TOGETHER} frames, got {count}", "label_every")


def pace_of(options: argparse.Namespace, info: SourceInfo) -> Pace:
    """Returns which frames are labelled, and whether the others wait. Raises UsageError."""
    if options.view_rate and not info.live:
        raise UsageError(f"expected a camera or a stream with it; {info.name} is shown frame by frame", "view_rate")
    if options.other is not None:
        if options.label_every > 1 or options.view_rate == "camera":
            raise UsageError(
                "expected 1, and no `view_rate` camera: two models are compared on frames that both label",
                "label_every",
            )
        return Pace()
    ahead = info.live and options.view_rate != "labels"
    if info.live and not ahead and options.label_every > 1:
        raise UsageError("expected `view_rate` camera with it, which shows the frames between too", "label_every")
    return Pace(options.label_every, ahead)
