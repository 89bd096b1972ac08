"""Keeps the regions of a run in their file, to which more are added while it runs."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from edge.errors import UsageError
from edge.files import write_whole
from edge.regions import Corners, Polygon, RegionsFile, checked, read_regions

MOST_REGIONS = 50  # each is counted in every frame


class RegionStore:
    """The regions that a run counts, and the file that holds them; None where they are not kept.

    It is safe from any thread. Raises UsageError for a region that makes no sense.
    """

    def __init__(
        self, path: Path | None, regions: Mapping[str, Polygon], use: Callable[[Mapping[str, Corners]], None]
    ) -> None:
        """`use` gets all regions whenever one was added."""
        self._path, self._use = path, use
        self._regions: Mapping[str, Corners] = {name: checked(name, polygon) for name, polygon in regions.items()}
        self._lock = threading.Lock()

    @property
    def regions(self) -> Mapping[str, Corners]:
        """Those that are counted; another mapping whenever one was added."""
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
        if self._path is None:
            raise UsageError("this run has no file for regions", "regions")
        with self._lock:
            held = read_regions(self._path) if self._path.exists() else RegionsFile(self._regions)
            regions = {**held.regions, name: corners}
            if max(len(regions), len({**self._regions, name: corners})) > MOST_REGIONS:
                raise UsageError(f"expected at most {MOST_REGIONS} regions, this would be one more")
            write_whole(Path(os.path.realpath(self._path)), _as_json(regions, held.rules).encode(), as_before=True)
            self._regions = {**self._regions, name: corners}
            self._use(self._regions)


def _as_json(regions: Mapping[str, Polygon], rules: tuple[str, ...]) -> str:
    """A file of regions that is pleasant to edit: each region and each rule in a line of its own."""
    named = [f"{_text(name)}: {_text([list(corner) for corner in polygon])}" for name, polygon in regions.items()]
    parts = [f' "regions": {{\n  {_lines(named)}\n }}']
    if rules:
        parts.append(f' "rules": [\n  {_lines([_text(rule) for rule in rules])}\n ]')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _lines(parts: list[str]) -> str:
    return ",\n  ".join(parts)
