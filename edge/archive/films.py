"""Finds the films that addresses name, and says what their outputs are called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from natsort import natsorted

from edge.address import public
from edge.archive.manifest import NAME as MANIFEST
from edge.archive.storage import is_local, join, normal, told
from edge.errors import SourceError, UsageError

SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".3gp", ".wmv", ".flv"}
)


@dataclass(frozen=True, slots=True)
class Film:
    """A film of an archive."""

    address: str  # as `storage.normal` has it
    name: str  # of its outputs: its path below the folder that was named, without the suffix


@dataclass(frozen=True, slots=True)
class Outputs:
    """The folders for what is made of films; None where that is not wanted."""

    labels: str | None
    overlay: str | None
    label_ids: bool  # the benchmark's own ids instead of trainIds
    root: str  # the one of the two that has the manifest and what is unfinished, too

    def of(self, film: Film) -> dict[str, str]:
        """Returns the addresses of what is made of a film: `labels`, `overlay` or both.

        Labels are a folder of pictures among files of this machine; elsewhere, where no folder can appear at once, they
        are one zip of the same pictures.
        """
        made = {}
        if self.labels is not None:
            made["labels"] = join(self.labels, film.name) + ("" if is_local(self.labels) else ".zip")
        if self.overlay is not None:
            made["overlay"] = join(self.overlay, film.name) + ".mp4"
        return made


def films_of(sources: Iterable[str]) -> tuple[list[Film], int]:
    """Returns the films that are named, each by its address, by a folder that has it at any depth, or by a pattern,
    and how many other files the folders hold. Hidden files do not count.

    Raises SourceError where there is nothing of a name, UsageError where two films would have outputs of one name.
    """
    found: dict[str, Film] = {}
    others = 0
    for source in sources:
        films, besides = _named(normal(source))
        others += besides
        found.update({film.address: film for film in films})
    films = list(found.values())
    _check_names(films)
    return films, others


def _named(source: str) -> tuple[list[Film], int]:
    with told(source, SourceError) as (system, path):
        is_folder = system.isdir(path)
        is_file = not is_folder and system.isfile(path)
        pattern = not is_folder and not is_file and any(char in path for char in "*?[")
        found = system.find(path) if is_folder else system.glob(path) if pattern else [path] if is_file else []
        found = [one for one in found if is_folder or system.isfile(one)]
    base = path.rstrip("/") if is_folder else ""
    below = [
        (one, PurePosixPath(one[len(base) :].lstrip("/") if is_folder else PurePosixPath(one).name)) for one in found
    ]
    seen = [(one, name) for one, name in below if not any(part.startswith(".") for part in name.parts)]
    films = [(one, name) for one, name in seen if is_file or name.suffix.lower() in SUFFIXES]
    if not films:
        expected = "a film, a folder of films, or a pattern such as 'drives/*.mp4'"
        raise SourceError(f"{public(source)}: expected {expected}, found {'none in it' if found else 'nothing there'}")
    prefix = "" if is_local(source) else source[: len(source) - len(_stripped(source, path))]
    made = [Film(_address(prefix, system, one), str(name.with_suffix(""))) for one, name in films]
    return natsorted(made, key=lambda film: film.address), len(seen) - len(films)


def _stripped(source: str, path: str) -> str:
    """The end of an address that is the path in its file system."""
    return path if source.endswith(path) else path.lstrip("/")


def _address(prefix: str, system: object, path: str) -> str:
    return path if not prefix else prefix + path.lstrip("/") if prefix.endswith("/") else prefix + path


def _check_names(films: Sequence[Film]) -> None:
    named: dict[str, Film] = {}
    for film in films:
        other = named.setdefault(film.name, film)
        if other is not film:
            raise UsageError(
                f"{public(other.address)} and {public(film.address)}: both would make outputs called {film.name}; name "
                "the folder that holds both, or label them into different folders"
            )
    for film in films:
        for folder in _above(film.name):
            if folder in named:
                raise UsageError(
                    f"{public(named[folder].address)} and {public(film.address)}: the outputs of one would lie within "
                    f"those of the other, in {folder}; rename one, or label them into different folders"
                )


def _above(address: str) -> Iterator[str]:
    """Yields the folders in which a name or an address lies, the innermost first."""
    while "/" in address:
        address = address.rpartition("/")[0]
        yield address


def keep_apart(sources: Iterable[str], films: Sequence[Film], outputs: Outputs) -> None:
    """Makes sure that no output takes the place of a film or of another output, and that none is taken for a film
    when the same command is run again. Raises UsageError.
    """
    if outputs.labels is not None and outputs.labels == outputs.overlay:
        raise UsageError("labels and overlay: expected two folders, got the same for both", "output")
    taken = {film.address for film in films}
    named = [(source, _is_folder(source)) for source in map(normal, sources)]
    made = {join(outputs.root, MANIFEST)}
    for address in (address for film in films for address in outputs.of(film).values()):
        if address in taken:
            raise UsageError(f"{public(address)}: would be written over, and is read; choose another output folder")
        found = next((source for source, is_folder in named if _finds(source, is_folder, address)), None)
        if found is not None:
            raise UsageError(
                f"{public(address)}: would be taken for a film of {public(found)} when this is run again; choose an "
                "output folder outside of it"
            )
        if address in made:
            raise UsageError(f"{public(address)}: would be made of two films; choose other output folders")
        made.add(address)
    for address in sorted(made):
        if (outer := next((folder for folder in _above(address) if folder in made), None)) is not None:
            raise UsageError(f"{public(address)}: would lie within {public(outer)}; choose other output folders")


def _is_folder(source: str) -> bool:
    with told(source, SourceError) as (system, path):
        return bool(system.isdir(path))


def _finds(source: str, is_folder: bool, address: str) -> bool:
    """Whether a source would have a file of such an address among its films."""
    if PurePosixPath(address).suffix.lower() not in SUFFIXES:
        return False
    if is_folder:
        below = address.removeprefix(source.rstrip("/") + "/")
        return below != address and not any(part.startswith(".") for part in below.split("/"))
    if "**" in source:
        return address.startswith(source.partition("**")[0])
    levels, names = source.split("/"), address.split("/")
    return len(levels) == len(names) and all(map(fnmatchcase, names, levels))
