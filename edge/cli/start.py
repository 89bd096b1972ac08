"""Starts the programs: it is light, so that it can still speak where the rest of them cannot be loaded.

Where a limit on memory is set (`ulimit -v`), native code dies of it without a word: OpenBLAS when its threads get no
buffers, TensorFlow's converter when an allocation fails. There the work is done in a child, and its end explained.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys

from edge import memory
from edge.child import end_with_parent
from edge.cli import main as cli
from edge.cli.main import fail, say
from edge.cli.signals import ENDING
from edge.errors import RuntimeMissing
from edge.native_output import quiet_native


def run_model() -> int:
    return start("run-model", "edge.cli.run_model")


def compare_models() -> int:
    return start("compare-models", "edge.cli.compare_models")


def evaluate_model() -> int:
    return start("evaluate-model", "edge.cli.evaluate_model")


def check_device() -> int:
    return start("check-device", "edge.cli.check_device")


def label_archive() -> int:
    return start("label-archive", "edge.cli.label_archive")


def start(prog: str, module: str) -> int:
    """Runs `main` of a module, and returns the exit code."""
    watched = memory.limit_kb() is not None and hasattr(signal, "sigwaitinfo")
    if not watched or "NOTIFY_SOCKET" in os.environ:  # systemd listens to the process that it started
        return _work(prog, module)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*ENDING, signal.SIGCHLD})
    heard, spoken = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child:
        os.close(spoken)
        return _watch(prog, child, heard)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    cli.exit_code_pipe = spoken
    end_with_parent(parent)  # nobody is to go on when the one who speaks is killed
    try:
        code = _work(prog, module)
    except SystemExit as exc:  # rich's, when nobody reads its output any more
        code = exc.code if isinstance(exc.code, int) else 1
    cli.leave(code)


def _work(prog: str, module: str) -> int:
    debug = "--debug" in sys.argv[1:]
    try:
        with contextlib.nullcontext() if debug else quiet_native():
            main = importlib.import_module(module).main
    except ImportError as exc:
        missing = RuntimeMissing(f"cannot be started ({_first(exc)}); check-device says what fixes it")
        missing.__cause__ = exc
        return fail(prog, missing, debug=debug)
    except (Exception, KeyboardInterrupt) as exc:  # noqa: BLE001 - as in `edge.cli.main.run`
        return fail(prog, exc, debug=debug)
    code: int = main()
    return code


def _first(exc: BaseException) -> BaseException:
    """What an exception goes back to: numpy wraps it into a page of advice."""
    return _first(exc.__cause__) if exc.__cause__ else exc


def _watch(prog: str, child: int, heard: int) -> int:
    """Waits for the child and passes signals on; what the keyboard sends, it has got itself."""
    status = None
    while status is None:
        came = signal.sigwaitinfo({*ENDING, signal.SIGCHLD})
        if came.si_signo == signal.SIGCHLD:
            ended, wait_status = os.waitpid(child, os.WNOHANG)
            status = wait_status if ended else None
        elif came.si_code <= 0 or came.si_signo == signal.SIGHUP:  # from a process, or to who leads the terminal alone
            os.kill(child, came.si_signo)
    os.set_blocking(heard, False)
    with contextlib.suppress(BlockingIOError):  # somebody that it left behind still holds the other end
        if told := os.read(heard, 16):
            return told[-1]
    code = os.waitstatus_to_exitcode(status)
    if -code in ENDING:
        return 128 - code
    how = f"with {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    say(f"{prog}: {memory.shortage(f'native code ended it {how}')}")
    return 1
