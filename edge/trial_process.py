"""Runs in a process of its own: loads a model and runs it once, and tells whether that went well."""

from __future__ import annotations

import os
import signal
import sys

import numpy as np

from edge.child import end_with_parent, offer_to_the_oom_killer
from edge.engine.open import open_engine


def main() -> None:
    """Reads a model from stdin, and from the arguments runtime, threads and the process that asks; writes `ran` or
    `refused` to stdout.

    Where native code ends the process, nothing is written.
    """
    end_with_parent(int(sys.argv[3]), signal.SIGKILL)
    offer_to_the_oom_killer()
    answers = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no answer
    try:
        run_once(sys.stdin.buffer.read(), sys.argv[1], int(sys.argv[2]) or None)
        answer = b"ran"
    except Exception:  # noqa: BLE001 - whatever it is, it can be raised where it can be explained
        answer = b"refused"
    os.write(answers, answer)
    os._exit(0)


def run_once(model: bytes, runtime: str, threads: int | None) -> None:
    """Loads a model, runs it on a picture of all values, and frees it."""
    engine = open_engine(model, "a trial", runtime=runtime, threads=threads, choose=lambda *_: 0)
    spec = engine.input
    levels = np.arange(256) if spec.dtype.kind in "iu" else np.linspace(-1, 1, 256)
    engine.invoke(np.resize(levels, spec.shape).astype(spec.dtype))
