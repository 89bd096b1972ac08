"""Notices labels that are ids of another set than the model's classes: they fit, but each fits another class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.evaluation.metrics import Confusion

FITS = 0.5  # IoU from which a class of the truth and one of the model are the same thing
SHOWN = 3


def misfit(confusion: Confusion, names: Sequence[str]) -> str:
    """Returns a sentence where no more classes fit the class of their own id than fit another; else nothing."""
    counts = confusion.counts[:, :-1]
    hits = counts.astype(np.float64)
    either = confusion.counts.sum(axis=1)[:, None] + counts.sum(axis=0)[None] - counts
    fits = np.argwhere(np.divide(hits, either, out=np.zeros_like(hits), where=either > 0) > FITS)
    elsewhere = [(int(true), int(found)) for true, found in fits if true != found]
    if len(elsewhere) < max(1, len(fits) - len(elsewhere)):
        return ""
    shown = [f"what the truth calls {names[true]} ({true}) is its {names[found]}" for true, found in elsewhere]
    more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    return f"{', '.join(shown[:SHOWN])}{more}: the labels and the model seem to have different sets of classes"
