"""Reads video from the network: RTSP cameras, and whatever comes over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction

import av
from av.container import InputContainer

from edge.data import Frame, SourceInfo
from edge.errors import SourceError, UsageError
from edge.sources.clock import Clock
from edge.sources.ffmpeg import ToRgb, packets, rate_of, square, video_stream
from edge.sources.options import SourceHealth
from edge.text import public

SCHEMES = ("rtsp", "rtsps", "http", "https")
# A playlist from the network must not open files of this machine.
_PROTOCOLS = "http,https,httpproxy,tcp,tls,udp,rtp,srtp,rtsp,rtsps,crypto,data"
_OPTIONS = {"protocol_whitelist": _PROTOCOLS, "flags": "low_delay"}
_RTSP = {"rtsp_transport": "tcp"}  # over UDP, a lost packet smears the picture
_PROBE = {"probesize": "1000000", "analyzeduration": "1000000"}  # bytes, microseconds: enough to know the size


class NetworkStream:
    """A source of frames of the stream at `url`, each read as it comes; the thread that iterates must keep up.

    A recording on a server, which knows its length, comes at its own pace and ends; anything else is live, and that
    it ends is an error.

    Raises SourceError where nobody answers within `timeout_s`, access is refused, or it is no video.
    """

    def __init__(self, url: str, timeout_s: float, health: SourceHealth | None = None) -> None:
        self._name = public(url)
        self._health = health or SourceHealth()
        self._container = _open(url, self._name, timeout_s)
        try:
            self._stream = video_stream(self._name, self._container)
        except BaseException:
            self._container.close()
            raise
        self._stream.thread_type = "SLICE"  # threads for whole frames hold as many frames back
        self._recorded = self._container.duration is not None and not url.startswith("rtsp")
        shape = self._stream.sample_aspect_ratio or Fraction(1)
        size_wh = square(self._stream.width, self._stream.height, shape) if self._stream.width else None
        self.info = SourceInfo(self._name, size_wh, rate_of(self._stream), None, live=True)

    def __iter__(self) -> Iterator[Frame]:
        try:
            yield from self._frames()
        except SourceError as exc:
            raise SourceError(str(exc)) from None  # what it came from names the whole address

    def _frames(self) -> Iterator[Frame]:
        index, begin_s = 0, None
        to_rgb, clock = ToRgb(self._name, self._stream), Clock(None, rate_of(self._stream), self._health)
        for frames in packets(self._name, self._container, self._stream, self._health):
            for frame in frames or ():
                now = time.perf_counter()
                time_s = clock.time_s(frame.time) if self._recorded else None
                if time_s is not None:
                    begin_s = now - time_s if begin_s is None else begin_s
                    time.sleep(max(0.0, begin_s + time_s - now))
                yield Frame(to_rgb(frame), index, time.perf_counter())
                index += 1
        if not self._recorded:
            raise SourceError(f"{self._name}: the stream broke off")

    def close(self) -> None:
        with suppress(av.error.FFmpegError):
            self._container.close()


def check_address(url: str) -> None:
    """Raises UsageError for an address of a kind that is not read."""
    scheme = url.partition("://")[0]
    if scheme.lower() not in SCHEMES:
        raise UsageError(f"{public(url)}: expected an address with {', '.join(SCHEMES)}, got {scheme!r}")


def _open(url: str, name: str, timeout_s: float) -> InputContainer:
    options = _OPTIONS | _PROBE | (_RTSP if url.lower().startswith("rtsp") else {})
    try:
        return av.open(url, options=options, timeout=timeout_s, metadata_errors="replace")
    except av.error.FFmpegError as exc:
        raise SourceError(f"{name}: expected a stream ({_reason(exc)})") from None  # it names the whole address
    except ValueError:
        raise SourceError(f"{name}: expected an address of a stream, this is none") from None


def _reason(exc: av.error.FFmpegError) -> str:
    match exc:
        case av.error.HTTPUnauthorizedError():
            return "it wants a user and a password: http://USER:PASSWORD@HOST/..."
        case av.error.ExitError():
            return "no answer in time"
        case _:
            return str(exc.strerror)
