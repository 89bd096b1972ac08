"""Writes what a comparison measured: report.json, CSV, Markdown and a page with plots."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from edge.compare.report.document import Document
from edge.compare.report.page import as_html
from edge.compare.report.tables import as_csv, as_markdown
from edge.destinations import Destination, some_files
from edge.files import writable_folder, write_whole

_WRITERS: dict[str, Callable[[Document], str]] = {
    "report.json": lambda document: json.dumps(document.as_json(), indent=1, allow_nan=False) + "\n",
    "report.csv": as_csv,
    "report.md": as_markdown,
    "report.html": as_html,
}


def destination(folder: Path) -> Destination:
    """Returns where `write_report` writes."""
    return some_files(str(folder), folder, list(_WRITERS))


def write_report(document: Document, folder: Path) -> list[Path]:
    """Writes report.json, report.csv, report.md and report.html. Raises SinkError."""
    writable_folder(folder)
    texts = {name: write(document) for name, write in _WRITERS.items()}
    for name, text in texts.items():
        write_whole(folder / name, text.encode("utf-8", "replace"))  # names of files may be no text
    return [folder / name for name in texts]
