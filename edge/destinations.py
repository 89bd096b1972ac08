"""Keeps outputs away from what is read, and from one another."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edge.errors import UsageError

NUMBER = re.compile(r"%(0\d)?d")
"""What stands for the number of a picture in the name of an output, such as `%05d`."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an output writes: files of `folder` whose names `takes` accepts, such as `example`."""

    name: str  # as the user calls the output
    folder: Path
    example: str
    takes: Callable[[str], bool]


def is_folder(spec: str) -> bool:
    """Returns whether the text of an output means a folder: it ends as one, or one is there."""
    return spec.endswith("/") or (bool(spec) and Path(spec).is_dir())


def one_file(name: str, path: Path) -> Destination:
    """Returns the destination of a single file."""
    return some_files(name, path.parent, [path.name])


def some_files(name: str, folder: Path, names: Sequence[str]) -> Destination:
    """Returns the destination of files whose names are known, one at least."""
    return Destination(name, folder, names[0], frozenset(names).__contains__)


def numbered_files(name: str, path: Path) -> Destination:
    """Returns the destination of files in whose names a number takes the place of `%05d`."""
    before, _, after = (re.escape(part) for part in NUMBER.sub("\0", path.name).partition("\0"))
    shape = re.compile(rf"{before}-?\d+{after}")
    return Destination(name, path.parent, numbered(path.name, 0), lambda other: shape.fullmatch(other) is not None)


def numbered(name: str, number: int) -> str:
    """Returns a name with the number in the place of `%05d`."""
    return NUMBER.sub(lambda width: format(number, f"{width[1] or ''}d"), name)


def keep_apart(destinations: Sequence[Destination], inputs: Iterable[Path]) -> None:
    """Makes sure that no destination takes one of the files that are read, nor the files of another destination.

    Files are told apart by where they really are, whatever links lead there.

    Raises UsageError.
    """
    real = cache(os.path.realpath)
    places: dict[str, dict[str, Path]] = {}  # folder -> name in it -> the input as the user calls it
    for path in inputs:
        places.setdefault(real(path.parent), {})[path.name] = path
        if path.is_symlink():
            folder, name = os.path.split(os.path.realpath(path))
            places.setdefault(folder, {})[name] = path
    for place, destination in enumerate(destinations):
        endangered = _endangered(destination, places)
        if endangered is not None:
            raise UsageError(
                f"output {destination.name}: would write over {endangered}, which is read; choose another name or "
                "folder"
            )
        for other in destinations[:place]:
            same_folder = real(other.folder) == real(destination.folder)
            if same_folder and (other.takes(destination.example) or destination.takes(other.example)):
                raise UsageError(
                    f"outputs {other.name} and {destination.name}: one would write over the other; choose another "
                    "name or folder for one of them"
                )


def _endangered(destination: Destination, places: Mapping[str, Mapping[str, Path]]) -> Path | None:
    """Returns an input that a destination would write over."""
    folder, path = os.path.realpath(destination.folder), destination.folder / destination.example
    for name, source in places.get(folder, {}).items():
        if destination.takes(name) or (name.casefold() == path.name.casefold() and _is_same(path, source)):
            return source
    behind, name = os.path.split(os.path.realpath(path))
    return places.get(behind, {}).get(name)


def _is_same(path: Path, other: Path) -> bool:
    """Returns whether two names lead to one file: on file systems without case they may differ in it."""
    try:
        return path.samefile(other)
    except OSError:  # one of them is not there
        return False
