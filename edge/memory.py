"""Recognises how libraries say that memory ran out, and says what to do about it."""

from __future__ import annotations

import contextlib
import ctypes
import errno

from edge.errors import RoadliteError

try:
    import resource
except ImportError:  # not POSIX: nothing tells a limit
    resource = None  # type: ignore[assignment]

# What loaders, kernels and allocators write, in small letters.
_SAYINGS = (
    "cannot allocate memory",
    "failed to map segment",
    "out of memory",
    "insufficient memory",
    "bad_alloc",
    "failed to allocate",
    "unable to allocate",
    "could not allocate",
    "can't start new thread",
    "oom when allocating",
    "memory allocation still failed",
    "memoryerror",
)
_NOT_MEANT = "static tls"  # "cannot allocate memory in static TLS block": libraries loaded in the wrong order


M_ARENA_MAX, M_MMAP_THRESHOLD = -8, -3  # names of settings in malloc.h


def set_malloc(setting: int, value: int) -> None:
    """Changes a setting of glibc's malloc in this process; other C libraries have none."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(setting, value)


def share_one_heap() -> None:
    """Lets all threads of this process take memory from one heap: by itself glibc gives each its own, and what the one
    has freed of pictures serves no other.
    """
    set_malloc(M_ARENA_MAX, 1)


def cause(exc: BaseException | None) -> BaseException | None:
    """Returns what in an exception, or in what it was raised for, is about memory; None where nothing is."""
    about_memory, seen = None, set[int]()
    while exc is not None and id(exc) not in seen:  # `raise error from error` goes back to itself
        seen.add(id(exc))
        says_so = not isinstance(exc, RoadliteError) and says_shortage(str(exc))  # ours name files, and have a cause
        if says_so or _is_shortage(exc):
            about_memory = exc
        exc = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    return about_memory


def _is_shortage(exc: BaseException) -> bool:
    """Whether an exception is one of memory by its kind. Behind a limit some libraries that get none fail without
    saying why, which Python tells as a SystemError.
    """
    if isinstance(exc, SystemError):
        return limit_kb() is not None
    return isinstance(exc, MemoryError) or getattr(exc, "errno", None) == errno.ENOMEM


def says_shortage(text: str) -> bool:
    """Returns whether a library's message is about memory."""
    said = text.lower()
    return _NOT_MEANT not in said and any(saying in said for saying in _SAYINGS)


def limit_kb() -> int | None:
    """Returns the address space that this process may take, in units of 1024 bytes as `ulimit -v`; None where nothing
    limits it.
    """
    if resource is None:
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit // 1024


def way_out() -> str:
    limit, smaller = limit_kb(), "take a smaller model or smaller pictures"
    if limit is None:
        return f"end other programs, or {smaller}"
    return f"this process may take {limit} kB (ulimit -v): allow it more, or {smaller}"


def shortage(reason: object = "") -> str:
    """Returns what is said where memory ran out; `reason` is what a library says, or the exception that it raised."""
    said = " ".join(str(reason).split())
    return f"out of memory{f' ({said:.200})' if said else ''}; {way_out()}"
