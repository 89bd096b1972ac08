"""Where results go."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from edge.data import Result, SourceInfo
from edge.errors import UsageError
from edge.live import Live
from edge.sinks.pictures import SUFFIXES, Labels, Pictures

_EXPECTED = (
    "expected a video (overlay.mp4), a picture (overlay.png, .jpg), numbered pictures (overlay-%05d.png), "
    "a folder for pictures (overlay/), labels:FOLDER, or null"
)


class Sink(Protocol):
    """Takes results in order.

    `write` raises `SinkError` when a result cannot be kept; the sink has then removed what was unfinished and takes
    no more. `close` finishes the output and gives it its final name; it raises `SinkError` too, and may be called
    twice. Whoever opened the sink closes it. Nothing unfinished ever bears a final name.

    A sink may have a `notice: str`, which the user should be told when it is open: where to look, and who else can.
    """

    def write(self, result: Result) -> None: ...

    def close(self) -> None: ...


class Nowhere:
    """Keeps nothing."""

    def write(self, result: Result) -> None:
        pass

    def close(self) -> None:
        pass


def open_sink(spec: str, info: SourceInfo, live: Live | None = None) -> Sink:
    """Opens `*.mp4`, `*.png`, `*.jpg`, `*-%05d.png`, a folder, `labels:FOLDER` or `null` for results from a source.

    A folder that is not there is made, with its parents.

    Raises:
        SinkError: the output cannot be written there.
        UsageError: there is no such kind of output, or it cannot hold what the source gives.
    """
    path = Path(spec)
    suffix = path.suffix.lower()
    if spec == "null":
        return Nowhere()
    if spec == "web" or spec.startswith("web:"):
        return _web(spec, live)
    if spec.startswith("labels:") and spec != "labels:":
        return Labels(Path(spec.removeprefix("labels:")))
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
    raise UsageError(f"unknown output {spec!r}: {_EXPECTED}")


def _web(spec: str, live: Live | None) -> Sink:
    from edge.web.address import parse_address

    address = parse_address(spec)
    if live is None:
        raise UsageError(f"output {spec.partition('?')[0]!r}: only a running pipeline has a web page")
    from edge.web import WebPage

    return WebPage(address, live)
