"""Tells where the kit keeps what it can make or fetch again."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_folder(*parts: str) -> Path:
    """Returns a folder in `$ROADLITE_CACHE`, or in `roadlite` in the user's cache folder; it need not be there yet."""
    return Path(os.environ.get("ROADLITE_CACHE") or user_cache_path("roadlite"), *parts)
