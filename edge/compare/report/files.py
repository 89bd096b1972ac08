"""Writes what a comparison measured: report.json, CSV, Markdown and a page with plots."""

from __future__ import annotations

import json
from pathlib import Path

from edge.compare.report.document import Document
from edge.compare.report.page import as_html
from edge.compare.report.tables import as_csv, as_markdown
from edge.files import writable_folder, write_whole


def write_report(document: Document, folder: Path) -> list[Path]:
    """Writes report.json, report.csv, report.md and report.html. Raises SinkError."""
    writable_folder(folder)
    texts = {
        "report.json": json.dumps(document.as_json(), indent=1, allow_nan=False) + "\n",
        "report.csv": as_csv(document),
        "report.md": as_markdown(document),
        "report.html": as_html(document),
    }
    for name, text in texts.items():
        write_whole(folder / name, text.encode("utf-8", "replace"))  # names of files may be no text
    return [folder / name for name in texts]
