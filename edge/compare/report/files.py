"""What a comparison measured, as files: report.json, CSV, Markdown and a page with plots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge.compare.report.document import FORMAT, Document
from edge.compare.report.page import as_html
from edge.compare.report.tables import as_csv, as_markdown
from edge.errors import UsageError
from edge.files import writable_folder, write_whole

MAX_BYTES = 256 << 20  # of an earlier report; a thousand rows need less


def write_report(document: Document, folder: Path) -> list[Path]:
    """Writes report.json, report.csv, report.md and report.html. Raises SinkError."""
    writable_folder(folder)
    texts = {
        "report.json": json.dumps(document, indent=1, allow_nan=False) + "\n",
        "report.csv": as_csv(document),
        "report.md": as_markdown(document),
        "report.html": as_html(document),
    }
    for name, text in texts.items():
        write_whole(folder / name, text.encode("utf-8", "replace"))  # names of files may be no text
    return [folder / name for name in texts]


def read_report(path: Path) -> Document:
    """An earlier report.json. Raises UsageError for anything else."""
    wrong = f"{path}: expected a report.json of compare-models"
    try:
        if not path.is_file():
            raise UsageError(f"{wrong}: {'no regular file' if path.exists() else 'no such file'}")
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{wrong}, at most {MAX_BYTES >> 20} MiB of it")
        found: Any = json.loads(path.read_bytes())
        if not isinstance(found, dict) or found["format"] != FORMAT:
            raise UsageError(f"{wrong} in format {FORMAT}, found another one")
        for row in found["rows"]:
            _check(row)
        if not isinstance(found["created"], str):
            raise TypeError("created")
        _ = found["environment"].get("cpu")
    except OSError as exc:
        raise UsageError(f"{wrong}: it cannot be read ({exc.strerror})") from exc
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise UsageError(f"{wrong}, found something else ({type(exc).__name__})") from exc
    return found


def _check(row: Any) -> None:
    """What a later run is compared with. Raises one of the errors of a wrong structure."""
    if not isinstance(row["model"], str) or not isinstance(row["runtime"], str):
        raise TypeError("model, runtime")
    if "error" in row:
        return
    int(row["threads"])
    times = [turn[what] for turn in row["rounds"] for what in ("invoke_ms", "frame_ms")]
    if not times or not all(0 < value < 1e9 for value in times):
        raise ValueError("rounds")
