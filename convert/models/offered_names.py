"""Class names that lie beside a graph, or in its archive: they are offered to the user, never taken by themselves."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from convert.models.tarball import read_small_files
from edge.class_lists.files import MAX_BYTES, parse_names
from edge.classes import ClassSet
from edge.errors import CardError, GraphError

_STEMS = ("labels", "label_map", "labelmap", "classes", "class_names", "classnames", "names")
_SUFFIXES = ("", ".txt", ".csv", ".tsv", ".json", ".names")
MOST_ENTRIES = 10_000  # of a folder that are looked through: 10 ms
MOST_LISTS = 8  # that are read


def offer(graph: Path, guessed: ClassSet) -> str:
    """Returns a line that says which lists with as many names as `guessed` lie beside a graph, and how to take them.

    `graph` is a .pb file or an archive that has been read. The line is empty where there is no such list, or where it
    has the names that are taken anyway.
    """
    in_folder = graph.suffix.lower() == ".pb"
    lists = [name for name, names in _lists(graph, in_folder) if _fits(names, name, guessed)]
    if not lists:
        return ""
    where, first = "beside it" if in_folder else "in it", lists[0]
    others = f" (and so {'has' if len(lists) == 2 else 'have'} {', '.join(lists[1:])})" if len(lists) > 1 else ""
    way = f"`classes` {shlex.quote(str(graph.with_name(first)) if in_folder else PurePosixPath(first).name)} takes them"
    unpack = "" if in_folder else "unpack it, and "
    return f"{graph}: {first} {where} has {len(guessed)} names{others}: {unpack}{way}"


def _lists(graph: Path, in_folder: bool) -> list[tuple[str, bytes]]:
    """Returns name and content of the files that may list class names; what cannot be read is none of them."""
    try:
        if not in_folder:
            return read_small_files(graph, str(graph), is_named_like_a_list, MAX_BYTES, MOST_LISTS)
        return list(islice(_in_folder(graph.parent), MOST_LISTS))
    except (OSError, GraphError):
        return []


def _in_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    with os.scandir(folder) as entries:
        named = [entry for entry in islice(entries, MOST_ENTRIES) if is_named_like_a_list(entry.name)]
    for entry in sorted(named, key=lambda entry: entry.name):
        if entry.is_file() and 0 < entry.stat().st_size <= MAX_BYTES:  # neither a pipe nor a device, which might hang
            yield entry.name, Path(entry.path).read_bytes()


def is_named_like_a_list(name: str) -> bool:
    """Returns whether a file is called as lists of class names are: labels.txt, label_map.csv, coco.names."""
    path = PurePosixPath(name.lower())
    return path.suffix == ".names" or (path.stem in _STEMS and path.suffix in _SUFFIXES)


def _fits(data: bytes, name: str, guessed: ClassSet) -> bool:
    """Returns whether a file lists as many classes as a graph has, and others than are guessed."""
    try:
        found = parse_names(data, name)
    except CardError:
        return False
    return len(found) == len(guessed) and found.names != guessed.names
