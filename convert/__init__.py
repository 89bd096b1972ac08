"""Turns frozen DeepLab graphs into verified TensorFlow Lite models."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from edge.engine.runtimes import RUNTIMES

if TYPE_CHECKING:
    from convert.conversion import Outcome
    from convert.entry import convert
    from convert.verdict import Verdict

os.environ.update(RUNTIMES["tensorflow"].variables)  # before Keras, say, imports TensorFlow

__all__ = ["Outcome", "Verdict", "convert"]
_HOMES = {"Outcome": "convert.conversion", "Verdict": "convert.verdict", "convert": "convert.entry"}


def __getattr__(name: str) -> Any:
    """Imports a name when it is asked for, since TensorFlow takes seconds."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
