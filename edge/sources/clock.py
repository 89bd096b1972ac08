"""Tells the time of frames whose time stamps may jump, as those of joined recordings do."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from statistics import median

from edge.sources.options import SourceHealth

MOST_GAP_S = 5.0  # a longer one is no loss of frames but another clock
_MOST_FIRST_GAP_S = 60.0  # while nothing is known of the film's pace
_MOST_GAP_FRAMES = 10  # the same for films of a frame in a few seconds
_DISORDER_FRAMES = 1.5  # so far back is no other clock but frames that changed places
_USUAL_PERIOD_S = 1 / 25
_STEPS = 15  # that the period is the median of


class Clock:
    """A clock that starts with the first frame and never goes back.

    Time stamps that jump back, or ahead by more than 5 s and ten frames, belong to another clock: the frame stands one
    period after the one before, and `health` counts. Any other spacing is kept as it is.
    """

    def __init__(
        self, begin_s: float | None, rate: Fraction | None, health: SourceHealth, sought: bool = False
    ) -> None:
        """`begin_s` is the time stamp that the film begins with, None for that of the first frame; `sought` tells that
        frames begin in its midst.
        """
        self._begin_s, self._shift_s = begin_s, -(begin_s or 0.0)
        self._rate, self._health, self._sought = rate, health, sought
        self._steps: deque[float] = deque(maxlen=_STEPS)
        self._last_s: float | None = None

    def time_s(self, stamp_s: float | None) -> float | None:
        """Returns when the frame with this time stamp is shown; None where no frame has had one yet."""
        if self._last_s is None:
            self._last_s = None if stamp_s is None else self._first(stamp_s)
        elif stamp_s is None:  # some lack it where others have it, such as frames of an AVI between two others
            self._last_s += self._period_s
        else:
            self._last_s += self._step(stamp_s + self._shift_s - self._last_s)
        return self._last_s

    def _first(self, stamp_s: float) -> float:
        """The beginning of the file is not believed where its first frame is nowhere near, or before it."""
        near = 0 <= stamp_s + self._shift_s <= MOST_GAP_S
        if self._begin_s is None or not (self._sought or near):
            self._shift_s = -stamp_s
        return stamp_s + self._shift_s

    def _step(self, step_s: float) -> float:
        period_s = self._period_s
        if -_DISORDER_FRAMES * period_s <= step_s < 0:
            return 0.0
        if step_s < 0 or step_s > self._most_gap_s:
            self._health.jumps += 1
            self._shift_s += period_s - step_s
            return period_s
        if step_s > 0:
            self._steps.append(step_s)
        return step_s

    @property
    def _most_gap_s(self) -> float:
        return max(MOST_GAP_S if self._steps else _MOST_FIRST_GAP_S, _MOST_GAP_FRAMES * self._period_s)

    @property
    def _period_s(self) -> float:
        if self._steps:
            return median(self._steps)
        return float(1 / self._rate) if self._rate else _USUAL_PERIOD_S
