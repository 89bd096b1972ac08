"""Where something was measured."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from edge.device import board


def environment() -> dict[str, Any]:
    """Board, system, processor and versions, as JSON can hold them."""
    memory = board.memory()
    packages = ("roadlite", "numpy", "opencv-python-headless", "opencv-python", "psutil")
    return {
        "board": board.board_name(),
        "os": board.os_name() or platform.platform(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cpu": board.cpu_name(),
        "cpu_features": list(board.cpu_features()),
        "cores": os.cpu_count(),
        "max_clock_mhz": board.max_clock_mhz(),
        "governor": board.governor(),
        "memory_mb": round(memory.total_mb) if memory else None,
        "python": platform.python_version(),
        "versions": {name: found for name in packages if (found := version(name))},
    }


def version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def sha256(path: Path) -> str | None:
    """Of a file; None where it cannot be read, or is a pipe or a device, which may have no end."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
