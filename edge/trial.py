"""Runs a model first in a process of its own: files that pass a runtime's own checks may crash it all the same.

What ran is remembered in the user's cache folder, by its bytes, the versions of the runtimes, and the processor. What
others say of a file, its card too, is no reason to trust it.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from contextlib import suppress

from edge.cache import cache_folder
from edge.child import ask, death, is_starved
from edge.device import board
from edge.engine.delegates import Delegate, blamed
from edge.engine.runtimes import AUTO, RUNTIMES
from edge.errors import DelegateError, ModelError
from edge.text import one_line
from edge.versions import installed

ANSWER_S = 300.0  # longer than the first run of any model that is of use on a small device


def try_out(
    model: bytes, where: str, *, runtime: str = AUTO, threads: int | None = None, delegate: Delegate | None = None
) -> None:
    """Loads a model and runs it once, in a process that has ended when this returns; not where it ran before.

    With a delegate it is run each time, since devices come and go, and must run.

    A model that the runtime loads but does not run is left to whoever loads it next. So is one that cannot be tried,
    because no process can be started.

    Raises ModelError where the runtime refuses it, which is not asked again: what it refuses once may crash it the next
    time; DelegateError where the delegate does not run it. Also where native code ends the process or does not come
    back, MemoryError where that is most likely for want of memory.
    """
    if delegate is not None:
        with suppress(OSError):
            _runs(model, where, runtime, threads, delegate)
        return
    memory = cache_folder("trials") / _key(model, runtime)
    if memory.is_file():
        return
    with suppress(OSError):
        if _runs(model, where, runtime, threads):
            memory.parent.mkdir(parents=True, exist_ok=True)
            memory.touch()


def _runs(model: bytes, where: str, runtime: str, threads: int | None, delegate: Delegate | None = None) -> bool:
    """Whether a model ran. Raises what `try_out` does, and OSError."""
    by = "its runtime" if runtime == AUTO else runtime
    told = where, runtime, str(threads or 0), str(delegate or "")
    try:
        answer, code = ask("edge.trial_process", *told, data=model, within_s=ANSWER_S)
    except subprocess.TimeoutExpired as exc:
        if delegate is not None:
            raise DelegateError(blamed(delegate, where, f"does not end its first run in {ANSWER_S:.0f} s")) from exc
        raise ModelError(f"{where}: this model hangs {by}: its first run did not end in {ANSWER_S:.0f} s") from exc
    what, _, why = answer.decode(errors="replace").partition(" ")
    if what == "delegate":
        raise DelegateError(one_line(why))
    if what == "refused":
        raise ModelError(one_line(why))
    if answer and delegate is not None and what != "ran":
        raise DelegateError(blamed(delegate, where, "loads it and does not run it"))
    if answer:
        return what == "ran"
    how = death(code, "")
    if is_starved(code):
        raise MemoryError(f"the first run of {where} ended with {how}")
    if delegate is not None:
        raise DelegateError(blamed(delegate, where, f"crashes ({how})"))
    raise ModelError(
        f"{where}: this model crashes {by} ({how}): it is damaged, hostile or not made for it; get it anew, or take "
        "another `runtime`"
    )


def _key(model: bytes, runtime: str) -> str:
    """A hash of all that a first run holds for."""
    versions = {name: installed(row.distribution) for name, row in RUNTIMES.items()}
    parts = (hashlib.sha256(model).hexdigest(), runtime, installed("roadlite"), versions, *board.processor())
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
