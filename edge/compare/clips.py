"""Knows where the frames before a picture lie, over which labels are moved."""

from __future__ import annotations

from pathlib import Path


def clip_of(file: Path) -> Path:
    """Returns the folder with the frames before a picture, oldest first, which exists where they are needed."""
    return file.parent / "clips" / file.stem
