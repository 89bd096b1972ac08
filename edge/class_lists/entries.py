"""What a file of class names tells of each class, and the check that these make a set of classes.

Ids count from 0 without a gap, in any order; where a file has none, the order of its names counts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from edge.classes import CITYSCAPES, ClassSet, Colour, spread_colours
from edge.data import MOST_CLASSES, MOST_NARROW
from edge.text import shortened

MAX_NAME = 64
MOST_ENTRIES = 2 * MOST_CLASSES  # that are read of a file: some rows of trainIds are no classes
EXPECTED = f"expected 1 to {MOST_CLASSES} printable class names of {MAX_NAME} characters at most"
NAMES = ("name", "class_name", "class", "label")  # what columns and keys are called; the first that is there counts
TRAIN_IDS = ("trainid", "train_id")
IDS = (*TRAIN_IDS, "id", "class_id", "index")


@dataclass(frozen=True, slots=True)
class Entry:
    """One class as a file tells it."""

    place: str  # in the file, for people
    name: str
    id: int | None = None  # None where the order counts
    colour: Colour | None = None  # None takes the usual one
    trains: bool = False  # whether the id is a trainId, of which -1 and 255 are no class


def colour_of(value: Any, place: str) -> Colour:
    if not isinstance(value, list) or len(value) != 3 or any(type(n) is not int or not 0 <= n <= 255 for n in value):
        raise ValueError(f"{place}: expected a colour of three numbers from 0 to 255, got {shown(value)}")
    return value[0], value[1], value[2]


def first_of(found: Collection[str], keys: Sequence[str]) -> str:
    """Returns the first of the keys that is found; an empty text where none is."""
    return next((key for key in keys if key in found), "")


def shown(value: Any) -> str:
    return shortened(ascii(value), 80)


def classes_of(entries: list[Entry]) -> ClassSet:
    """Returns the classes of a file's entries, in the order of their ids. Raises ValueError."""
    no_class = {-1} if len(entries) > MOST_NARROW else {-1, 255}
    entries = [entry for entry in entries if not (entry.trains and entry.id in no_class)]
    if not 1 <= len(entries) <= MOST_CLASSES:
        raise ValueError(f"{EXPECTED}, got {f'more than {MOST_CLASSES}' if entries else 'none'}")
    seen: dict[str, Entry] = {}
    for entry in entries:
        if not 1 <= len(entry.name) <= MAX_NAME or not entry.name.isprintable():
            found = shown(entry.name) if entry.name else "none"
            raise ValueError(f"{entry.place}: expected a printable name of {MAX_NAME} characters at most, got {found}")
        other = seen.setdefault(entry.name.casefold(), entry)
        if other is not entry:
            names = f"{entry.name!r}" if entry.name == other.name else f"{other.name!r} and {entry.name!r}"
            raise ValueError(f"{other.place} and {entry.place} name the same class, {names}; expected each name once")
    entries = _in_order(entries)
    usual, spread = dict(zip(CITYSCAPES.names, CITYSCAPES.colours, strict=True)), spread_colours(len(entries))
    return ClassSet(
        tuple(entry.name for entry in entries),
        tuple(entry.colour or usual.get(entry.name, spread[index]) for index, entry in enumerate(entries)),
    )


def _in_order(entries: list[Entry]) -> list[Entry]:
    """Returns entries by their ids, which are 0 to n-1, all of them or none. Raises ValueError."""
    by_id: dict[int, Entry] = {}
    for entry in entries:
        if entry.id is None:
            continue
        other = by_id.setdefault(entry.id, entry)
        if other is not entry:
            raise ValueError(f"{other.place} and {entry.place} have the same id, {entry.id}; expected each id once")
    if not by_id:
        return entries
    if without := next((entry for entry in entries if entry.id is None), None):
        raise ValueError(f"{without.place} has no id, where others have one; expected all or none")
    wrong = next((index for index in range(len(entries)) if index not in by_id), None)
    if wrong is not None:
        raise ValueError(f"no class has the id {wrong}; expected 0 to {len(entries) - 1} for {len(entries)} classes")
    return [by_id[index] for index in range(len(entries))]
