from __future__ import annotations

from dataclasses import replace

from convert.doubts import doubts, fallen, low
from convert.verdict import ClassFall, Verdict

FALLS = {
    "road": ClassFall(0.99, 0.98, 90000),
    "rider": ClassFall(0.6, 0.5, 1),
    "truck": ClassFall(0.81, 0.49, 851),
    "bus": ClassFall(0.4, 0.6, 500),
}
SEEN = Verdict(
    8,
    per_class={"road": 0.99, "rider": 0.49, "truck": 0.31, "fence": 0.0},
    seen_pixels={"road": 100000, "rider": 200, "truck": 850, "fence": 20},
)


def test_classes_that_fall_are_named_with_both_ious_and_their_pixels() -> None:
    verdict = Verdict(8, class_falls=FALLS)
    assert fallen(verdict, 0.05) == ["truck 0.8100 -> 0.4900 (851 pixels)", "rider 0.6000 -> 0.5000 (1 pixel)"]
    assert fallen(verdict, 0.2) == ["truck 0.8100 -> 0.4900 (851 pixels)"]
    assert fallen(verdict, 0.5) == []


def test_falls_are_a_doubt_unless_a_limit_was_asked_for() -> None:
    verdict = Verdict(8, class_falls={"truck": FALLS["truck"]})
    line = "int8: IoU against the truth falls by more than 0.05: truck 0.8100 -> 0.4900 (851 pixels)"
    assert doubts("int8", verdict, None) == [line]
    assert doubts("int8", verdict, 0.4) == []
    assert doubts("int8", Verdict(8, class_falls={"truck": ClassFall(0.81, 0.77, 851)}), None) == []


def test_classes_that_are_seen_otherwise_are_named_where_they_have_some_pixels() -> None:
    assert low(SEEN) == ["truck 0.3100 (850 pixels)", "rider 0.4900 (200 pixels)"]
    line = "int8: IoU with what the network that was given sees is below 0.5: "
    assert doubts("int8", SEEN, 0.1) == [f"{line}truck 0.3100 (850 pixels), rider 0.4900 (200 pixels)"]
    assert low(replace(SEEN, seen_pixels={})) == []
