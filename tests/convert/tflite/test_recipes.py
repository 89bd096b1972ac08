from __future__ import annotations

import pytest

from convert.tflite.recipes import RECIPES, parse_recipes
from edge.errors import UsageError

pytestmark = pytest.mark.tensorflow


def test_recipes_come_in_the_order_given_each_once() -> None:
    assert [r.name for r in parse_recipes("int8, float32,int8,")] == ["int8", "float32"]
    assert [r.name for r in parse_recipes(",".join(RECIPES))] == ["float32", "float16", "dynamic", "int8"]


@pytest.mark.parametrize(("text", "reason"), [("int4", "unknown recipe 'int4'"), (" , ", "no recipe given")])
def test_unknown_recipes_are_refused_with_those_there_are(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=f"{reason}: expected some of float32,float16,dynamic,int8"):
        parse_recipes(text)


def test_only_full_integer_needs_frames_and_floats_are_held_to_more() -> None:
    assert [r.name for r in RECIPES.values() if r.calibrated] == ["int8"]
    assert {r.name: r.min_agreement for r in RECIPES.values()} == {
        "float32": 0.99,
        "float16": 0.99,
        "dynamic": 0.95,
        "int8": 0.95,
    }
