"""Sends results as a video while it is made."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import av
from av.container import OutputContainer

from edge.address import Address, parse_address, public
from edge.data import Result
from edge.errors import SinkError, UsageError
from edge.sinks.base import Sink
from edge.sinks.h264 import H264, USUAL_RATE
from edge.text import quiet

SENT_TO = ("udp", "rtsp")
"""Schemes of addresses that a video can be sent to."""

_TROUBLE = (OSError, ValueError, av.error.FFmpegError)
_PACKET = 1316  # seven packets of MPEG-TS, the most that fit into one of Ethernet
_ANSWER_S = 3.0  # nothing else of the process goes on while FFmpeg waits for a server's answer
_RTSP_PORT = 554
_STATUS = {
    av.error.HTTPUnauthorizedError: 401,
    av.error.HTTPForbiddenError: 403,
    av.error.HTTPNotFoundError: 404,
}


@dataclass(frozen=True, slots=True)
class _Way:
    """How FFmpeg sends to addresses of a scheme."""

    written: str  # how an address is
    form: str
    options: dict[str, str]


_WAYS = {
    # Sent as it comes: not gathered until a buffer of FFmpeg's is full.
    "udp": _Way("udp://HOST:PORT, such as udp://192.168.1.20:5000", "mpegts", {"flush_packets": "1"}),
    "rtsp": _Way(
        "rtsp://HOST/NAME, such as rtsp://192.168.1.20/road",
        "rtsp",
        {"rtsp_transport": "tcp", "timeout": str(round(_ANSWER_S * 1e6))},
    ),
}


class VideoStream(Sink):
    """A sink that sends what is shown as H.264: to `udp://HOST:PORT` in MPEG-TS, which `ffplay udp://@:PORT` or VLC
    shows there, or to a media server as `rtsp://HOST/NAME`, from which others get it.

    By UDP nobody needs to listen, and nothing waits for who does. There is no protection: what is sent can be seen.
    `say` is told when pictures of another size come.

    Raises UsageError where an address of these schemes is not complete.
    """

    def __init__(self, url: str, say: Callable[[str], None] = quiet) -> None:
        self._address, self._say = _checked(url), say
        self._name = self._address.shown
        self._open: tuple[OutputContainer, H264] | None = None
        self._closed = False

    def write(self, result: Result) -> None:
        if self._closed:
            raise SinkError(f"{self._name}: nothing more can be sent, it is closed")
        try:
            if self._open is None:
                container = _opened(self._address)
                self._open = container, H264(container, result, USUAL_RATE, prompt=True, say=self._tell)
            self._open[1].write(result)
        except _TROUBLE as exc:
            self._closed = True
            if self._open is not None:
                with suppress(*_TROUBLE):
                    self._open[0].close()
            why = _reason(exc, self._address)
            raise SinkError(f"{self._name}: cannot be sent to ({why}){self._address.advice}") from None

    def _tell(self, what: str) -> None:
        self._say(f"{self._name}: {what}")

    def close(self) -> None:
        """Ends the stream; what was not sent by now is not missed."""
        if self._open is not None and not self._closed:
            steps: tuple[Any, ...] = (self._open[1].finish, self._open[0].close)
            for step in steps:
                with suppress(*_TROUBLE):
                    step()
        self._closed = True


def _checked(url: str) -> Address:
    scheme = url.partition("://")[0].lower()
    wrong = UsageError(f"output {public(url)!r}: expected {_WAYS[scheme].written}")
    try:
        address = parse_address(url)
    except UsageError as exc:
        raise wrong from exc
    plain = address.port and address.user is None and address.rest in ("", "/")
    if not address.host or (scheme == "udp" and not plain):
        raise wrong
    return address


def _opened(address: Address) -> OutputContainer:
    way, url = _WAYS[address.scheme], address.url
    if address.scheme == "udp":
        url = f"udp://{address.place}?pkt_size={_PACKET}"
    else:
        socket.getaddrinfo(address.host, address.port or _RTSP_PORT)  # FFmpeg has no words for a name that nobody knows
    return av.open(url, "w", format=way.form, options=way.options)


def _reason(exc: BaseException, address: Address) -> str:
    for kind, status in _STATUS.items():
        if isinstance(exc, kind):
            return address.refusal(status)
    if isinstance(exc, TimeoutError):
        return f"no answer within {_ANSWER_S:g} s"
    return str(getattr(exc, "strerror", None) or exc)
