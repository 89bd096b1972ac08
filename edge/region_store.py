"""Keeps the regions of a run in their file, to which more are added while it runs."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar

from edge.errors import UsageError
from edge.files import write_whole
from edge.regions import Corners, Polygon, RegionsFile, checked, read_regions

_P = TypeVar("_P", bound=Polygon)
MOST_REGIONS = 50  # each is counted in every frame


class RegionStore:
    """The regions of a run, and the file that holds them; None where they are not kept.

    It is safe from any thread. Raises UsageError for a region that makes no sense.
    """

    def __init__(
        self,
        path: Path | None,
        regions: Mapping[str, Polygon],
        use: Callable[[Mapping[str, Corners]], None],
        watched: Collection[str] = (),
    ) -> None:
        """`use` gets all regions that are counted whenever one was added; those that rules watch are `watched`."""
        self._path, self._use, self._watched = path, use, watched
        self._regions: Mapping[str, Corners] = {name: checked(name, polygon) for name, polygon in regions.items()}
        self._counted = self._regions  # with those that were removed: tables have columns for them
        self._lock = threading.Lock()

    @property
    def regions(self) -> Mapping[str, Corners]:
        """Those that were not removed; another mapping whenever they change."""
        return self._regions

    @property
    def file(self) -> str:
        """The name of the file, without its folder; empty where there is none."""
        return "" if self._path is None else self._path.name

    def add(self, name: str, corners: Corners) -> None:
        """Writes a region to the file, in place of the one that has the name, and has it counted.

        What else the file holds by now stays there. Raises UsageError where there is no file, it cannot be read, or
        there are too many regions; SinkError where it cannot be written.
        """
        with self._lock:
            held = self._held()
            regions, counted = {**held.regions, name: corners}, {**self._counted, name: corners}
            if max(len(regions), len(counted)) > MOST_REGIONS:
                raise UsageError(
                    f"expected at most {MOST_REGIONS} regions, with those that were removed since the start; this "
                    "would be one more"
                )
            self._write(RegionsFile(regions, held.rules))
            self._regions, self._counted = {**self._regions, name: corners}, counted
            self._use(counted)

    def remove(self, name: str) -> None:
        """Takes a region out of the file and of `regions`. What counts it goes on until the run ends.

        Raises UsageError where there is no file, it cannot be read, no region has this name, or a rule watches it,
        which could not be read at the next start; SinkError where the file cannot be written.
        """
        with self._lock:
            held = self._held()
            if name not in held.regions and name not in self._regions:
                raise UsageError(f"expected the name of a region, got {name!r}: there is none of that name")
            if name in self._watched:
                raise UsageError(f"region {name!r}: expected one that no rule watches; take its rule out first")
            self._write(RegionsFile(_without(held.regions, name), held.rules))
            self._regions = _without(self._regions, name)

    def _held(self) -> RegionsFile:
        """What the file has by now. Raises UsageError where there is none, or it cannot be read."""
        if self._path is None:
            raise UsageError("this run has no file for regions", "regions")
        return read_regions(self._path) if self._path.exists() else RegionsFile(self._regions)

    def _write(self, held: RegionsFile) -> None:
        assert self._path is not None
        write_whole(Path(os.path.realpath(self._path)), _as_json(held).encode(), as_before=True)


def _without(regions: Mapping[str, _P], name: str) -> dict[str, _P]:
    return {other: polygon for other, polygon in regions.items() if other != name}


def _as_json(held: RegionsFile) -> str:
    """A file of regions that is pleasant to edit: each region and each rule in a line of its own."""
    named = [f"{_text(name)}: {_text([list(corner) for corner in polygon])}" for name, polygon in held.regions.items()]
    parts = [f' "regions": {{\n  {_lines(named)}\n }}']
    if held.rules:
        parts.append(f' "rules": [\n  {_lines([_text(rule) for rule in held.rules])}\n ]')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _lines(parts: list[str]) -> str:
    return ",\n  ".join(parts)
