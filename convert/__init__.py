"""Turns frozen DeepLab graphs into verified TensorFlow Lite models."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edge.engine.runtimes import RUNTIMES
from edge.on_demand import import_on_demand

if TYPE_CHECKING:
    from convert.conversion import Outcome
    from convert.entry import convert
    from convert.verdict import Verdict

os.environ.update(RUNTIMES["tensorflow"].variables)  # before Keras, say, imports TensorFlow

__all__ = ["Outcome", "Verdict", "convert"]
_HOMES = {"Outcome": "convert.conversion", "Verdict": "convert.verdict", "convert": "convert.entry"}

# When it is asked for, since TensorFlow takes seconds.
__getattr__, __dir__ = import_on_demand(__name__, _HOMES)
