"""Measures how long models take beside each other: in turns, so that what else the machine does slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from edge.compare.estimates import FEWEST, ratio
from edge.progress import Track, silent
from edge.scene import DEMO_SEED, Scene
from edge.segmenter import Segmenter

BUDGET_S = 6.0  # for all models together; the round that is at work when it is over is finished
MOST_ROUNDS = 15  # more tell little that is new

RoundsS = Mapping[str, Sequence[float]]
"""Recipe -> seconds of an invoke in each round, the same rounds for all; empty where there was no time for any."""


def measure(paths: Mapping[str, Path], track: Track = silent) -> RoundsS:
    """Measures files that the converter wrote, by recipe, on the same picture. Raises ModelError."""
    return in_turns({recipe: _invoke_of(path) for recipe, path in paths.items()}, track=track)


def _invoke_of(path: Path) -> Callable[[], object]:
    segmenter = Segmenter(path)
    pixels, _ = Scene(DEMO_SEED).draw(0.0, segmenter.card.input_hw)
    return partial(segmenter.engine.invoke, segmenter.preprocess(pixels))


def in_turns(runs: Mapping[str, Callable[[], object]], budget_s: float = BUDGET_S, track: Track = silent) -> RoundsS:
    """Runs all in rounds, each beginning with another one, and returns the seconds that each took in each round.

    A turn is two runs, of which the shorter counts: the first finds cold caches, and whatever disturbs one makes it
    longer. Nothing is returned where `budget_s` is not enough for `FEWEST` rounds, since a median of fewer is chance:
    on a machine with five times as many processes as processors, float32 took 1.5 times as long as float16 in two
    rounds.
    """
    start = time.perf_counter()
    for run in runs.values():
        run()  # claims memory
    if not runs or time.perf_counter() - start > budget_s / FEWEST:
        return {}
    names, rounds_s = list(runs), {name: list[float]() for name in runs}
    for turn in track(range(MOST_ROUNDS), "measuring invokes", MOST_ROUNDS):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            rounds_s[name].append(min(_timed(runs[name]) for _ in range(2)))
        if time.perf_counter() - start > budget_s:
            break
    return rounds_s if len(rounds_s[names[0]]) >= FEWEST else {}


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def slower(rounds_s: RoundsS, than: str = "float32") -> list[str]:
    """Returns a line for each recipe that surely takes longer than float32, where both were measured."""
    if than not in rounds_s:
        return []
    ratios = {name: ratio(seconds, rounds_s[than]) for name, seconds in rounds_s.items() if name != than}
    return [
        f"{name} is slower than {than} on this machine: an invoke takes {found.value:.2f} times as long"
        for name, found in ratios.items()
        if found.low > 1
    ]
