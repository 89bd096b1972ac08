"""Tells systemd how the service is, as sd_notify(3) describes it: one datagram to the socket it names."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from edge.data import Result
from edge.sinks.base import Sink

_STATUS_EVERY_S = 10.0


class SystemdNotifier(Sink):
    """A sink that is ready with its first result and alive while results come; it does nothing without systemd.

    The watchdog is fed at half its time, and only by results: a camera that hangs starves it, and systemd starts the
    service again. `status` is what `systemctl status` shows.
    """

    def __init__(self, status: Callable[[], str], environment: Mapping[str, str] = os.environ) -> None:
        self._status = status
        self._address = _address(environment)
        self._every_s = _every_s(environment)
        self._told_s = float("-inf")

    def write(self, result: Result) -> None:
        now = time.monotonic()
        if self._address is None or now < self._told_s + self._every_s:
            return
        ready = "READY=1\n" if self._told_s < 0 else ""
        self._told_s = now
        self.tell(f"{ready}WATCHDOG=1\nSTATUS={self._status()}")

    def close(self) -> None:
        self.tell("STOPPING=1")

    def tell(self, message: str) -> None:
        """Sends a message, or does not where nobody listens: a service does not fail for that."""
        if self._address is None:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.connect(self._address)
            sender.send(message.encode())


def _address(environment: Mapping[str, str]) -> str | None:
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return None
    return "\0" + address[1:] if address.startswith("@") else address


def _every_s(environment: Mapping[str, str]) -> float:
    """Half of the watchdog's time where it is this process that it watches."""
    micros = environment.get("WATCHDOG_USEC", "")
    if not micros.isdecimal() or environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return _STATUS_EVERY_S
    return min(int(micros) / 2e6, _STATUS_EVERY_S)
