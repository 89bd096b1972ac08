"""Keeps OpenVINO's one Core."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any


@cache
def openvino_core() -> Any:
    """Returns OpenVINO's Core, one for the process and never freed.

    Each has a stack for signal handlers that it takes away with it. Where one of several is freed out of turn or by
    another thread, the next signal, a Ctrl-C too, is handled on memory that is no longer there, and ends the process.
    """
    return importlib.import_module("openvino").Core()
