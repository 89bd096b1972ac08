"""Opens the output that a text names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.classes import CITYSCAPES, CITYSCAPES_LABEL_IDS
from edge.controls import LivePipeline
from edge.data import Result, SourceInfo
from edge.errors import UsageError
from edge.sinks.base import Sink
from edge.sinks.pictures import SUFFIXES, LabelPictures, Pictures
from edge.text import public

_EXPECTED = (
    "expected window, web or web://HOST:PORT, a video (overlay.mp4), a stream (udp://HOST:PORT), a picture "
    "(overlay.png, .jpg), numbered pictures (overlay-%05d.png), a folder for pictures (overlay/), labels:FOLDER or "
    "labels:FOLDER?ids=labelIds, or null"
)


class NullSink(Sink):
    """A sink that keeps nothing."""

    def write(self, result: Result) -> None:
        pass

    def close(self) -> None:
        pass


def open_sink(spec: str, info: SourceInfo, live: LivePipeline | None = None) -> Sink:
    """Opens an output for results from a source; `live` is the pipeline, for those that show or steer it.

    `spec` is `window`, `web`, `web://HOST:PORT` (see edge.sinks.web), `*.mp4`, `udp://HOST:PORT`, `*.png`, `*.jpg`,
    `*-%05d.png`, a folder, `labels:FOLDER`, or `null`. Labels are Cityscapes trainIds, which is what models give; with
    `?ids=labelIds` they are the benchmark's own ids. A folder that is not there is made, with its parents.

    Raises SinkError where the output cannot be written there, UsageError where there is no such kind of output, or it
    cannot hold what the source gives.
    """
    kind, _, rest = spec.partition(":")
    if spec == "window" or kind == "web":
        return _shown(spec, live)
    if kind == "labels" and rest:
        return _labels(rest, live)
    if kind == "udp" and rest.startswith("//"):
        from edge.sinks.udp import UdpVideo

        return UdpVideo(spec)
    return NullSink() if spec == "null" else _file(spec, info)


def _file(spec: str, info: SourceInfo) -> Sink:
    path = Path(spec)
    suffix = path.suffix.lower()
    if spec.endswith("/") or (spec and path.is_dir()):
        return Pictures(path / "%06d.png")
    if suffix == ".mp4":
        from edge.sinks.video import VideoFile

        return VideoFile(path, info.rate)
    if suffix in SUFFIXES:
        pictures = Pictures(path)
        if not pictures.numbered and info.frame_count is not None and info.frame_count > 1:
            raise UsageError(pictures.holds_one(info.frame_count))
        return pictures
    raise UsageError(f"unknown output {public(spec)!r}: {_EXPECTED}")


def _labels(rest: str, live: LivePipeline | None) -> Sink:
    folder, _, ids = rest.partition("?ids=")
    if ids not in ("", "trainIds", "labelIds") or not folder:
        raise UsageError(f"output 'labels:{rest}': expected labels:FOLDER, or ?ids=trainIds or ?ids=labelIds after it")
    if ids != "labelIds":
        return LabelPictures(Path(folder))
    if live is not None and live.classes.names != CITYSCAPES.names:
        raise UsageError(f"output 'labels:{rest}': labelIds are Cityscapes', and this model has other classes")
    stored = np.zeros(256, np.uint8)
    stored[: len(CITYSCAPES_LABEL_IDS)] = CITYSCAPES_LABEL_IDS
    return LabelPictures(Path(folder), stored)


def _shown(spec: str, live: LivePipeline | None) -> Sink:
    if live is None:
        from edge.sinks.web.address import public_output

        raise UsageError(f"output {public_output(spec)!r}: only a running pipeline can be shown")
    if spec == "window":
        from edge.sinks.window import Window

        return Window(live.controls)
    from edge.sinks.web.address import parse_address

    address = parse_address(spec)
    from edge.sinks.web.sink import WebPage

    return WebPage(address, live)
