"""Reads rules such as `person in path > 2 % for 0.3 s`, and tells when they are met."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from edge.classes import ClassSet
from edge.errors import UsageError

_NUMBER = r"\d+(?:\.\d+)?"
_RULE = re.compile(
    rf"(?:(?P<name>[^:<>]+):)?\s*(?P<classes>[^:<>]+?)(?:\s+in\s+(?P<region>[^:<>]+?))?"
    rf"\s*(?P<sign>[<>])\s*(?P<limit>{_NUMBER})\s*%(?:\s+for\s+(?P<hold>{_NUMBER})\s*s)?"
    rf"(?:\s*,?\s+until\s+[<>]?\s*(?P<until>{_NUMBER})\s*%(?:\s+for\s+(?P<rest>{_NUMBER})\s*s)?)?"
)
_FORM = (
    "CLASS > 2 %, or NAME: CLASS+CLASS in REGION > 2 % for 0.3 s until 1 % for 2 s, with < in place of > for what is "
    "to be there"
)
_BACK = 0.25  # of the limit: so far the share goes back before a rule is no longer met; of what is left where less
_SAME = 1e-7  # shares that are closer are the same: sums of shares are, and a pixel of ten millions is more
_REST_S = 1.0


@dataclass(frozen=True, slots=True)
class Rule:
    """What is to be told: that classes have more, or less, of a region than a limit, for so long."""

    name: str
    classes: tuple[str, ...]
    region: str | None  # None: the whole picture
    above: bool  # whether the share is to be above the limit; else below
    limit: float  # share, 0..1
    hold_s: float  # the rule is met when it was so for so long
    until: float  # share, 0..1, at which it no longer is
    rest_s: float  # when it was there for so long

    @property
    def slug(self) -> str:
        """The name as files and topics have it."""
        return slug(self.name)


def slug(text: str) -> str:
    """Returns a text as files and topics have it: small letters and numbers, with - between them."""
    return re.sub(r"[\W_]+", "-", text.casefold()).strip("-")


def parse_rule(text: str) -> Rule:
    """Reads one rule. Without `until` it ends where the share has gone back by a quarter of the limit, or of what is
    left to the whole where that is less, for as long as it had to hold, a second at least.

    Raises UsageError.
    """
    found = _RULE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"rule {text!r}: expected {_FORM}")
    limit, above = float(found["limit"]) / 100, found["sign"] == ">"
    hold_s = float(found["hold"] or 0)
    usual = limit * (1 - _BACK) if above else limit + _BACK * min(limit, 1 - limit)
    until = usual if found["until"] is None else float(found["until"]) / 100
    if limit > 1 or (limit == 0 and not above):
        raise UsageError(
            f"rule {text!r}: expected a share from 0 to 100 %, below more than 0 %, got {found['limit']} %"
        )
    if (until > limit) if above else (until < limit):
        raise UsageError(f"rule {text!r}: expected it to end on the other side of {found['limit']} %")
    subject = f"{found['classes']} in {found['region']}" if found["region"] else found["classes"]
    name = " ".join((found["name"] or subject).split())
    if not slug(name):
        raise UsageError(f"rule {text!r}: expected a name with letters or numbers, got {name!r}")
    classes = tuple(part.strip() for part in found["classes"].split("+"))
    rest_s = max(_REST_S, hold_s) if found["rest"] is None else float(found["rest"])
    return Rule(name, classes, found["region"], above, limit, hold_s, min(1.0, until), rest_s)


def parse_rules(texts: Iterable[str], regions: Collection[str]) -> tuple[Rule, ...]:
    """Reads rules that are told apart by their names. Raises UsageError, for regions that are not there as well."""
    rules: dict[str, Rule] = {}
    for text in texts:
        rule = parse_rule(text)
        if rule.slug in rules:
            raise UsageError(f"rule {text!r}: another one is called {rule.name!r} too; write NAME: before one of them")
        if rule.region is not None and rule.region not in regions:
            there = f"expected one of {', '.join(regions)}" if regions else "no regions are given (`regions`)"
            raise UsageError(f"rule {text!r}: there is no region {rule.region!r}: {there}")
        rules[rule.slug] = rule
    return tuple(rules.values())


def check_classes(rules: Iterable[Rule], classes: ClassSet) -> None:
    """Makes sure that the model has the classes of all rules. Raises UsageError."""
    for rule in rules:
        unknown = [name for name in rule.classes if name not in classes.names]
        if unknown:
            there = ", ".join(classes.names)
            raise UsageError(f"rule {rule.name!r}: this model has no class {unknown[0]!r}: expected some of {there}")


class RuleState:
    """Whether a rule is met, from the shares of frame after frame.

    It is met when the share was beyond the limit in all frames for `hold_s`, and stays so until it was at `until` or
    farther back in all frames for `rest_s`: a share that flickers about the limit tells nothing twice.
    """

    def __init__(self, rule: Rule) -> None:
        self.rule, self.met = rule, False
        self._since_s: float | None = None  # when the share has begun to speak for the other state

    def turns(self, time_s: float, share: float) -> bool:
        """Takes the share in a frame at `time_s`, and returns whether `met` has changed."""
        if not self._speaks_for_the_other(share):
            self._since_s = None
            return False
        if self._since_s is None:
            self._since_s = time_s
        needed_s = self.rule.rest_s if self.met else self.rule.hold_s
        if time_s - self._since_s < needed_s - 1e-6:
            return False
        self.met, self._since_s = not self.met, None
        return True

    def _speaks_for_the_other(self, share: float) -> bool:
        rule = self.rule
        if self.met:
            return share <= rule.until + _SAME if rule.above else share >= rule.until - _SAME
        return share > rule.limit + _SAME if rule.above else share < rule.limit - _SAME
