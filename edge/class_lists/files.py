"""Reads files of class names.

What a file is, is told by what is in it; only where that could be read in two ways does its ending decide.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from edge.class_lists.documents import entries_in
from edge.class_lists.entries import EXPECTED, MOST_ENTRIES, Entry, classes_of
from edge.class_lists.tables import table_in
from edge.classes import ClassSet, known
from edge.errors import CardError
from edge.text import reason

MAX_BYTES = 8 << 20  # 65535 indented JSON entries with colours take 7 MB

# UTF-32 stands before UTF-16, whose mark it begins with.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def class_set(text: str) -> ClassSet:
    """Returns the label set of a name, or of a file of class names. Raises UsageError, CardError."""
    path = Path(text)
    try:
        is_file = path.is_file()
    except OSError:  # a name that is too long for any file
        is_file = False
    return read_names(path) if is_file else known(text)


def read_names(path: Path) -> ClassSet:
    """Returns the classes in a file. Raises CardError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise CardError(f"{path}: cannot be read ({exc.strerror}); expected a file of class names") from exc
    return parse_names(data, str(path))


def parse_names(data: bytes, where: str) -> ClassSet:
    """Returns the classes in the bytes of a file that is called `where`; known names keep their usual colours.

    Raises CardError, whose message begins with `where`.
    """
    try:
        if len(data) > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB; {EXPECTED}")
        entries = _entries(_decoded(data), Path(where).suffix.lower())
        return classes_of(list(islice(entries, MOST_ENTRIES)))
    except (ValueError, RecursionError) as exc:
        raise CardError(f"{where}: {reason(exc, 400)}") from exc


def _decoded(data: bytes) -> str:
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as exc:
        raise ValueError(f"byte {exc.start + 1} is not {encoding[:6].upper()}; save it as UTF-8; {EXPECTED}") from exc


def _entries(text: str, suffix: str) -> Iterator[Entry]:
    """Yields what a text holds, as the kind of list that it is. Raises ValueError."""
    bare = text.strip()
    if suffix == ".json" or bare[:1] + bare[-1:] in ("[]", "{}"):
        return entries_in(text)
    if table := table_in(text, must_be=suffix in (".csv", ".tsv")):
        return table.entries()
    lines = enumerate(re.split(r"\r\n|\n|\r", text), 1)
    return (Entry(f"line {number}", line.strip()) for number, line in lines if line.strip())
