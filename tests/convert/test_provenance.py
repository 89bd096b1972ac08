from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from convert.provenance import Calibration, Provenance, Rescue, SourceGraph, read_provenance
from convert.verdict import ClassFall, Verdict
from edge import card as cards
from edge.card import Card
from edge.classes import VOC
from edge.errors import CardError
from edge.preprocess import DEEPLAB

FULL = Provenance(
    SourceGraph("a.pb", "0" * 64, (1025, 2049), 8, "logits/semantic/BiasAdd"),
    Calibration(2018, {"drive": (0, 5)}),
    Verdict(
        8,
        0.97,
        0.95,
        "drive 3",
        0.9,
        {"road": 0.99},
        {"road": 1234},
        {"road": ClassFall(0.9, 0.85, 1000)},
        shrinking=0.8,
        miou_drop=0.01,
        best_frame=0.98,
    ),
    {"drive": (3,)},
    {"roadlite": "0.1.0", "litert-quantizer": "0.11"},
    Rescue(("a;b",), {"a;b": 0.02}, 0.91),
    ("AvgPool averages over less",),
)


def carried(provenance: dict[str, object]) -> Card:
    """A card with this provenance, written behind a model and read again."""
    card = Card("net", "int8", (65, 129), 16, DEEPLAB, "logits", VOC, provenance)
    read = cards.read(cards.attach(b"TFL3" * 20, card), "net.tflite")
    assert read is not None
    return read


@pytest.mark.parametrize("whole", [FULL, replace(FULL, calibration=None, rescue=None, retargeting=())])
def test_what_a_card_tells_reads_back(whole: Provenance) -> None:
    assert read_provenance(carried(whole.as_json())) == whole
    assert ("rescue" in whole.as_json()) == (whole.rescue is not None)
    assert ("retargeting" in whole.as_json()) == bool(whole.retargeting)
    later = {**whole.as_json(), "something": "that a newer converter tells"}
    assert read_provenance(carried(later)) == whole


def test_a_card_that_tells_less_reads_too() -> None:
    """As converters before this one wrote it."""
    whole = FULL.as_json()
    verification = dict(whole["verification"])  # type: ignore[call-overload]
    for name in ("seen_pixels", "class_falls", "best_frame"):
        del verification[name]
    verification["invoke_ms"] = 12.5  # of a machine that nobody knows
    read = read_provenance(carried({**whole, "verification": verification})).verdict
    assert read == replace(FULL.verdict, seen_pixels={}, class_falls={}, best_frame=None)
    assert read.between is None


@pytest.mark.parametrize("other", [{}, {"verification": 3}, {**FULL.as_json(), "source": {"origin": 5}}])
def test_what_is_no_provenance_of_this_kit_is_one_line(other: dict[str, object]) -> None:
    with pytest.raises(CardError, match="does not tell where the model comes from") as caught:
        read_provenance(carried(other))
    assert "\n" not in str(caught.value)


def test_a_converted_model_tells_it(int8_model: Path) -> None:
    card = cards.read(int8_model.read_bytes(), "x")
    assert card is not None
    told = read_provenance(card)
    assert json.loads(json.dumps(told.as_json())) == card.provenance
    assert told.verdict.fidelity > 0.5
    assert told.calibration is not None
    assert not set(told.held_out) - set(told.calibration.frames)
