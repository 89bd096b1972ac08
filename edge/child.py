"""Starts Python processes that do work of ours, and explains how they ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.leftovers import TemporaryFolder
from edge.memory import limit_kb, says_shortage, shortage

_START = "import sys; sys.path[:1] = {paths!r}; from {module} import main; main()"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def command(module: str, *, python: str = "", paths: Sequence[str] = ()) -> list[str]:
    """Returns what starts `main()` of a module, with this interpreter or `python`.

    Modules come from `paths`, or from where this process has them.
    """
    found = [path or os.getcwd() for path in paths or sys.path]
    return [python or sys.executable, "-c", _START.format(paths=found, module=module)]


def ask(module: str, *arguments: str, data: bytes = b"", within_s: float) -> tuple[bytes, int]:
    """Runs `main()` of a module in a process of its own, and returns what that writes to stdout, and its exit code.

    It gets `data` on stdin, the arguments, and as the last of them this process' id, for `end_with_parent`. When this
    returns or raises it has ended, and what it left among the temporary files is gone.

    Raises subprocess.TimeoutExpired, and OSError where it cannot be started.
    """
    words = [*command(module), *arguments, str(os.getpid())]
    with contextlib.ExitStack() as stack:
        env = os.environ | _scratch(stack)
        process = stack.enter_context(
            subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env)
        )
        try:
            answer, _ = process.communicate(data, within_s)
        finally:
            process.kill()  # also when this one is interrupted: it may never end by itself
    return answer, process.returncode


def _scratch(stack: contextlib.ExitStack) -> dict[str, str]:
    """Where a process keeps its files, which one that crashes leaves behind; nothing where no folder can be made."""
    with contextlib.suppress(OSError):
        return {"TMPDIR": stack.enter_context(TemporaryFolder())}
    return {}


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
