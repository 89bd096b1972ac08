"""Finds a Python interpreter that has a runtime, where this one has not: tflite-runtime needs an old one."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys

from edge.engine.runtimes import INTERPRETERS
from edge.errors import UsageError

OLDEST, NEWEST = 11, 14  # minor versions of Python 3 that are looked for on PATH
CHECK_S = 60.0
_NEEDED = "import sys, numpy, cv2, {module}; assert sys.version_info >= (3, 11)"


def parse(entries: list[str]) -> dict[str, str]:
    """Returns {runtime: path} of entries such as `tflite-runtime=/path/to/python`. Raises UsageError."""
    paths = {}
    for entry in entries:
        runtime, _, path = entry.partition("=")
        if runtime not in INTERPRETERS or shutil.which(path) is None:
            raise UsageError(
                f"expected RUNTIME=PATH with one of {', '.join(INTERPRETERS)} and a Python interpreter, got {entry!r}",
                "python",
            )
        paths[runtime] = path
    return paths


def interpreter_for(runtime: str, asked: dict[str, str]) -> str:
    """Returns the interpreter to run a runtime in: the one asked for; "", this one, where it or nobody has it."""
    if runtime in asked:
        return asked[runtime]
    if runtime not in INTERPRETERS or importlib.util.find_spec(INTERPRETERS[runtime].module.partition(".")[0]):
        return ""
    names = ["python3", *(f"python3.{minor}" for minor in range(OLDEST, NEWEST + 1))]
    here = os.path.realpath(sys.executable)
    for path in dict.fromkeys(filter(None, map(shutil.which, names))):
        if os.path.realpath(path) != here and has(path, runtime):
            return path
    return ""


def has(python: str, runtime: str) -> bool:
    """Returns whether an interpreter can run the kit with this runtime."""
    code = _NEEDED.format(module=INTERPRETERS[runtime].module)
    try:
        return not subprocess.run([python, "-c", code], capture_output=True, timeout=CHECK_S, check=False).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False
