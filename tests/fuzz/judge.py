"""The rule that every case is held against: done or refused in one line, in time, and nothing half-written."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import av
import cv2

REFUSED = (1, 2, 3)
HARNESS = 98  # exit code where the attack itself failed, or a check did
UNFINISHED = (".part", ".tmp")


def findings(folder: Path, program: str, status: int | None) -> Iterator[str]:
    """Yields what is wrong with a case that ended with a wait status, None where it did not end in time."""
    said = (folder / "stderr").read_text("utf-8", "replace")
    if status is None:
        yield "hang"
        return
    code = -status if status < 0 else status
    if status < 0:
        yield f"died of {signal.Signals(-status).name}"
        return
    if "Traceback (most recent call last)" in said:
        yield "traceback"
    if "unexpected " in said and "(run with --debug to see where)" in said:
        yield "unexpected error"
    if code == HARNESS:
        yield "check failed"
    elif code not in (0, *REFUSED):
        yield f"exit code {code}"
    elif code and not (said.splitlines() or [""])[-1].startswith(f"{program}: "):
        yield "no line that says why"
    yield from unfinished(folder)


def unfinished(folder: Path) -> Iterator[str]:
    """Yields the files and folders in a case's folder that are not what their final names promise."""
    for path in sorted(folder.rglob("*")):
        if path.name.endswith(UNFINISHED) or "roadlite-" in path.name:
            yield f"left {path.name}"
        elif path.is_file() and "out" in path.relative_to(folder).parts and not whole(path):
            yield f"half-written {path.name}"


def whole(path: Path) -> bool:
    """Returns whether a file can be read to its end as what its name says."""
    try:
        match path.suffix:
            case ".png" | ".jpg":
                return cv2.imread(str(path), cv2.IMREAD_UNCHANGED) is not None
            case ".json":
                json.loads(path.read_text("utf-8"))
            case ".mp4":
                return frames_in(path) > 0
            case ".tflite":
                from edge.segmenter import Segmenter

                return Segmenter(path).card is not None
    except (ValueError, av.error.FFmpegError):
        return False
    return path.stat().st_size > 0


def frames_in(path: Path) -> int:
    """Returns how many frames of a film decode. Raises FFmpegError where one does not."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))
