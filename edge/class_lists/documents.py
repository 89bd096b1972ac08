"""Class names in JSON: a list of names or of objects, an object of ids, or an object with such a list."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from edge.class_lists.entries import IDS, NAMES, TRAIN_IDS, Entry, colour_of, first_of, shown
from edge.text import shortened

_JSON = 'expected ["road", ...], [{"name": "road"}, ...], {"0": "road", ...} or {"names": [...]}'
_LISTS = ("names", "classes", "labels")  # keys of an object that holds a list of classes
_COLOURS = ("color", "colour")
_WHOLE = re.compile(r"[0-9]{1,9}", re.ASCII)


def entries_in(text: str) -> Iterator[Entry]:
    """Yields the classes in a JSON text. Raises ValueError."""
    document = _loaded(text)
    if isinstance(document, dict):
        lists = [key for key in _LISTS if key in document]
        if len(lists) > 1:
            raise ValueError(f"{lists[0]!r} and {lists[1]!r} both stand for the list of classes; expected one of them")
        document = document[lists[0]] if lists else document
    if isinstance(document, list):
        for number, item in enumerate(document, 1):
            yield _item(item, f"entry {number}", None)
    elif isinstance(document, dict):
        for key, item in document.items():
            if not _WHOLE.fullmatch(key):
                raise ValueError(f"the key {shortened(key, 80)!r} is no id of a class; {_JSON}")
            yield _item(item, f"key {key}", int(key))
    else:
        raise ValueError(f"no list of classes in it; {_JSON}")


def _item(item: Any, place: str, id_: int | None) -> Entry:
    """Returns a class as JSON tells it: its name, or an object that has the name."""
    if isinstance(item, str):
        return Entry(place, item.strip(), id_)
    values = {key.casefold(): value for key, value in item.items()} if isinstance(item, dict) else {}
    name = values.get(first_of(values, NAMES))
    if not isinstance(name, str):
        raise ValueError(f"{place}: no name of a class in it; {_JSON}")
    key = first_of(values, IDS) if id_ is None else ""
    found = values.get(key, id_)
    if found is not None and type(found) is not int:
        raise ValueError(f"{place}: expected a whole number as id, got {shown(found)}")
    colour = values.get(first_of(values, _COLOURS))
    return Entry(place, name.strip(), found, None if colour is None else colour_of(colour, place), key in TRAIN_IDS)


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=with_keys_once)
    except RecursionError as exc:
        raise ValueError(f"JSON that is nested too deeply; {_JSON}") from exc
    except ValueError as exc:
        raise ValueError(f"no JSON that can be read ({exc}); {_JSON}") from exc


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def with_keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns a JSON object whose keys differ: of two equal ones the first would be lost without a word."""
    entries: dict[str, Any] = {}
    for key, value in pairs:
        if key in entries:
            raise ValueError(f"{shortened(key, 80)!r} is there twice")
        entries[key] = value
    return entries
