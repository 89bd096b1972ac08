"""Ends a command so that its outputs are finished: on Ctrl-C, on SIGTERM, and when its terminal is closed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_S = 1.0
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ending_like_interrupt() -> Iterator[None]:
    """Makes SIGTERM and SIGHUP end the block as Ctrl-C does, so that outputs are finished."""

    def interrupt(signum: int, frame: object) -> None:
        _hear_no_hangup()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _heeded() if number != signal.SIGINT}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ending_gently(until: threading.Event) -> Iterator[None]:
    """Sets `until` at the first signal, and raises KeyboardInterrupt when the block is left.

    An interrupt that strikes while FFmpeg writes through Python would be lost, and what it wrote with it. Where the
    block is not left within a second, because something hangs, or at the second signal, it is interrupted after all.
    """
    signals = _heeded()
    if not signals:
        yield
        return
    caught = False

    def now(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    def gently(signum: int, frame: object) -> None:
        nonlocal caught
        caught = True
        until.set()
        for number in (*signals, signal.SIGALRM):
            signal.signal(number, now)
        _hear_no_hangup()
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)

    before = {number: signal.signal(number, gently) for number in signals}
    before[signal.SIGALRM] = signal.getsignal(signal.SIGALRM)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
        if caught:
            _hear_no_hangup()
    if caught:
        raise KeyboardInterrupt


def _heeded() -> list[signal.Signals]:
    """Returns the signals that end this process: those that it was started to ignore, as by nohup, stay ignored."""
    if threading.current_thread() is not threading.main_thread():  # signals do not come here
        return []
    return [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]


def _hear_no_hangup() -> None:
    """Ignores SIGHUP from now on: behind the first signal it says nothing new, and would interrupt what is finished.

    A terminal that is closed sends it twice, once through the shell, and systemd sends it behind SIGTERM.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
