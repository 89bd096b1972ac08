"""Starts Python processes that do work of ours, and explains how they ended."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.memory import limit_kb, says_shortage, shortage

_START = "import sys; sys.path[:1] = {paths!r}; from {module} import main; main()"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def command(module: str, *, python: str = "", paths: Sequence[str] = ()) -> list[str]:
    """Returns what starts `main()` of a module, with this interpreter or `python`.

    Modules come from `paths`, or from where this process has them.
    """
    found = [path or os.getcwd() for path in paths or sys.path]
    return [python or sys.executable, "-c", _START.format(paths=found, module=module)]


def end_with_parent(parent: int, how: signal.Signals = signal.SIGTERM) -> None:
    """Lets the kernel end this process with its parent, also where that is killed; without Linux it does nothing.

    `parent` is its process id: one that has ended before the kernel was told ends this process at once.
    """
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, how)
    if os.getppid() != parent:
        os.kill(os.getpid(), how)


def offer_to_the_oom_killer() -> None:
    """Where memory runs out, the kernel is to end this process and not its parent."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
    except OSError:
        return  # no Linux, or not allowed: the kernel decides


def is_starved(code: int) -> bool:
    """Returns whether memory most likely ran out in a process that ended with this code."""
    return code == -signal.SIGKILL or (code < 0 and limit_kb() is not None)  # native code dies of what it is refused


def death(code: int, said: str) -> str:
    """Returns what an exit code and the last words mean."""
    if code < 0:
        name = signal.Signals(-code).name
        return f"{name}, most likely because memory ran out" if is_starved(code) else name
    if says_shortage(said):
        return shortage(said)
    return f"exit code {code}: {said:.200}" if said else f"exit code {code}"
