"""Class names in tables: `name`, `id,name`, `name,r,g,b` or `id,name,r,g,b`, or with a first row that says which."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from edge.class_lists.entries import IDS, MOST_ENTRIES, NAMES, TRAIN_IDS, Entry, colour_of, first_of

_COLUMNS = "expected columns name, id,name, name,r,g,b or id,name,r,g,b, or a first row that names them"
_SHAPES = {  # of tables without such a row, by how many columns they have
    1: {"name": 0},
    2: {"id": 0, "name": 1},
    4: {"name": 0, "r": 1, "g": 2, "b": 3},
    5: {"id": 0, "name": 1, "r": 2, "g": 3, "b": 4},
}
_Row = tuple[int, list[str]]  # the number of the line that it ends on, and its cells
_WHOLE = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of equal meaning, and which column holds what: name, id, r, g, b."""

    width: int  # how many columns the first row has, and all others must
    columns: dict[str, int]
    rows: list[_Row]  # without the one that names the columns
    trains: bool = False  # whether the ids are trainIds

    def entries(self) -> Iterator[Entry]:
        """Yields the classes in the rows. Raises ValueError."""
        for line, cells in self.rows:
            place = f"line {line}"
            if len(cells) != self.width:
                raise ValueError(f"{place}: expected {self.width} columns as in the first row, got {len(cells)}")
            id_ = _whole(cells[self.columns["id"]], place) if "id" in self.columns else None
            colour = None
            if all(what in self.columns for what in "rgb"):
                colour = colour_of([_whole(cells[self.columns[what]], place) for what in "rgb"], place)
            yield Entry(place, cells[self.columns["name"]], id_, colour, self.trains)


def table_in(text: str, must_be: bool) -> Table | None:
    """Returns the table that a text is; None where it is none.

    A text that need not be one is where each row has its numbers, or where two words that name columns begin it.

    Raises ValueError where what must be a table is none.
    """
    rows = _rows(text, must_be)
    return (_with_header(rows, must_be) or _without(rows, must_be)) if rows else None


def _rows(text: str, must_be: bool) -> list[_Row]:
    """Returns the rows of a text that are not empty, split at what its first line has most: commas, semicolons or tabs.

    Raises ValueError where what is said to be a table is none; another text then has no rows.
    """
    first = text.lstrip().partition("\n")[0]
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), skipinitialspace=True, strict=True
    )
    rows = []
    try:
        for row in islice(reader, MOST_ENTRIES):
            cells = [cell.strip() for cell in row]
            if any(cells):
                rows.append((reader.line_num, cells))
    except csv.Error as exc:
        if must_be:
            raise ValueError(f"line {reader.line_num} is no CSV ({exc})") from exc
        return []
    return rows


def _with_header(rows: list[_Row], must_be: bool) -> Table | None:
    """Returns the table whose first row names its columns; columns of other names do not count."""
    cells = rows[0][1]
    if any(_WHOLE.fullmatch(cell) for cell in cells):
        return None
    columns = {cell.casefold(): column for column, cell in reversed(list(enumerate(cells)))}
    wanted = {"name": NAMES, "id": IDS, "r": ("r", "red"), "g": ("g", "green"), "b": ("b", "blue")}
    found = {what: columns[key] for what, keys in wanted.items() if (key := first_of(columns, keys))}
    if "name" not in found or not (must_be or len(found) > 1):
        return None
    return Table(len(cells), found, rows[1:], first_of(columns, IDS) in TRAIN_IDS)


def _without(rows: list[_Row], must_be: bool) -> Table | None:
    """Returns the table that has no row to name its columns."""
    width = len(rows[0][1])
    columns = _SHAPES.get(width, {})
    numbers = [column for what, column in columns.items() if what != "name"]
    if must_be and not columns:
        raise ValueError(f"line {rows[0][0]}: {_COLUMNS}, got {width} columns")
    if must_be or (
        numbers and all(len(cells) == width and all(_WHOLE.fullmatch(cells[n]) for n in numbers) for _, cells in rows)
    ):
        return Table(width, columns, rows)
    return None


def _whole(cell: str, place: str) -> int:
    if not _WHOLE.fullmatch(cell):
        raise ValueError(
            f"{place}: expected a whole number, got {cell:.80}" if cell else f"{place}: a number is missing"
        )
    return int(cell)
