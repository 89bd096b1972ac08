from __future__ import annotations

import pytest

from edge.classes import CITYSCAPES
from edge.errors import UsageError
from edge.events.rule import Rule, RuleState, check_classes, parse_rule, parse_rules


def turns(rule: str, shares: list[float], step_s: float = 0.1) -> list[int]:
    """The frames at which the rule begins and ends to be met."""
    state = RuleState(parse_rule(rule))
    return [index for index, share in enumerate(shares) if state.turns(index * step_s, share)]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (
            "person in path > 2 % for 0.3 s",
            Rule("person in path", ("person",), "path", True, 0.02, 0.3, 0.015, 1.0),
        ),
        (
            " Somebody near: person + rider in the path>2.5% for 2s, until <1% for 0.5 s ",
            Rule("Somebody near", ("person", "rider"), "the path", True, 0.025, 2.0, 0.01, 0.5),
        ),
        ("road < 40 % until > 60 %", Rule("road", ("road",), None, False, 0.4, 0.0, 0.6, 1.0)),
        ("traffic light > 0 %", Rule("traffic light", ("traffic light",), None, True, 0.0, 0.0, 0.0, 1.0)),
        ("road < 90 % for 5 s", Rule("road", ("road",), None, False, 0.9, 5.0, 0.925, 5.0)),
        ("road < 20 %", Rule("road", ("road",), None, False, 0.2, 0.0, 0.25, 1.0)),
        ("road < 60 %", Rule("road", ("road",), None, False, 0.6, 0.0, 0.7, 1.0)),
        ("road < 100 %", Rule("road", ("road",), None, False, 1.0, 0.0, 1.0, 1.0)),
    ],
)
def test_a_rule_is_read(text: str, rule: Rule) -> None:
    found = parse_rule(text)
    assert (found.limit, found.until) == pytest.approx((rule.limit, rule.until))
    assert repr(found).replace(repr(found.limit), "").replace(repr(found.until), "") == repr(rule).replace(
        repr(rule.limit), ""
    ).replace(repr(rule.until), "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected CLASS > 2 %"),
        ("person", "expected CLASS > 2 %"),
        ("person > 2", "expected CLASS > 2 %"),
        ("person > 2 % for 3", "expected CLASS > 2 %"),
        ("person >= 2 %", "expected CLASS > 2 %"),
        ("person > 102 %", "expected a share from 0 to 100 %"),
        ("person < 0 %", "below more than 0 %"),
        ("person > 2 % until 3 %", "expected it to end on the other side of 2 %"),
        ("person < 2 % until 1 %", "expected it to end on the other side of 2 %"),
        ("-: person > 2 %", "expected a name with letters or numbers"),
    ],
)
def test_what_is_no_rule_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_rule(text)
    assert words in str(caught.value)
    assert repr(text) in str(caught.value)


def test_rules_are_told_apart_and_know_their_regions_and_classes() -> None:
    assert [rule.slug for rule in parse_rules(["car in a > 1 %", "Zwei Straßen: car > 2 %"], {"a": []})] == [
        "car-in-a",
        "zwei-strassen",
    ]
    with pytest.raises(UsageError, match="another one is called 'car' too"):
        parse_rules(["car > 1 %", "car > 2 %"], {})
    with pytest.raises(UsageError, match="there is no region 'b': expected one of a"):
        parse_rules(["car in b > 1 %"], {"a": []})
    with pytest.raises(UsageError, match="no regions are given"):
        parse_rules(["car in b > 1 %"], {})
    check_classes(parse_rules(["car+road > 1 %"], {}), CITYSCAPES)
    with pytest.raises(UsageError, match="this model has no class 'cat'"):
        check_classes(parse_rules(["cat > 1 %"], {}), CITYSCAPES)


def test_it_is_met_when_it_held_for_so_long() -> None:
    seen = [0.0, 0.05, 0.05, 0.0, 0.05, 0.05, 0.05, 0.05, 0.05]
    assert turns("car > 2 % for 0.3 s", seen) == [7], "the first time it was too short"
    assert turns("car > 2 %", seen) == [1]
    assert turns("road < 2 % for 0.2 s", [0.5, 0.01, 0.01, 0.01]) == [3]


def test_what_flickers_about_the_limit_tells_once() -> None:
    """Between 1.6 and 2.4 %: beyond the limit of 2 %, never back to 1.5 %."""
    assert turns("car > 2 %", [0.024, 0.016] * 50) == [0]
    assert turns("car > 2 % until 1.7 % for 0 s", [0.024, 0.016] * 2) == [0, 1, 2, 3]
    gaps = [0.03, 0.0, 0.0, 0.0] * 10 + [0.0] * 12
    assert turns("car > 2 %", gaps) == [0, 47], "it ends a second after the last"


def test_what_stays_between_limit_and_end_goes_on() -> None:
    assert turns("car > 2 %", [0.03] + [0.016] * 30) == [0], "1.6 % is not back at 1.5 %"
    assert turns("car > 2 %", [0.03] + [0.015] * 30) == [0, 11]
    assert turns("road < 40 %", [0.3] + [0.45] * 30) == [0], "45 % is not back at 50 %"
    assert turns("road < 40 %", [0.3] + [0.55] * 30) == [0, 11]


def test_it_ends_when_it_was_gone_for_so_long() -> None:
    assert turns("car > 2 % until 1 % for 0.2 s", [0.03, 0.0, 0.0, 0.0, 0.0, 0.03]) == [0, 3, 5]
    assert turns("road < 40 % until 60 % for 0.1 s", [0.3, 0.5, 0.5, 0.6, 0.7]) == [0, 4]


@pytest.mark.parametrize(
    ("rule", "whole", "nothing"),
    [
        ("road < 100 %", [0.5, *[1 - 1e-9] * 12], [1 - 1e-9] * 12),
        ("road < 40 % until 100 %", [0.3, *[1 - 1e-9] * 12], [0.4 - 1e-9] * 12),
        ("road > 0 %", [0.5, *[1e-9] * 12], [1e-9] * 12),
    ],
)
def test_sums_of_shares_need_not_be_exact(rule: str, whole: list[float], nothing: list[float]) -> None:
    assert turns(rule, whole) == [0, 11]
    assert turns(rule, nothing) == []


def test_what_is_to_be_nearly_everywhere_comes_back() -> None:
    """A picture is hardly ever road to its last pixel."""
    assert turns("road < 80 %", [0.7, 0.82, *[0.9] * 12]) == [0, 12]
