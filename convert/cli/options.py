"""Options that several of the workstation's commands have."""

from __future__ import annotations

import re

from edge.errors import UsageError

STRIDES = ("auto", "8", "16", "32", "keep")


def parse_size(text: str) -> tuple[int, int]:
    """`513x1025` -> (513, 1025). Raises UsageError."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not match:
        raise UsageError(f"--input-size: expected HEIGHTxWIDTH like 513x1025, got {text!r}")
    return int(match[1]), int(match[2])
