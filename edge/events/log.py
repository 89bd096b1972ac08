"""Keeps events as lines of JSON, with a picture of each beginning."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from io import FileIO
from pathlib import Path

import cv2

from edge.data import Result
from edge.errors import SinkError
from edge.events.event import Event, Receiver
from edge.files import writable_folder
from edge.sinks.pictures import save
from edge.sinks.rows import end_of_whole_lines

LOG = "events.jsonl"
_BEGIN = b'{"rule": '  # of every line
_LONGEST = 1 << 20  # bytes of a line: an event has some hundreds


class EventLog(Receiver):
    """Adds each event to the end of `path`, a whole line that is on the disk before anything else goes on; so that it
    goes on over many runs, and can be followed. Half a line that a loss of power has left is cut off first; a whole one
    without an end of line, as editors leave it, gets it.

    With `snapshots`, the picture of each beginning is saved beside it, and the line has its name.

    Raises SinkError where it cannot be written.
    """

    def __init__(self, path: Path, *, snapshots: bool = False) -> None:
        writable_folder(path.parent)
        self._path, self._snapshots = path, snapshots
        try:
            if path.exists() and not path.is_file():
                raise SinkError(f"{path}: cannot be written (it is there and no regular file)")
            self._file = FileIO(path, "a+")
            if not _is_ended(self._file):
                self._file.close()
                raise SinkError(f"{path}: ends with something that is no line of events; choose another name")
        except OSError as exc:
            raise self._refused(exc) from exc

    def take(self, event: Event, slug: str, result: Result) -> None:
        if self._snapshots and event.state == "begun":
            name = f"{file_time(event.clock)}-{slug}.jpg"
            save(self._path.with_name(name), cv2.cvtColor(result.picture, cv2.COLOR_RGB2BGR))
            event = replace(event, snapshot=name)
        line = f"{event.as_json()}\n".encode()
        size = self._file.seek(0, os.SEEK_END)
        try:
            if self._file.write(line) != len(line):
                raise OSError(f"{len(line)} bytes do not fit")
            os.fsync(self._file.fileno())
        except OSError as exc:
            self._file.truncate(size)
            raise self._refused(exc) from exc

    def close(self) -> None:
        self._file.close()

    def _refused(self, exc: OSError) -> SinkError:
        return SinkError(f"{self._path}: cannot be written ({exc.strerror or exc})")


def _is_ended(file: FileIO) -> bool:
    """Makes a file end with a whole line, or empty; False where something else than half an event is at its end."""
    start, end = end_of_whole_lines(file), file.seek(0, os.SEEK_END)
    if end - start > _LONGEST:
        return False
    file.seek(start)
    last = file.read(end - start)
    if _is_whole(last):
        file.write(b"\n")
        return True
    # Some file systems leave noughts where nothing was written.
    is_half = last.startswith(_BEGIN[: len(last)]) or not last.strip(b"\0")
    if is_half and last:
        file.truncate(start)
    return is_half


def _is_whole(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def file_time(clock: str) -> str:
    """Returns a time of day, as events have it, as names of files do: `20261127T213000.125Z`."""
    return clock.replace("-", "").replace(":", "")
