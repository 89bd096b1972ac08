"""Importing a runtime, and what is said when that fails."""

from __future__ import annotations

import importlib
from typing import Any

from edge import memory
from edge.errors import RuntimeMissing

# runtime -> what pip installs
PACKAGES = {
    "litert": "ai-edge-litert",
    "tflite-runtime": '"roadlite[tflite-runtime]"',
    "tensorflow": "tensorflow",
    "openvino": '"roadlite[openvino]"',
    "openvino-bf16": '"roadlite[openvino]"',
}


def import_runtime(runtime: str, module: str, package: str = "") -> Any:
    """A module that a runtime needs, from `package` where that is not the runtime's own.

    Raises RuntimeMissing with the way out, MemoryError where it is there and does not fit.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, AttributeError, OSError, RuntimeError, SystemError, TypeError) as exc:
        if memory.cause(exc):
            raise MemoryError(line(exc)) from exc
        # All but the first: one built for another numpy, protobuf or C library.
        cure = f"pip install {package or PACKAGES[runtime]}"
        raise RuntimeMissing(f"{runtime} cannot be imported ({line(exc)}): {cure}") from exc


def line(exc: Exception) -> str:
    """What a library says, in one line of bearable length."""
    return f"{' '.join(str(exc).split()):.200}" or type(exc).__name__
