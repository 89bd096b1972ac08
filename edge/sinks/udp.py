"""Sends results as a video while it is made."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import av
from av.container import OutputContainer

from edge.data import Result
from edge.errors import SinkError, UsageError
from edge.sinks.base import Sink
from edge.sinks.h264 import H264, USUAL_RATE
from edge.text import public

_TROUBLE = (OSError, ValueError, av.error.FFmpegError)
_PACKET = 1316  # seven packets of MPEG-TS, the most that fit into one of Ethernet


class UdpVideo(Sink):
    """A sink that sends what is shown to `udp://HOST:PORT` as H.264 in MPEG-TS; `ffplay udp://@:PORT` or VLC shows it
    there.

    Nobody needs to listen, and nothing waits for who does. There is no protection: what is sent can be seen.

    Raises UsageError where it is no such address.
    """

    def __init__(self, url: str) -> None:
        wrong = UsageError(f"output {public(url)!r}: expected udp://HOST:PORT, such as udp://192.168.1.20:5000")
        try:
            parts = urlsplit(url)
            complete = parts.hostname and parts.port and parts.path in ("", "/") and not parts.query
        except ValueError as exc:
            raise wrong from exc
        if not complete or "@" in parts.netloc:
            raise wrong
        self._url = url
        self._open: tuple[OutputContainer, H264] | None = None
        self._closed = False

    def write(self, result: Result) -> None:
        if self._closed:
            raise SinkError(f"{self._url}: nothing more can be sent, it is closed")
        try:
            if self._open is None:
                # Sent as it comes: not gathered until a buffer of FFmpeg's is full.
                container = av.open(
                    f"{self._url}?pkt_size={_PACKET}", "w", format="mpegts", options={"flush_packets": "1"}
                )
                self._open = container, H264(container, result, USUAL_RATE, prompt=True)
            self._open[1].write(result)
        except _TROUBLE as exc:
            self._closed = True
            if self._open is not None:
                with suppress(*_TROUBLE):
                    self._open[0].close()
            raise SinkError(f"{self._url}: cannot be sent to ({getattr(exc, 'strerror', None) or exc})") from exc

    def close(self) -> None:
        """Ends the stream; what was not sent by now is not missed."""
        if self._open is not None and not self._closed:
            steps: tuple[Any, ...] = (self._open[1].finish, self._open[0].close)
            for step in steps:
                with suppress(*_TROUBLE):
                    step()
        self._closed = True
