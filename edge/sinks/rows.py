"""Writes a row of numbers for every frame: when it was, how old its labels are, and what is seen."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from edge.data import Frame, Result, SourceInfo
from edge.errors import SinkError
from edge.files import ROWS, writable_folder
from edge.leftovers import KEPT, UnfinishedFile, end_early, kept_notice, recovered
from edge.shares import Shares
from edge.sinks.base import Sink

_DIGITS = 6  # of a share: a pixel of a large picture still counts
_BLOCK = 1 << 16  # bytes that are searched at a time for the end of the last line


class FrameClock:
    """Tells when frames of a source were, in seconds since the first: of a live one as they came, of others as the
    source tells time; None for pictures, which have no time.
    """

    def __init__(self, info: SourceInfo) -> None:
        self._live, self._rate = info.live, info.rate
        self._first_s: float | None = None

    def time_s(self, frame: Frame) -> float | None:
        if self._live:
            if self._first_s is None:
                self._first_s = frame.t_capture_s
            return frame.t_capture_s - self._first_s
        if frame.time_s is not None:
            return frame.time_s
        return float(frame.index / self._rate) if self._rate else None


@dataclass(frozen=True, slots=True)
class Row:
    """What is written of a frame."""

    index: int
    name: str | None  # of its own file
    time_s: float | None  # as `FrameClock` tells it
    clock: str  # when the row was made: UTC, ISO 8601 in milliseconds
    latency_ms: float  # from when the frame was there until the row was made
    shares: Mapping[str, float]  # class -> share of the picture, 0..1
    regions: Mapping[str, Mapping[str, float]]  # region -> class -> share of the region

    def as_json(self) -> str:
        """Returns the row as one line of JSON."""
        name = {} if self.name is None else {"name": self.name}
        regions = {"regions": self.regions} if self.regions else {}
        held = {"index": self.index, **name, "time_s": self.time_s, "clock": self.clock}
        return json.dumps({**held, "latency_ms": self.latency_ms, "shares": self.shares, **regions})

    def as_csv(self, *, head: bool = False) -> str:
        """Returns the row, or the names of its columns, as a line of CSV: a region's are called REGION/CLASS."""
        own = {"index": self.index, "name": self.name, "time_s": self.time_s, "clock": self.clock}
        columns = [*own.items(), ("latency_ms", self.latency_ms), *self.shares.items()]
        for region, shares in self.regions.items():
            columns += [(f"{region}/{name}", share) for name, share in shares.items()]
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow([name if head else value for name, value in columns])
        return line.getvalue()


class RowFile(Sink):
    """A sink that writes a row for every frame to `path`: lines of JSON, or CSV with the names of the columns above.

    Until `close` it is an unfinished file beside it, to which every row is added at once. When it cannot go on (the
    disk is full), the whole rows get the final name, and `write` raises. What killed processes have left in this folder
    becomes `NAME-recovered.jsonl`, which `notice` says.

    Raises SinkError where the folder cannot be written to.
    """

    def __init__(self, path: Path, info: SourceInfo, shares: Shares) -> None:
        writable_folder(path.parent)
        if path.is_dir():
            raise SinkError(f"{path}: cannot be written, there is a folder of that name")
        self._path, self._clock, self._shares = path, FrameClock(info), shares
        self._csv = path.suffix.lower() == ".csv"
        self._columns = shares.regions if self._csv else None  # a table has those of its head all the way down
        self._file: UnfinishedFile | None = None
        self._closed = False
        self.notice = kept_notice(recovered(path.parent, ROWS, cut_to_whole_lines))

    def write(self, result: Result) -> None:
        if self._closed:
            raise SinkError(f"{self._path}: nothing more can be written, the file is closed")
        row = self._row(result)
        try:
            if self._file is None:
                self._file = UnfinishedFile(self._path)
                if self._csv:
                    self._file.write(f"{row.as_csv(head=True)}\n".encode())
            self._file.write(f"{row.as_csv() if self._csv else row.as_json()}\n".encode())
        except OSError as exc:
            raise self._ended(exc) from exc

    def close(self) -> None:
        if self._file is not None and not self._closed:
            try:
                os.fsync(self._file.file.fileno())
                self._file.finish()
            except (OSError, ValueError) as exc:
                raise self._ended(exc) from exc
            self.written = str(self._path)
        self._closed = True

    def _row(self, result: Result) -> Row:
        frame, shares = result.frame, self._shares
        regions = shares.regions if self._columns is None else self._columns
        time_s = self._clock.time_s(frame)
        return Row(
            frame.index,
            frame.name,
            None if time_s is None else round(time_s, 4),
            utc_now(),
            round((time.perf_counter() - frame.t_capture_s) * 1e3, 2),
            _rounded(shares.of(result.labels)),
            {name: _rounded(shares.of(result.labels, name)) for name in regions},
        )

    def _ended(self, exc: Exception) -> SinkError:
        """Finishes what is whole."""
        self._closed = True
        why, kept = end_early(self._file, cut_to_whole_lines, exc)
        if kept:
            self.written = str(self._path)
        return SinkError(f"{self._path}: cannot be written ({why}){KEPT if kept else ''}")


def utc_now() -> str:
    """Returns the time of day, UTC, as ISO 8601 in milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def cut_to_whole_lines(file: FileIO) -> bool:
    """Cuts a file after its last whole line; False where it has none."""
    whole = end_of_whole_lines(file)
    if whole:
        file.truncate(whole)
    return whole > 0


def end_of_whole_lines(file: FileIO) -> int:
    """Returns how many bytes the whole lines of a file have."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - _BLOCK)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _rounded(shares: Mapping[str, float]) -> dict[str, float]:
    return {name: round(share, _DIGITS) for name, share in shares.items()}
