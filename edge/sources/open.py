"""Opens the source that a text names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edge.errors import SourceError, UsageError
from edge.sources.base import Source
from edge.sources.demo import Demo
from edge.sources.folders import picture_files
from edge.sources.images import Images
from edge.sources.left_out import LeftOut
from edge.sources.options import SourceHealth, SourceOptions
from edge.sources.reconnect import ReconnectingSource
from edge.sources.replay import Replay
from edge.text import quiet

_NO_HOSTS = "only what comes by HTTP refers to others"
_BARE_SCHEME = re.compile(r"(rtsps?|https?|rtmps?|tcp|udp|srt):(?=.)", re.IGNORECASE)


def open_source(
    spec: str,
    options: SourceOptions | None = None,
    *,
    limit: int | None = None,
    health: SourceHealth | None = None,
    say: Callable[[str], None] = quiet,
) -> Source:
    """Opens what `spec` names.

    `auto` (the Pi camera, else the first USB camera), `picamera2` or `picamera2:N`, `N` or `/dev/videoN`, an address
    (`rtsp://`, `http://`, `tcp://`, `udp://`, `rtmp://`, ...), a video file, a picture, a folder of pictures, a pattern
    such as `drive/*.jpg`, `demo`, or `-` for raw frames on standard input. `limit` is short for
    `SourceOptions(limit=limit)`. `health` counts what goes wrong while the source is read, and `say` gets a line when a
    live one is lost or comes back, a video is cut off, or a folder holds more than pictures.

    Raises SourceError where there is no such thing, or it cannot be read, UsageError where the options make no sense
    for it.
    """
    options = options or SourceOptions()
    options = options if limit is None else replace(options, limit=limit)
    health = health or SourceHealth()
    opening = _live(spec, options, health)
    if opening is not None:
        newest = ReconnectingSource(
            opening, timeout_s=options.timeout_s, max_reconnects=options.max_reconnects, health=health, say=say
        )
        return newest if options.limit is None else Replay(newest, limit=options.limit)
    if spec == "-":
        from edge.sources.stdin import StdinSource

        _refuse(options, "raw frames come as they come", "start_s", "loop", "realtime", "fourcc")
        _refuse(options, _NO_HOSTS, "allow_hosts")
        return StdinSource(options.size_wh, options.rate, options.limit)
    _refuse(options, f"{spec} has its own", "size_wh", "fourcc")
    _refuse(options, _NO_HOSTS, "allow_hosts")
    if not (options.loop or options.realtime):
        return _file(spec, options, health, say)
    file = _file(spec, replace(options, limit=None) if options.loop else options, health, say)
    return Replay(file, loop=options.loop, realtime=options.realtime, limit=options.limit)


def files_of(spec: str) -> list[Path]:
    """Returns the files that a source reads; none for a camera, a stream, the demo and standard input.

    Raises SourceError where a folder or a pattern has no pictures.
    """
    if spec in ("auto", "demo", "-") or "://" in spec or _is_bare_scheme(spec):
        return []
    pictures = picture_files(spec)
    return ([Path(spec)] if Path(spec).is_file() else []) if pictures is None else pictures


def _live(spec: str, options: SourceOptions, health: SourceHealth) -> Callable[[], Source] | None:
    """Returns what opens a camera or a stream; None for anything else."""
    is_stream = "://" in spec
    if not is_stream and not (spec == "auto" or spec.isdecimal() or _is_pi_camera(spec) or _is_device(spec)):
        return None
    _refuse(options, "only a file has that", "start_s", "loop", "realtime")
    if not is_stream:
        _refuse(options, _NO_HOSTS, "allow_hosts")
        return lambda: _camera(first_camera() if spec == "auto" else spec, options, health)
    from edge.sources.network import check_address, open_stream

    address = check_address(spec)
    _refuse(options, "a stream has its own", "size_wh", "fourcc")
    if address.scheme not in ("http", "https"):  # which may be snapshots, and playlists
        _refuse(options, "a stream has its own", "rate")
        _refuse(options, _NO_HOSTS, "allow_hosts")
    return lambda: open_stream(address, options, health)


def _camera(spec: str, options: SourceOptions, health: SourceHealth) -> Source:
    if _is_pi_camera(spec):
        from edge.sources.picamera import PiCamera

        _refuse(options, "a Pi camera has none to choose", "fourcc")
        return PiCamera(int(spec.partition(":")[2] or 0), options)
    from edge.sources.v4l2 import Camera

    return Camera(spec, options, health)


def first_camera() -> str:
    """Returns the best camera that is attached, as a source. Raises SourceError, saying where it was looked for."""
    from edge.device.cameras import cameras

    search = cameras()
    if not search.cameras:
        raise SourceError(
            f"no camera found; looked for: {'; '.join(search.looked)}. Attach one, or name a `source`: a video, "
            "pictures, rtsp://..., or demo"
        )
    return search.cameras[0].source


def _file(spec: str, options: SourceOptions, health: SourceHealth, say: Callable[[str], None]) -> Source:
    if spec == "demo":
        _refuse(options, "the demo has its own", "rate")
        return Demo(options.limit, options.start_s)
    path = Path(spec)
    try:
        if _is_bare_scheme(spec):  # what follows may be a password
            scheme = spec.partition(":")[0]
            raise SourceError(f"{scheme}:...: not found; an address has // after the colon, such as rtsp://HOST/...")
        moves = path.is_file() and _is_animation(path)
        pictures = None if moves else picture_files(spec, left_out=health.left_out)
        if pictures is not None:
            for line in health.left_out.lines_of_others():
                say(line)
            return _pictures(spec, pictures, options, health.left_out)
        if path.is_file():
            _refuse(options, "a video has its own", "rate")
            return _film(path, options, health, say)
        if path.exists():
            raise SourceError(f"{spec}: expected a file, a folder or a camera, found a device or a pipe")
    except OSError as exc:
        raise SourceError(f"{spec}: cannot be opened ({exc.strerror})") from exc
    raise SourceError(
        f"{spec}: not found; expected auto, picamera2, a camera's number or /dev/videoN, an address (rtsp://...), "
        "a video, a picture, a folder, a pattern like 'd/*.jpg', - or demo"
    )


def _is_animation(path: Path) -> bool:
    from edge.sources.animation import is_animation

    return is_animation(path)


def _film(path: Path, options: SourceOptions, health: SourceHealth, say: Callable[[str], None]) -> Source:
    from edge.sources.animation import AnimatedWebP, is_animated_webp

    if is_animated_webp(path):
        return AnimatedWebP(path, options.limit, options.start_s)
    from edge.sources.video import Video

    return Video(path, options.limit, options.start_s, health, say)


def _pictures(spec: str, paths: list[Path], options: SourceOptions, left_out: LeftOut) -> Source:
    first = 0
    if options.rate is None:
        _refuse(options, "pictures have no rate; give `rate`", "start_s", "realtime")
    else:
        first = round(options.start_s * options.rate)
    if first >= len(paths):
        raise SourceError(f"{spec}: has no picture after {options.start_s:g} s; {len(paths)} of them are there")
    return Images(spec, paths[first:], options.limit, options.rate, left_out, options.strict)


def _is_bare_scheme(spec: str) -> bool:
    return _BARE_SCHEME.match(spec) is not None and not Path(spec).exists()


def _is_pi_camera(spec: str) -> bool:
    kind, colon, number = spec.partition(":")
    return kind == "picamera2" and (number.isdecimal() or not colon)


def _is_device(spec: str) -> bool:
    try:
        return spec.startswith("/dev/video") or Path(spec).is_char_device()
    except OSError:  # no name of anything
        return False


def _refuse(options: SourceOptions, why: str, *names: str) -> None:
    """Raises UsageError for what this source cannot do."""
    for name in names:
        if getattr(options, name) not in (None, 0.0, False, ()):
            raise UsageError(f"makes no sense here: {why}", name)
