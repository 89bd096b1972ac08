"""Marks that the outputs of a film are about to be replaced: until the mark is gone, what is there may be anything.

The mark lies with the parts of the film, and goes with them once the record of the film is written.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from edge.archive.storage import join, put, read
from edge.leftovers import TemporaryFolder

_NAME = "begun.json"


def addresses_begun(parts_folder: str, names: Collection[str]) -> frozenset[str] | None:
    """Returns the addresses that are marked, given the names in a folder of parts; None where there is no mark.

    A mark that cannot be read marks, and names nothing. Raises SinkError.
    """
    if _NAME not in names:
        return None
    try:
        return frozenset(map(str, json.loads(read(join(parts_folder, _NAME)) or b"")))
    except (ValueError, TypeError):
        return frozenset()


def mark(parts_folder: str, addresses: Collection[str]) -> None:
    """Marks addresses, in place of those that were marked before. Raises SinkError, OSError."""
    with TemporaryFolder() as folder:
        path = Path(folder, _NAME)
        path.write_text(json.dumps(sorted(addresses)))
        put(path, join(parts_folder, _NAME))
