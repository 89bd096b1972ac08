"""Runs in a process of its own: loads a model and runs it once, and tells whether that went well."""

from __future__ import annotations

import os
import signal
import sys

import numpy as np

from edge.child import end_with_parent, offer_to_the_oom_killer
from edge.engine.delegates import Delegate, parse_delegate
from edge.engine.open import open_engine
from edge.errors import DelegateError, ModelError


def main() -> None:
    """Reads a model from stdin, and from the arguments its name, runtime, threads, delegate and the process that asks;
    writes to stdout `ran`, `not run`, or `refused` or `delegate`, whose fault it is, and why it cannot be loaded.

    Where native code ends the process, nothing is written.
    """
    where, runtime, threads, told, parent = sys.argv[1:]
    end_with_parent(int(parent), signal.SIGKILL)
    offer_to_the_oom_killer()
    answers = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no answer
    try:
        answer = run_once(
            sys.stdin.buffer.read(), where, runtime, int(threads) or None, parse_delegate(told) if told else None
        )
    except Exception:  # noqa: BLE001 - whatever it is, it can be raised where it can be explained
        answer = "not run"
    os.write(answers, answer.encode(errors="replace"))
    os._exit(0)


def run_once(model: bytes, where: str, runtime: str, threads: int | None, delegate: Delegate | None = None) -> str:
    """Loads a model, runs it on a picture of all values, and frees it. Returns what became of it."""
    try:
        engine = open_engine(model, where, runtime=runtime, threads=threads, choose=lambda *_: 0, delegate=delegate)
    except DelegateError as exc:
        return f"delegate {exc}"
    except ModelError as exc:
        return f"refused {exc}"
    spec = engine.input
    levels = np.arange(256) if spec.dtype.kind in "iu" else np.linspace(-1, 1, 256)
    engine.invoke(np.resize(levels, spec.shape).astype(spec.dtype))
    return "ran"
