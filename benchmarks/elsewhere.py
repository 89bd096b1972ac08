"""tflite-runtime in an interpreter of its own: it wants Python 3.11 at most and numpy 1."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from networks import folder
from scoreboard import say

from edge.compare.pythons import has, interpreter_for
from edge.compare.rows import Candidate, ModelOptions, Row
from edge.compare.worker import Worker

RUNTIME, PYTHON = "tflite-runtime", "python3.11"
REQUIREMENTS = Path(__file__).with_name("requirements-tflite-runtime.txt")


class Elsewhere:
    """A model in another process, which times its invokes itself. Raises RuntimeError for what fails there."""

    def __init__(self, row: Row, worker: Worker) -> None:
        self._row, self._worker = row, worker

    def seconds(self, runs: int) -> list[float]:
        times = self._worker.invoke(0.0, runs)
        if self._row.error:
            raise RuntimeError(self._row.error)
        return list(times)


def tflite_ways(
    files: dict[str, Path], threads: int, size_hw: tuple[int, int], stack: ExitStack
) -> dict[str, Elsewhere]:
    """The kit's files on tflite-runtime, by name; their processes end with `stack`."""
    python = interpreter()
    if not python:
        return {}
    pictures = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    np.save(pictures / "0.npy", np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8))
    ways = {}
    for recipe, path in files.items():
        row = Row(Candidate(path.resolve(), RUNTIME, threads, python))
        worker = stack.enter_context(Worker(row))
        worker.ready()
        loaded = worker.load(pictures, ModelOptions())
        if loaded is None:
            say(f"without {RUNTIME} {recipe}: {row.error}")
            continue
        ways[f"{RUNTIME} {loaded.runtime_version}, the kit's {recipe} file"] = Elsewhere(row, worker)
    return ways


def interpreter() -> str:
    """One that has tflite-runtime: on PATH, or made in the benchmarks' folder; "" where there can be none."""
    found = interpreter_for(RUNTIME, {})
    if found:
        return found
    home = folder().parent / RUNTIME
    python = str((home / "bin" / "python").absolute())
    if has(python, RUNTIME):
        return python
    if shutil.which(PYTHON) is None:
        say(f"without {RUNTIME}: it needs {PYTHON}, which is not here")
        return ""
    say(f"installing {RUNTIME} for {PYTHON} into {home}")
    try:
        subprocess.run([PYTHON, "-m", "venv", "--clear", str(home)], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(REQUIREMENTS)]
        subprocess.run(install, check=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        say(f"without {RUNTIME}: {exc}")
        return ""
    return python
