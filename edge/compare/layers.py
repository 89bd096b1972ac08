"""Times the layers of every candidate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge.compare.rows import Row
from edge.compare.worker import Worker
from edge.profile import from_counters, from_prefixes
from edge.progress import Track, silent


def profile(benches: Sequence[tuple[Row, Worker]], rounds: int, track: Track = silent) -> None:
    """Sets `row.profile`, and `row.outside_share` with it. Where it is interrupted, from the rounds that are whole."""
    for row, worker in benches:
        if row.error:
            continue
        operators: list[dict[str, Any]] = worker.ask("layers") or []
        whole = bool(operators) and "macs" not in operators[0]  # OpenVINO tells all layers at once
        lengths = [0] if whole else range(1, len(operators) + 1)
        steps = [length for _ in range(rounds) for length in lengths]
        times: list[float] = []
        try:
            for length in track(steps, f"profiling {row.candidate.path.name}", len(steps)):
                found = worker.ask("counted_s") if whole else worker.ask("prefix_s", length)
                if row.error:
                    break
                times += found if whole else [found]
        finally:
            _keep(row, operators, times)


def _keep(row: Row, operators: Sequence[dict[str, Any]], times: Sequence[float]) -> None:
    width = len(operators)
    rounds = [times[at : at + width] for at in range(0, len(times) - width + 1, width)] if width else []
    if rounds:
        made = from_prefixes if "macs" in operators[0] else from_counters
        row.profile = made(operators, rounds)
        row.outside_share = row.profile.outside_share()
