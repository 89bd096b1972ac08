"""Counts the processors that there are for this process."""

from __future__ import annotations

import os


def available_processors() -> int:
    """Returns how many processors this process may use, which `taskset` or a container can limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
