"""Says what the figures mean: which model is faster and how sure that is, which are worth having, which one fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from edge.compare.estimates import Estimate, change, ratio
from edge.compare.report.document import Document, MeasuredRow
from edge.compare.rows import Row
from edge.errors import GateFailed, UsageError

WORKABLE = 0.01  # a difference of less than this is a tie however sure it is: nobody would choose by it


@dataclass(frozen=True, slots=True)
class Pair:
    """How many times as long the second takes as the first; places in the list of rows, from 0."""

    first: int
    second: int
    invoke: Estimate
    frame: Estimate


def tie(estimate: Estimate) -> bool:
    """Returns whether two things took the same time, as far as can be told."""
    return estimate.holds(1.0) or abs(estimate.value - 1) < WORKABLE


def pairs(rows: Sequence[Row]) -> list[Pair]:
    """Returns every two rows that were measured, held against each other."""
    every = []
    for (i, first), (j, second) in combinations([(i, row) for i, row in enumerate(rows) if row.measured], 2):
        rounds = min(len(first.turns), len(second.turns))  # an interrupted round may lack one of them
        every.append(
            Pair(
                i,
                j,
                ratio(second.invoke_rounds()[:rounds], first.invoke_rounds()[:rounds]),
                ratio(second.frame_rounds()[:rounds], first.frame_rounds()[:rounds]),
            )
        )
    return every


def frame_p90_ms(row: Row) -> float:
    """Returns the headline: nine of ten frames take no longer, from the picture in memory to its overlay."""
    return float(np.percentile(row.frame_s, 90)) * 1e3


def front(rows: Sequence[Row]) -> list[int]:
    """Returns the places of the rows that no other row beats in accuracy without being slower; empty where it is not
    known.
    """
    known = [(i, frame_p90_ms(rows[i]), accuracy) for i, accuracy in scores(rows).items()]
    return [
        i
        for i, ms, accuracy in known
        if not any(
            o_ms <= ms and o_accuracy >= accuracy and (o_ms, o_accuracy) != (ms, accuracy)
            for _, o_ms, o_accuracy in known
        )
    ]


def scores(rows: Sequence[Row]) -> dict[int, float]:
    """Returns the accuracies that can be held against each other, by place: mIoU where it is known of any row, else
    agreement.
    """
    known = {i: row.accuracy for i, row in enumerate(rows) if row.measured and row.accuracy}
    truth = any(found.miou is not None for found in known.values())
    values = {i: found.miou if truth else found.agreement for i, found in known.items()}
    return {i: value for i, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Choice:
    """The best row within a budget."""

    limit_ms: float
    best: int | None
    sentence: str


def choose(rows: Sequence[Row], limit_ms: float, label: Callable[[int], str]) -> Choice:
    """Chooses the most accurate row of those whose p90 of a whole frame is within the limit; where accuracy is not
    known for all of them, the fastest.
    """
    measured = [(frame_p90_ms(row), i, row) for i, row in enumerate(rows) if row.measured]
    within = [found for found in measured if found[0] <= limit_ms]
    if not within:
        fastest = min(measured, default=None, key=lambda found: found[0])
        least = f"; the fastest, {label(fastest[1])}, takes {fastest[0]:.1f} ms" if fastest else ""
        return Choice(limit_ms, None, f"none is within {limit_ms:.1f} ms (p90 of a frame){least}")
    known = scores(rows)
    if all(i in known for _, i, _ in within):
        ms, best, row = max(within, key=lambda found: (known[found[1]], -found[0]))
        why = f"most accurate, {known[best]:.3f}, of the"
    else:
        ms, best, row = min(within, key=lambda found: found[0])
        why = "fastest (accuracy is not known) of the"
    doubt = "; its times are doubtful" if row.invalid else ""
    sentence = f"{label(best)}: {why} {len(within)} within {limit_ms:.1f} ms, {ms:.1f} ms (p90 of a frame){doubt}"
    return Choice(limit_ms, best, sentence)


@dataclass(frozen=True, slots=True)
class Change:
    """A row against the same row of an earlier report."""

    row: int
    invoke: Estimate
    frame: Estimate


def changes(rows: Sequence[Row], earlier: Document) -> list[Change]:
    """Returns the changes of the rows that the earlier report has too: same file name, runtime, threads and share of
    frames that are labelled.
    """
    before = {(row.model, row.runtime, row.threads, row.label_every): row for row in earlier.measured}
    changed = []
    for i, row in enumerate(rows):
        key = row.candidate.path.name, row.runtime, row.threads or 0, row.candidate.label_every
        then = before.get(key) if row.measured else None
        if then is not None:
            invoke = change(row.invoke_rounds(), [turn.invoke_ms / 1e3 for turn in then.rounds])
            frame = change(row.frame_rounds(), [turn.frame_ms / 1e3 for turn in then.rounds])
            changed.append(Change(i, invoke, frame))
    return changed


def _was_measured(row: Row, then: MeasuredRow) -> bool:
    """Returns whether `then` measured what this row, of which nothing is known, asked for."""
    asked = row.candidate
    return (
        then.model == asked.path.name
        and asked.runtime in ("auto", then.runtime)
        and asked.threads in (None, then.threads)
        and asked.label_every == then.label_every
    )


def gate(rows: Sequence[Row], earlier: Document, limit: float, label: Callable[[int], str]) -> None:
    """Raises GateFailed where a row takes more than `limit` times as long as before, or cannot be measured any more."""
    changed = changes(rows, earlier)
    worse = [
        f"{label(one.row)}: {what} {estimate.value:.2f} times as long"
        for one in changed
        for what, estimate in (("invoke", one.invoke), ("frame", one.frame))
        if estimate.value > limit
    ]
    worse += [
        f"{label(i)}: measured before, now not: {row.error}"
        for i, row in enumerate(rows)
        if not row.measured and any(_was_measured(row, then) for then in earlier.measured)
    ]
    if worse:
        raise GateFailed(f"slower than the baseline allows ({limit:g}): " + "; ".join(worse))
    if not changed:
        raise UsageError("it has none of these models with these runtimes and threads; nothing to compare", "baseline")
