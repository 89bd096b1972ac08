"""Runs work in a process of its own, so that the memory it took is the system's again when it is done.

A large graph passes through a dozen copies of itself on its way, and TensorFlow keeps most of them.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from multiprocessing.connection import Connection
from typing import Any, Protocol, TypeVar

from edge.child import end_with_parent
from edge.errors import ConversionError, RoadliteError
from edge.memory import M_MMAP_THRESHOLD, set_malloc
from edge.progress import Track, silent

T = TypeVar("T")
CRASHES = {
    -number: number.name for number in (signal.SIGABRT, signal.SIGSEGV, signal.SIGILL, signal.SIGFPE, signal.SIGBUS)
}
OWN_BLOCK = 1 << 18  # bytes
LARGE = 50_000_000  # bytes of a graph; below it, starting TensorFlow once more costs more than it saves


class Runner(Protocol):
    """Calls `work(*arguments, track=track)` somewhere and returns what it returns or raises."""

    def __call__(self, work: Callable[..., T], *arguments: Any, track: Track = silent) -> T: ...


def runner_for(size_bytes: int) -> Runner:
    """Returns where to work with a graph of a size."""
    return in_a_subprocess if size_bytes > LARGE else in_this_process


def in_this_process(work: Callable[..., T], *arguments: Any, track: Track = silent) -> T:
    """Works here, and gives memory back."""
    from convert.tensorflow import release_memory  # not where a process starts that needs no TensorFlow

    try:
        return work(*arguments, track=track)
    finally:
        release_memory()


def in_a_subprocess(work: Callable[..., T], *arguments: Any, track: Track = silent) -> T:
    """Works in another process; `work` is a function of a module, arguments and result are such as pickle takes.

    Raises ConversionError when the process ends without an answer.
    """
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        with closing(pipe):
            pipe.send((work, arguments))
            answer = _listen(pipe, track)
    except (EOFError, OSError) as exc:
        process.join(5)
        raise ConversionError(f"{work.__name__}: its process ended early ({_ending(process.exitcode)}") from exc
    finally:
        process.kill()
        process.join()
    if isinstance(answer, RoadliteError):
        raise answer
    result: T = answer
    return result


def _ending(exit_code: int | None) -> str:
    if exit_code in CRASHES:
        return f"exit code {exit_code}, {CRASHES[exit_code]}): native code gave up"
    return f"exit code {exit_code}); a large graph may need more memory than there is"


def _listen(pipe: Connection, track: Track) -> Any:
    while True:
        kind, value = pipe.recv()
        if kind == "answer":
            return value
        for _ in track(_ticks(pipe), *value):  # value: what, total
            pass


def _ticks(pipe: Connection) -> Iterator[None]:
    while pipe.recv() == "tick":
        yield


def give_blocks_back() -> None:
    """Lets glibc give a freed block of `OWN_BLOCK` bytes back at once, in this process. By itself it raises that limit
    with every larger block that is freed, up to 32 MB: the kernels of all copies of a graph then lie on a heap that
    hardly ever shrinks. It takes a tenth more time, which is why small graphs go without.
    """
    set_malloc(M_MMAP_THRESHOLD, OWN_BLOCK)


def _serve(pipe: Connection) -> None:
    for number in (signal.SIGINT, signal.SIGHUP):  # which a terminal sends to all
        signal.signal(number, signal.SIG_IGN)  # whoever waits for the answer hears it, and ends this process
    if parent := multiprocessing.parent_process():
        end_with_parent(parent.pid or 0, signal.SIGKILL)  # nobody else would stop TensorFlow
    give_blocks_back()
    work, arguments = pipe.recv()

    def track(items: Iterable[Any], what: str, total: int | None = None) -> Iterator[Any]:
        pipe.send(("track", (what, total)))
        for item in items:
            yield item
            pipe.send("tick")
        pipe.send("end")

    from edge.native_output import quiet_native

    with quiet_native():
        try:
            answer = work(*arguments, track=track)
        except RoadliteError as exc:
            answer = type(exc)(str(exc))  # without the traceback and its cause, which pickle may not take
        pipe.send(("answer", answer))
