"""Where frames come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from edge.data import Frame, SourceInfo
from edge.errors import SourceError, UsageError
from edge.sources.demo import Demo
from edge.sources.images import SUFFIXES, Images, in_folder, matching
from edge.sources.newest import Newest, quiet
from edge.sources.replay import Replay
from edge.sources.wanted import Health, Wanted

__all__ = ["Health", "Source", "Wanted", "open_source"]


class Source(Protocol):
    """Frames in order, indices rising.

    Opening a source raises `SourceError` when it is already clear that nothing can be read; iterating raises it when
    that turns out on the way, after every frame before that point was given out. Each `iter()` of a file starts at its
    beginning again. Whoever opened the source closes it; `close` may be called twice, and ends an iteration in another
    thread. A file gives every frame, a live source (`info.live`) the newest one.
    """

    info: SourceInfo

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None: ...


def open_source(
    spec: str, wanted: Wanted | None = None, *, limit: int | None = None, health: Health | None = None,
    say: Callable[[str], None] = quiet,
) -> Source:  # fmt: skip
    """Opens what `spec` names.

    `auto` (the Pi camera, else the first USB camera), `picamera2` or `picamera2:N`, `N` or `/dev/videoN`, an address
    `rtsp://`, `http://` or `https://`, a video file, a picture, a folder of pictures, a pattern such as `drive/*.jpg`,
    `demo`, or `-` for raw frames on standard input. `limit` is short for `Wanted(limit=limit)`. `health` counts what
    befalls the source, and `say` gets a line when a live one is lost or comes back.

    Raises:
        SourceError: there is no such thing, or it cannot be read.
        UsageError: what is wanted makes no sense for it.
    """
    wanted = wanted or Wanted()
    wanted = wanted if limit is None else replace(wanted, limit=limit)
    health = health or Health()
    opening = _live(spec, wanted, health)
    if opening is not None:
        newest = Newest(
            opening, timeout_s=wanted.timeout_s, max_reconnects=wanted.max_reconnects, health=health, say=say
        )  # fmt: skip
        return newest if wanted.limit is None else Replay(newest, limit=wanted.limit)
    if spec == "-":
        from edge.sources.raw import Raw

        _refuse(wanted, "raw frames come as they come", "start_s", "loop", "realtime", "fourcc")
        return Raw(wanted.size_wh, wanted.rate, wanted.limit)
    _refuse(wanted, f"{spec} has its own", "size_wh", "fourcc")
    if not (wanted.loop or wanted.realtime):
        return _file(spec, wanted, health)
    file = _file(spec, replace(wanted, limit=None) if wanted.loop else wanted, health)
    return Replay(file, loop=wanted.loop, realtime=wanted.realtime, limit=wanted.limit)


def _live(spec: str, wanted: Wanted, health: Health) -> Callable[[], Source] | None:
    """What opens a camera or a stream; None for anything else."""
    is_stream = "://" in spec
    if not is_stream and not (spec == "auto" or spec.isdecimal() or _is_pi_camera(spec) or _is_device(spec)):
        return None
    _refuse(wanted, "only a file has that", "start_s", "loop", "realtime")
    if not is_stream:
        return lambda: _camera(first_camera() if spec == "auto" else spec, wanted, health)
    from edge.sources.stream import Stream, check_address

    check_address(spec)
    _refuse(wanted, "a stream has its own", "size_wh", "rate", "fourcc")
    return lambda: Stream(spec, wanted.timeout_s, health)


def _camera(spec: str, wanted: Wanted, health: Health) -> Source:
    if _is_pi_camera(spec):
        from edge.sources.pi import PiCamera

        _refuse(wanted, "a Pi camera has none to choose", "fourcc")
        return PiCamera(int(spec.partition(":")[2] or 0), wanted)
    from edge.sources.camera import Camera

    return Camera(spec, wanted, health)


def first_camera() -> str:
    """The best camera that is attached, as a source. Raises SourceError, saying where it was looked for."""
    from edge.cameras import cameras

    found = cameras()
    if not found.cameras:
        raise SourceError(
            f"no camera found; looked for: {'; '.join(found.looked)}. Attach one, or name a --source: a video, "
            "pictures, rtsp://..., or demo"
        )
    return found.cameras[0].source


def _file(spec: str, wanted: Wanted, health: Health) -> Source:
    if spec == "demo":
        _refuse(wanted, "the demo has its own", "rate")
        return Demo(wanted.limit, wanted.start_s)
    path = Path(spec)
    try:
        if path.is_dir():
            return _pictures(spec, in_folder(path), wanted)
        if path.is_file() and path.suffix.lower() in SUFFIXES:
            return _pictures(spec, [path], wanted)
        if path.is_file():
            from edge.sources.video import Video

            _refuse(wanted, "a video has its own", "rate")
            return Video(path, wanted.limit, wanted.start_s, health)
        if path.exists():
            raise SourceError(f"{spec}: expected a file, a folder or a camera, found a device or a pipe")
    except OSError as exc:
        raise SourceError(f"{spec}: cannot be opened ({exc.strerror})") from exc
    if any(char in spec for char in "*?["):
        return _pictures(spec, matching(spec), wanted)
    raise SourceError(
        f"{spec}: not found; expected auto, picamera2, a camera's number or /dev/videoN, an address rtsp:// or "
        "http://, a video, a picture, a folder, a pattern like 'd/*.jpg', - or demo"
    )


def _pictures(spec: str, paths: list[Path], wanted: Wanted) -> Source:
    if wanted.rate is None:
        _refuse(wanted, "pictures have no rate; give --fps", "start_s", "realtime")
        return Images(spec, paths, wanted.limit)
    first = round(wanted.start_s * wanted.rate)
    if first >= len(paths):
        raise SourceError(f"{spec}: has no picture after {wanted.start_s:g} s; {len(paths)} of them are there")
    return Images(spec, paths[first:], wanted.limit, wanted.rate)


def _is_pi_camera(spec: str) -> bool:
    kind, colon, number = spec.partition(":")
    return kind == "picamera2" and (number.isdecimal() or not colon)


def _is_device(spec: str) -> bool:
    try:
        return spec.startswith("/dev/video") or Path(spec).is_char_device()
    except OSError:  # no name of anything
        return False


_OPTIONS = {
    "size_wh": "--size", "rate": "--fps", "fourcc": "--fourcc", "start_s": "--start", "loop": "--loop",
    "realtime": "--realtime",
}  # fmt: skip


def _refuse(wanted: Wanted, why: str, *names: str) -> None:
    """Raises UsageError for what this source cannot do."""
    for name in names:
        if getattr(wanted, name) not in (None, 0.0, False):
            raise UsageError(f"{_OPTIONS[name]} makes no sense here: {why}")
