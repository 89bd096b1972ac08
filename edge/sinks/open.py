"""Opens the output that a text names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge.address import public
from edge.classes import CITYSCAPES, CITYSCAPES_LABEL_IDS, ClassSet
from edge.controls import LivePipeline
from edge.data import Result, SourceInfo
from edge.destinations import NUMBER, Destination, is_folder, numbered_files, some_files
from edge.errors import UsageError
from edge.files import ROWS
from edge.sinks.base import Sink
from edge.sinks.pictures import SUFFIXES, LabelPictures, PictureFolder, Pictures
from edge.sources.folders import is_picture
from edge.text import quiet

_EXPECTED = (
    "expected window, web or web://HOST:PORT, a video (overlay.mp4), a stream (udp://HOST:PORT, rtsp://HOST/NAME), a "
    "picture (overlay.png, .jpg), numbered pictures (overlay-%05d.png), a folder for pictures (overlay/), numbers of "
    "every frame (rows.jsonl, rows.csv), "
    "labels:FOLDER or labels:FOLDER?ids=labelIds, or null"
)


class NullSink(Sink):
    """A sink that keeps nothing."""

    def write(self, result: Result) -> None:
        pass

    def close(self) -> None:
        pass


def open_sink(
    spec: str, info: SourceInfo, live: LivePipeline | None = None, say: Callable[[str], None] = quiet
) -> Sink:
    """Opens an output for results from a source; `live` is the pipeline, for those that show or steer it. `say` gets a
    line where what comes is not kept as it is.

    `spec` is `window`, `web`, `web://HOST:PORT` (see edge.sinks.web), `*.mp4`, `udp://HOST:PORT`, `rtsp://HOST/NAME`,
    `*.png`, `*.jpg`, `*-%05d.png`, `*.jsonl`, `*.csv`, a folder, `labels:FOLDER`, or `null`. Labels
    are Cityscapes trainIds, which is what models give; with `?ids=labelIds` they are the benchmark's own ids. A
    folder that is not there is made, with its parents.

    Raises SinkError where the output cannot be written there, UsageError where there is no such kind of output, or it
    cannot hold what the source gives, or not the model's classes.
    """
    kind, _, rest = spec.partition(":")
    if spec == "window" or kind == "web":
        return _shown(spec, live)
    if kind == "labels" and rest:
        return _labels(spec, live)
    if rest.startswith("//"):
        from edge.sinks.stream import SENT_TO, VideoStream

        if kind.lower() not in SENT_TO:
            raise _unknown(spec)
        return VideoStream(spec, say)
    return NullSink() if spec == "null" else _file(spec, info, live, say)


def destination_of(spec: str) -> Destination | None:
    """Returns where an output that `open_sink` opens writes files; None where it writes none."""
    kind, _, rest = spec.partition(":")
    if kind in ("window", "web", "null", "") or rest.startswith("//"):
        return None
    if kind == "labels" and rest:
        return _folder(spec, Path(parse_labels(spec)[0]))
    path = Path(spec)
    if is_folder(spec):
        return _folder(spec, path)
    return numbered_files(spec, path) if NUMBER.search(path.name) else some_files(spec, path.parent, [path.name])


def _folder(spec: str, folder: Path) -> Destination:
    return Destination(spec, folder, "000000.png", is_picture)


def _file(spec: str, info: SourceInfo, live: LivePipeline | None, say: Callable[[str], None]) -> Sink:
    path = Path(spec)
    suffix = path.suffix.lower()
    if is_folder(spec):
        return PictureFolder(path, spec)
    if suffix == ".mp4":
        from edge.sinks.video import VideoFile

        return VideoFile(path, info.rate, say)
    if suffix in ROWS:
        from edge.sinks.rows import RowFile

        if live is None:
            raise UsageError(f"output {spec!r}: only a running pipeline has classes to count")
        return RowFile(path, info, live.shares)
    if suffix in SUFFIXES:
        pictures = Pictures(path)
        if not pictures.numbered and info.frame_count is not None and info.frame_count > 1:
            raise UsageError(pictures.holds_one(info.frame_count))
        return pictures
    raise _unknown(spec)


def _unknown(spec: str) -> UsageError:
    return UsageError(f"unknown output {public(spec)!r}: {_EXPECTED}")


def parse_labels(spec: str) -> tuple[str, bool]:
    """Reads `labels:FOLDER`, after which `?ids=trainIds` or `?ids=labelIds` may stand.

    Returns the folder, as it is written, and whether the ids are labelIds. Raises UsageError.
    """
    folder, _, ids = spec.removeprefix("labels:").partition("?ids=")
    if ids not in ("", "trainIds", "labelIds") or not folder:
        raise UsageError(f"output {spec!r}: expected labels:FOLDER, or ?ids=trainIds or ?ids=labelIds after it")
    return folder, ids == "labelIds"


def _labels(spec: str, live: LivePipeline | None) -> Sink:
    folder, label_ids = parse_labels(spec)
    if not label_ids:
        return LabelPictures(Path(folder))
    if live is not None:
        check_label_ids(spec, live.classes, live.names_known)
    stored = np.zeros(256, np.uint8)
    stored[: len(CITYSCAPES_LABEL_IDS)] = CITYSCAPES_LABEL_IDS
    return LabelPictures(Path(folder), stored)


def check_label_ids(spec: str, classes: ClassSet, names_known: bool) -> None:
    """Raises UsageError where labels cannot be written as Cityscapes' labelIds, since the classes are others."""
    if classes.names != CITYSCAPES.names:
        raise UsageError(f"output {spec!r}: labelIds are Cityscapes', and this model has other classes")
    if not names_known:
        raise UsageError(
            f"output {spec!r}: labelIds are Cityscapes', and that this model has these classes is a guess; "
            "say so with `classes` cityscapes"
        )


def _shown(spec: str, live: LivePipeline | None) -> Sink:
    if live is None:
        from edge.sinks.web.address import public_output

        raise UsageError(f"output {public_output(spec)!r}: only a running pipeline can be shown")
    if spec == "window":
        from edge.sinks.window import Window

        return Window(live.controls)
    from edge.sinks.web.address import parse_address

    address = parse_address(spec)
    if live.classes.is_wide:
        raise UsageError(f"output 'web': the page shows at most 255 classes, this model has {len(live.classes)}")
    from edge.sinks.web.sink import WebPage

    return WebPage(address, live)
