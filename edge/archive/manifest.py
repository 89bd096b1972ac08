"""Keeps the record of an archive: one line of JSON for each film, as docs/fleet.md describes them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from edge.archive.storage import is_local, put, read, settle, told
from edge.errors import SinkError
from edge.leftovers import TemporaryFolder

NAME = "manifest.jsonl"
SCHEMA = 1
State = Literal["done", "failed", "set aside"]
_OFTEN_S = 5.0  # storage that cannot append gets the whole file, this seldom


@dataclass(frozen=True, slots=True)
class Record:
    """What became of a film."""

    input: str
    identity: Mapping[str, object]  # size in bytes and version of the file, as its storage tells them
    state: State
    model: str
    model_sha256: str
    options: Mapping[str, object]
    frames: int = 0
    pieces: int = 0
    seconds: float = 0.0  # of work, on all workers together
    workers: tuple[str, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""  # why it failed

    def is_same_work(self, other: Record) -> bool:
        """Returns whether two records are of the same file, model and options."""
        names = ("input", "identity", "model_sha256", "options")
        return all(_plain(getattr(self, name)) == _plain(getattr(other, name)) for name in names)


def _plain(value: object) -> Any:
    return json.loads(json.dumps(value))


class Manifest:
    """The records of the films of an archive, the last one of each."""

    def __init__(self, folder: str) -> None:
        """Reads what is there. Raises SinkError, also where a line is no record."""
        self.address = f"{folder}/{NAME}"
        self._records: dict[str, Record] = {}
        self._made: dict[str, set[str]] = {}  # film -> the outputs of all its records
        self._lines: list[str] = []
        self._written_s, self._waiting = 0.0, False
        data = read(self.address)
        for number, line in enumerate((data or b"").decode(errors="replace").splitlines(), start=1):
            self._load(number, line)

    def _load(self, number: int, line: str) -> None:
        with suppress(json.JSONDecodeError):  # a line that a full disk or a killed process has cut is lost
            content = json.loads(line)
            try:
                if content.pop("schema") != SCHEMA:
                    raise SinkError(f"{self.address}: line {number} is of another version of Roadlite; move it away")
                record = Record(**{**content, "workers": tuple(content["workers"])})
            except (KeyError, TypeError, AttributeError) as exc:
                raise SinkError(f"{self.address}: line {number} is no record of a film; move the file away") from exc
            self._remember(record)
            self._lines.append(line)

    def _remember(self, record: Record) -> None:
        self._records[record.input] = record
        self._made.setdefault(record.input, set()).update(record.outputs.values())

    @property
    def is_waiting(self) -> bool:
        """Whether there are records that are not written yet."""
        return self._waiting

    def made(self, film: str) -> frozenset[str]:
        """Returns the addresses of all that was ever made of a film, whatever became of it later."""
        return frozenset(self._made.get(film, ()))

    def of(self, film: str) -> Record | None:
        """Returns the last record of a film."""
        return self._records.get(film)

    def add(self, record: Record) -> None:
        """Adds a record. It is on the disk when this returns; elsewhere within seconds, or when `close` returns."""
        self._remember(record)
        line = json.dumps({"schema": SCHEMA, **asdict(record)})
        self._lines.append(line)
        self._waiting = True
        if is_local(self.address):
            self._append(line)
        elif time.monotonic() - self._written_s > _OFTEN_S:
            self.close()

    def _append(self, line: str) -> None:
        with told(self.address, SinkError):
            path = Path(self.address)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab+") as file:
                ends = file.tell() == 0 or (file.seek(-1, os.SEEK_END), file.read(1))[1] == b"\n"
                file.write((b"" if ends else b"\n") + line.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            settle(path.parent)
        self._waiting = False

    def close(self) -> None:
        """Writes what is not written yet. Raises SinkError."""
        if not self._waiting:
            return
        with TemporaryFolder() as folder:
            path = Path(folder, NAME)
            path.write_text("".join(f"{line}\n" for line in self._lines))
            put(path, self.address)
        self._written_s, self._waiting = time.monotonic(), False
