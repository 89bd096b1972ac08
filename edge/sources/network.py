"""Reads video from the network: cameras and servers, and whoever sends to this machine."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction

import av
from av.container import InputContainer

from edge.address import Address, parse_address, public
from edge.data import Frame, SourceInfo
from edge.errors import SourceError, UsageError
from edge.sources import http_files
from edge.sources.base import Source
from edge.sources.clock import Clock
from edge.sources.ffmpeg import ANY_TITLE, ToRgb, packets, rate_of, square, video_stream
from edge.sources.http_files import HttpFile, HttpFiles
from edge.sources.options import SourceHealth, SourceOptions
from edge.sources.snapshots import USUAL_RATE, Snapshots

# Formats that hold their own frames. Others, such as concat and SDP, name further addresses.
_FORMATS = (
    "h264,hevc,mjpeg,jpeg_pipe,mpjpeg,mpegts,mpeg,mpegvideo,m4v,mov,matroska,flv,live_flv,avi,asf,ogg,ivf,obu,nut"
)
_HLS = "hls,aac,ac3,eac3,mp3,webvtt"  # a playlist, and what lies beside the video in it
_PROBE = {"probesize": "1000000", "analyzeduration": "1000000", "formatprobesize": "65536"}  # bytes, us, bytes
_OPTIONS = {"flags": "low_delay", **_PROBE}
_JPEG = b"\xff\xd8"


@dataclass(frozen=True, slots=True)
class _Kind:
    """What FFmpeg is told about addresses of a scheme."""

    protocols: str  # that it may open: without `rtsp` among them it follows no redirect of a camera
    formats: str = _FORMATS
    options: dict[str, str] = field(default_factory=dict)


_RTSP = {"rtsp_transport": "tcp"}  # over UDP, a lost packet smears the picture
_KINDS = {
    "rtsp": _Kind("tcp", "rtsp,asf,mpegts", _RTSP),
    "rtsps": _Kind("tls,tcp", "rtsp,asf,mpegts", _RTSP),
    "tcp": _Kind("tcp"),
    "udp": _Kind("udp", options={"overrun_nonfatal": "1"}),
    "rtmp": _Kind("rtmp,tcp"),
    "rtmps": _Kind("rtmps,tls,tcp"),
    "srt": _Kind("srt"),
}
SCHEMES = ("rtsp", "rtsps", *http_files.SCHEMES, "tcp", "udp", "rtmp", "rtmps", "srt")


def check_address(url: str) -> Address:
    """Returns the parts of an address. Raises UsageError for one of a kind that is not read."""
    scheme = url.partition("://")[0]
    if scheme.lower() not in SCHEMES:
        raise UsageError(f"{public(url)}: expected an address with {', '.join(SCHEMES)}, got {scheme!r}")
    address = parse_address(url)
    if address.scheme in ("udp", "tcp") and address.port is None:
        raise UsageError(f"{address.shown}: expected a port, as in {address.scheme}://{address.host or '@'}:5000")
    if not address.host and not _listens(address):
        raise UsageError(f"{address.shown}: expected a host, as in {address.scheme}://192.168.1.20:{address.port}")
    return address


def open_stream(address: Address, options: SourceOptions, health: SourceHealth | None = None) -> Source:
    """Opens what is at an address that `check_address` gave.

    Raises SourceError where nobody answers within `timeout_s`, access is refused, it is no video, or it refers to
    other hosts than it may; UsageError where the options make no sense for it.
    """
    health = health or SourceHealth()
    if address.scheme not in http_files.SCHEMES:
        return NetworkStream(address, options.timeout_s, health)
    files = HttpFiles(address, options.timeout_s, options.allow_hosts)
    file = files.open(address.plain_url)
    try:
        if not _is_picture(file):
            if options.rate is not None:
                raise UsageError("makes no sense here: a stream has its own", "rate")
            return NetworkStream(address, options.timeout_s, health, (files, file))
        rate = options.rate or USUAL_RATE
        if 1 / rate >= options.timeout_s:
            wanted = f"expected more than the {float(1 / rate):g} s between two snapshots"
            raise UsageError(f"{wanted}, got {options.timeout_s:g}", "timeout_s")
        return Snapshots(files, file, rate, health)
    except BaseException:
        file.close()
        raise


class NetworkStream:
    """A source of frames of the stream at `address`, each read as it comes; the thread that iterates must keep up.

    What comes over HTTP is read from `http`. A recording on a server, which knows its length, comes at its own pace and
    ends; anything else is live, and that it ends is an error.

    Raises SourceError where nobody answers within `timeout_s`, access is refused, or it is no video.
    """

    def __init__(
        self,
        address: Address,
        timeout_s: float,
        health: SourceHealth | None = None,
        http: tuple[HttpFiles, HttpFile] | None = None,
    ) -> None:
        self._name, self._health, self._http = address.shown, health or SourceHealth(), http
        self._container = _open(address, timeout_s) if http is None else _open_http(address, timeout_s, *http)
        try:
            self._stream = video_stream(self._name, self._container)
        except BaseException:
            self.close()
            raise
        self._stream.thread_type = "SLICE"  # threads for whole frames hold as many frames back
        self._recorded = http is not None and self._has_an_end(http[1])
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
        self._renew()
        for frames in packets(self._name, self._container, self._stream, self._health):
            for frame in frames or ():
                now = time.perf_counter()
                time_s = clock.time_s(frame.time) if self._recorded else None
                if time_s is not None:
                    begin_s = now - time_s if begin_s is None else begin_s
                    time.sleep(max(0.0, begin_s + time_s - now))
                yield Frame(to_rgb(frame), index, time.perf_counter())
                index += 1
            self._renew()
        if not self._recorded:
            raise SourceError(f"{self._name}: the stream broke off")

    def _has_an_end(self, file: HttpFile) -> bool:
        """Whether it is a recording.

        The length of a playlist is its own. Of the rest, FFmpeg does not always find the duration on a busy machine.
        """
        if self._container.duration is not None:
            return True
        return file.size is not None and self._container.format.name != "hls"

    def _renew(self) -> None:
        if self._http is not None:
            self._http[0].renew()

    def close(self) -> None:
        with suppress(av.error.FFmpegError, SourceError):
            self._container.close()
        if self._http is not None:
            self._http[1].close()


def _is_picture(file: HttpFile) -> bool:
    """Returns whether it is one picture, not a stream: some servers call pictures by no name."""
    kind = file.content_type.partition("/")[0]
    if kind in ("video", "multipart") or "mpegurl" in file.content_type:
        return False
    return kind == "image" or (file.size is not None and file.peek(2) == _JPEG)


def _listens(address: Address) -> bool:
    return address.scheme == "udp" or (address.scheme == "tcp" and "listen" in address.rest)


def _open(address: Address, timeout_s: float) -> InputContainer:
    kind = _KINDS[address.scheme]
    options = _OPTIONS | kind.options | {"protocol_whitelist": kind.protocols, "format_whitelist": kind.formats}
    url = f"udp://@{address.place}{address.rest}" if address.scheme == "udp" else address.url
    begin_s = time.monotonic()
    try:
        container: InputContainer = av.open(url, options=options, timeout=timeout_s, **ANY_TITLE)
    except (av.error.FFmpegError, ValueError) as exc:  # each names the whole address
        late = time.monotonic() - begin_s >= timeout_s  # FFmpeg calls it by many names
        why = _too_late(address, timeout_s) if late else _reason(exc, address)
        raise SourceError(f"{address.shown}: expected a stream ({why}){address.advice}") from None
    return container


def _open_http(address: Address, timeout_s: float, files: HttpFiles, file: HttpFile) -> InputContainer:
    """Opens a stream whose bytes, and those of what it refers to, come through `files`."""

    def open_further(url: str, flags: int, options: dict[str, str]) -> HttpFile:
        files.renew(http_files.OPENING_S)
        end = int(options.get("end_offset", 0))
        return files.open(url, int(options.get("offset", 0)), end or None)

    options = _OPTIONS | {
        "protocol_whitelist": ",".join(http_files.SCHEMES),
        "format_whitelist": f"{_FORMATS},{_HLS}",
        "http_persistent": "0",  # FFmpeg would look for its own connection, and abort
        "http_multiple": "0",
    }
    form = "hls" if "mpegurl" in file.content_type else None
    try:
        container: InputContainer = av.open(
            file,
            "r",
            format=form,
            options=options,
            timeout=timeout_s,
            **ANY_TITLE,
            io_open=open_further,
        )
    except (av.error.FFmpegError, ValueError) as exc:
        raise SourceError(f"{address.shown}: expected a stream ({_reason(exc, address)})") from None
    return container


_STATUS: dict[type[Exception], int] = {
    av.error.HTTPBadRequestError: 400,
    av.error.HTTPUnauthorizedError: 401,
    av.error.HTTPForbiddenError: 403,
    av.error.HTTPNotFoundError: 404,
}


def _too_late(address: Address, timeout_s: float) -> str:
    if _listens(address):
        return f"nothing was sent to this port within {timeout_s:g} s; `timeout_s` can be longer"
    return f"no answer within {timeout_s:g} s"


def _reason(exc: Exception, address: Address) -> str:
    if type(exc) in _STATUS:
        return address.refusal(_STATUS[type(exc)])
    match exc:
        case av.error.ExitError() | av.error.TimeoutError():
            why = "no answer in time"
        case av.error.ProtocolNotFoundError():
            why = f"the FFmpeg of the package av has no {address.scheme}; let it be sent by rtsp, tcp or udp"
        case av.error.ArgumentError() if address.scheme in ("rtsp", "rtsps"):
            why = "it refers to another address, which is not followed: name that one"
        case av.error.InvalidDataError() | av.error.ArgumentError():
            why = "what comes is no video, or of an unknown format"
        case av.error.FFmpegError(errno=errno.EADDRNOTAVAIL):
            everywhere = f"{address.scheme}://0.0.0.0:{address.port}"
            why = f"{address.host} is no address of this machine; {everywhere} is all of them"
        case av.error.FFmpegError(errno=errno.EIO):
            why = "the host is not known, or does not answer as expected"
        case av.error.FFmpegError():
            why = str(exc.strerror)
        case _:
            why = "this is no address of one"
    return why
