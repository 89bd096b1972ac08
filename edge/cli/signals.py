"""Ends a run between two frames instead of in the middle of one, on Ctrl-C and SIGTERM."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_S = 1.0


@contextmanager
def ending_gently(until: threading.Event) -> Iterator[None]:
    """Sets `until` at the first signal, and raises KeyboardInterrupt when the block is left.

    An interrupt that strikes while FFmpeg writes through Python would be lost, and what it wrote with it. Where the
    block is not left within a second, because something hangs, or at the second signal, it is interrupted after all.
    """
    if threading.current_thread() is not threading.main_thread():  # signals do not come here
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    caught = False

    def now(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    def gently(signum: int, frame: object) -> None:
        nonlocal caught
        caught = True
        until.set()
        for number in (*signals, signal.SIGALRM):
            signal.signal(number, now)
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
        raise KeyboardInterrupt
