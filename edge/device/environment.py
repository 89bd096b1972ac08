"""Tells where something was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass

from edge.device import board
from edge.versions import installed

PACKAGES = ("roadlite", "numpy", "opencv-python-headless", "opencv-python", "psutil")


@dataclass(frozen=True, slots=True)
class Environment:
    """Board, system, processor and versions; None where the machine does not tell."""

    board: str | None
    os: str
    kernel: str
    architecture: str
    cpu: str | None
    cpu_features: tuple[str, ...]
    cores: int | None
    max_clock_mhz: float | None
    governor: str | None
    memory_mb: int | None
    python: str
    versions: Mapping[str, str]  # of the packages that are installed


def environment() -> Environment:
    """Returns the environment of this process."""
    memory = board.memory()
    return Environment(
        board.board_name(),
        board.os_name() or platform.platform(),
        platform.release(),
        platform.machine(),
        board.cpu_name(),
        board.cpu_features(),
        os.cpu_count(),
        board.max_clock_mhz(),
        board.governor(),
        round(memory.total_mb) if memory else None,
        platform.python_version(),
        {name: version for name in PACKAGES if (version := installed(name))},
    )
