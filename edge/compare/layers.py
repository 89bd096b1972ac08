"""Times the layers of every candidate."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from edge.compare.estimates import FEWEST
from edge.compare.layer_times import ROUNDS, cuts_within, from_counters, from_prefixes, places_to_cut
from edge.compare.rows import Row
from edge.compare.worker import Worker
from edge.engine.base import Operator
from edge.progress import Track, silent


def profile(running: Sequence[tuple[Row, Worker]], seconds: float, track: Track = silent) -> None:
    """Sets `row.profile`, and `row.outside_share` with it, in about so many seconds for each.

    Where it is interrupted, from the rounds that are whole.
    """
    for row, worker in running:
        layers = worker.layers()
        if layers is None or not layers.operators:
            continue
        if layers.by_counters:
            _by_counters(row, worker, layers.operators, track)
        else:
            _by_prefixes(row, worker, layers.operators, seconds, track)


def _by_prefixes(row: Row, worker: Worker, operators: Sequence[Operator], seconds: float, track: Track) -> None:
    end = time.perf_counter() + seconds
    cuts = sorted(_find_cuts(row, worker, operators, seconds, track))
    rounds: list[list[float]] = []
    wholes: list[float] = []
    try:
        for whole, times in _rounds(row, worker, cuts, track):
            wholes.append(whole)
            rounds.append(times)
            if len(rounds) >= FEWEST and time.perf_counter() > end:
                break
    finally:
        if rounds:
            row.profile = from_prefixes(operators, cuts, rounds, wholes)
            row.outside_share = row.profile.outside_share()


def _find_cuts(row: Row, worker: Worker, operators: Sequence[Operator], seconds: float, track: Track) -> list[int]:
    start = time.perf_counter()
    times: dict[int, float] = {0: 0.0, len(operators): worker.prefix_s(len(operators))}
    most = cuts_within(seconds, time.perf_counter() - start, len(operators))
    for length in track(places_to_cut(operators, times, most), f"finding layers of {row.candidate.path.name}", most):
        times[length] = worker.prefix_s(length)
        if row.error:
            break
    return [length for length in times if length]


def _rounds(row: Row, worker: Worker, cuts: Sequence[int], track: Track) -> Iterator[tuple[float, list[float]]]:
    """Yields the seconds of the uncut model and of the prefixes, for each whole round."""
    steps = [length for _ in range(ROUNDS) for length in (0, *cuts)]
    times: list[float] = []
    for length in track(steps, f"profiling {row.candidate.path.name}", len(steps)):
        seconds = worker.prefix_s(length) if length else worker.whole_s()
        if row.error:
            return
        times.append(seconds)
        if len(times) > len(cuts):
            yield times[0], times[1:]
            times = []


def _by_counters(row: Row, worker: Worker, nodes: Sequence[Operator], track: Track) -> None:
    """Times the layers of a runtime that tells all at once."""
    rounds: list[list[float]] = []
    try:
        for _ in track(range(ROUNDS), f"profiling {row.candidate.path.name}", ROUNDS):
            times = worker.counted_s()
            if row.error:
                break
            rounds.append(times)
    finally:
        if rounds:
            row.profile = from_counters(nodes, rounds)
