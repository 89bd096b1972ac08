"""Importing a runtime, and what is said when that fails."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from edge import memory
from edge.errors import RuntimeMissing
from edge.requirements import from_folder, install

PACKAGES = {
    "litert": "ai-edge-litert",
    "tensorflow": "tensorflow",
    "openvino": "openvino",
    "openvino-bf16": "openvino",
}
"""Runtime -> what pip installs."""


def import_runtime(runtime: str, module: str, of: str = "") -> Any:
    """A module that a runtime needs, `of` another runtime where it is not its own.

    Raises RuntimeMissing with the way out, MemoryError where it is there and does not fit.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, AttributeError, OSError, RuntimeError, SystemError, TypeError) as exc:
        if memory.cause(exc):
            raise MemoryError(line(exc)) from exc
        # All but the first: one built for another numpy, protobuf or C library.
        raise RuntimeMissing(f"{runtime} cannot be imported ({line(exc)}): {cure(of or runtime)}") from exc


def cure(runtime: str) -> str:
    """The command that installs a runtime."""
    if runtime == "tflite-runtime":  # the last of its versions was built for numpy 1
        return f"in an environment of its own, with Python 3.11: {from_folder(runtime)}"
    return install(PACKAGES[runtime])


@cache
def openvino_core() -> Any:
    """OpenVINO's Core, one for the process and never freed.

    Each has a stack for signal handlers that it takes away with it. Where one of several is freed out of turn or by
    another thread, the next signal, a Ctrl-C too, is handled on memory that is no longer there, and ends the process.
    """
    return importlib.import_module("openvino").Core()


def line(exc: Exception) -> str:
    """What a library says, in one line of bearable length."""
    return f"{' '.join(str(exc).split()):.200}" or type(exc).__name__
