"""Named regions of the picture, and the files that hold them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.errors import UsageError

Polygon = Sequence[tuple[float, float]]
"""Corners (x, y) in shares of the picture's width and height, 0..1, in order around the region; the last one is joined
with the first."""

Corners = tuple[tuple[float, float], ...]
"""A polygon that was checked."""

_FORM = '{"regions": {"path": [[0.4, 0.6], [0.6, 0.6], [0.8, 1], [0.2, 1]]}, "rules": ["person in path > 2 %"]}'
_KEYS = ("regions", "rules")
_DRAWN_FORM = '{"name": "path", "corners": [[0.4, 0.6], [0.6, 0.6], [0.8, 1], [0.2, 1]]}'
MOST_CORNERS, LONGEST_NAME = 100, 40  # of a region that is drawn
_NO_NAME = ":<>"  # signs of rules, which could not name such a region


@dataclass(frozen=True, slots=True)
class RegionsFile:
    """What a file of regions holds."""

    regions: Mapping[str, Polygon] = field(default_factory=dict)
    rules: tuple[str, ...] = ()  # as they are written; `edge.events.rule` reads them


def checked(name: str, polygon: Polygon) -> Corners:
    """Returns the corners of a region. Raises UsageError for fewer than three, or for one outside the picture."""
    corners = tuple((_float(x), _float(y)) for x, y in polygon)
    if len(corners) < 3:
        raise UsageError(f"region {name!r}: expected three corners (x, y) or more, got {len(corners)}")
    for corner in corners:
        if not all(math.isfinite(value) and 0.0 <= value <= 1.0 for value in corner):
            raise UsageError(f"region {name!r}: expected corners (x, y) from 0 to 1, got {corner}")
    return corners


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf if value > 0 else -math.inf


def read_regions(path: Path) -> RegionsFile:
    """Reads a file of regions, JSON of the form

        {"regions": {"path": [[0.4, 0.6], [0.6, 0.6], [0.8, 1], [0.2, 1]]}, "rules": ["person in path > 2 % for 0.3 s"]}

    in which either may be missing. Raises UsageError where it cannot be read or has another form.
    """
    try:
        held = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique)
    except OSError as exc:
        raise UsageError(f"{path}: cannot be read ({exc.strerror or exc})", "regions") from exc
    except (ValueError, RecursionError) as exc:
        raise UsageError(f"{path}: expected JSON such as {_FORM}; {exc}", "regions") from exc
    if not isinstance(held, dict) or not held or any(key not in _KEYS for key in held):
        raise UsageError(f"{path}: expected an object with regions, rules or both, such as {_FORM}", "regions")
    regions, rules = held.get("regions", {}), held.get("rules", [])
    if not isinstance(regions, dict):
        raise UsageError(f"{path}: regions: expected names with corners, such as {_FORM}", "regions")
    if not isinstance(rules, list) or not all(isinstance(rule, str) for rule in rules):
        raise UsageError(f"{path}: rules: expected a list of texts, such as {_FORM}", "regions")
    return RegionsFile({name: _polygon(path, name, value) for name, value in regions.items()}, tuple(rules))


def parse_region(data: bytes) -> tuple[str, Corners]:
    """Reads one region that was drawn, `{"name": "path", "corners": [[0.4, 0.6], [0.6, 0.6], [0.8, 1], [0.2, 1]]}`.

    Raises UsageError where it has another form, a name that rules could not have, or too many corners.
    """
    try:
        held = json.loads(data.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as exc:
        raise UsageError(f"expected JSON such as {_DRAWN_FORM}") from exc
    if not isinstance(held, dict) or held.keys() != {"name", "corners"} or not isinstance(held["name"], str):
        raise UsageError(f"expected a name and corners, such as {_DRAWN_FORM}")
    name, corners = " ".join(held["name"].split()), held["corners"]
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or any(sign in name for sign in _NO_NAME):
        raise UsageError(f"expected a name of 1 to {LONGEST_NAME} letters, without {' '.join(_NO_NAME)}")
    if not isinstance(corners, list) or not all(_is_corner(corner) for corner in corners):
        raise UsageError(f"region {name!r}: expected corners [x, y] such as [[0, 1], [0.5, 0], [1, 1]]")
    if len(corners) > MOST_CORNERS:
        raise UsageError(f"region {name!r}: expected at most {MOST_CORNERS} corners, got {len(corners)}")
    return name, checked(name, [(x, y) for x, y in corners])


def _polygon(path: Path, name: str, value: object) -> Polygon:
    if not name.strip() or not name.isprintable():
        raise UsageError(f"{path}: expected regions with names, got {name!r}", "regions")
    if not isinstance(value, list) or not all(_is_corner(corner) for corner in value):
        raise UsageError(f"{path}: region {name!r}: expected corners [x, y] such as [[0, 1], [0.5, 0], [1, 1]]")
    try:
        return checked(name, [(x, y) for x, y in value])
    except UsageError as exc:
        raise UsageError(f"{path}: {exc}") from exc


def _is_corner(value: object) -> bool:
    is_pair = isinstance(value, list) and len(value) == 2
    return is_pair and all(isinstance(x, int | float) and not isinstance(x, bool) for x in value)  # type: ignore[attr-defined]


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice!r} is there twice")
    return dict(pairs)
