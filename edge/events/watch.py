"""Watches what is seen, and tells when rules are met."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from edge.data import LabelMap, Result, SourceInfo
from edge.errors import SinkError
from edge.events.event import Event, Receiver
from edge.events.rule import Rule, RuleState, check_classes
from edge.shares import Shares
from edge.sinks.base import Sink
from edge.sinks.h264 import USUAL_RATE
from edge.sinks.rows import FrameClock, utc_now


class EventWatch(Sink):
    """A sink that tells `receivers`, by their names, and `say` when rules begin and end to be met.

    Pictures without a time stand at 30 in a second. What is met at the end ends there. A receiver that fails is closed
    and left out; the failure of the last one is raised.

    Raises UsageError where the model has not the classes of a rule.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        info: SourceInfo,
        shares: Shares,
        receivers: Mapping[str, Receiver],
        say: Callable[[str], None],
    ) -> None:
        check_classes(rules, shares.classes)
        self._states = [RuleState(rule) for rule in rules]
        self._clock, self._shares, self._say = FrameClock(info), shares, say
        self._receivers = dict(receivers)
        self._begun_s: dict[str, float] = {}
        self._last: tuple[Result, float, dict[str, float]] | None = None

    def write(self, result: Result) -> None:
        time_s = self._clock.time_s(result.frame)
        time_s = float(result.frame.index / USUAL_RATE) if time_s is None else time_s
        shares = self._of_rules(result.labels)
        self._last = result, time_s, shares
        for state in self._states:
            if state.turns(time_s, shares[state.rule.name]):
                self._tell(state, *self._last)
        met = any(state.met for state in self._states)
        self._all(lambda receiver: receiver.follow(result, met))

    def close(self) -> None:
        if self._last is not None:
            for state in self._states:
                if state.met:
                    state.met = False
                    with suppress(SinkError):
                        self._tell(state, *self._last)
        failed: SinkError | None = None
        for receiver in self._receivers.values():
            try:
                receiver.close()
            except SinkError as exc:
                failed = failed or exc
        self._receivers = {}
        if failed is not None:
            raise failed

    def _of_rules(self, labels: LabelMap) -> dict[str, float]:
        """The share of each rule, by its name."""
        rules = [state.rule for state in self._states]
        counted = {rule.region: self._shares.of(labels, rule.region) for rule in rules}
        return {rule.name: sum(counted[rule.region][name] for name in rule.classes) for rule in rules}

    def _tell(self, state: RuleState, result: Result, time_s: float, shares: Mapping[str, float]) -> None:
        rule, frame = state.rule, result.frame
        share = round(shares[rule.name], 6)
        if state.met:
            self._begun_s[rule.name] = time_s
            event = Event(rule.name, "begun", utc_now(), frame.index, round(time_s, 4), share)
            self._say(f"{rule.name}: begun with {share:.1%} at {time_s:.1f} s (frame {frame.index})")
        else:
            lasted_s = round(time_s - self._begun_s.pop(rule.name), 4)
            event = Event(rule.name, "ended", utc_now(), frame.index, round(time_s, 4), share, lasted_s)
            self._say(f"{rule.name}: ended after {lasted_s:.1f} s at {time_s:.1f} s (frame {frame.index})")
        self._all(lambda receiver: receiver.take(event, rule.slug, result))

    def _all(self, call: Callable[[Receiver], None]) -> None:
        for name, receiver in list(self._receivers.items()):
            try:
                call(receiver)
            except SinkError as exc:
                del self._receivers[name]
                with suppress(SinkError):  # it has said what is wrong
                    receiver.close()
                if not self._receivers:
                    raise
                self._say(f"{exc}; going on without {name}")
