"""The attack itself: what it must find is found, and its shortest kinds are played."""

from __future__ import annotations

import signal
from pathlib import Path

import addresses
import cv2
import numpy as np
import pytest
from case import NUMBERS, chance_of, damaged
from judge import findings


@pytest.mark.parametrize(
    ("status", "said", "found"),
    [
        (0, "labelling ...\n", []),
        (1, "a notice\nrun-model: m.tflite: damaged\n", []),
        (3, "run-model: too few\n", []),
        (None, "", ["hang"]),
        (-signal.SIGSEGV, "", ["died of SIGSEGV"]),
        (1, "", ["no line that says why"]),
        (1, "convert-model: no\n", ["no line that says why"]),
        (130, "run-model: interrupted\n", ["exit code 130"]),
        (98, "run-model: x\n", ["check failed"]),
        (0, "Traceback (most recent call last):\n  a thread died\n", ["traceback"]),
        (1, "run-model: unexpected KeyError: 3 (run with --debug to see where)\n", ["unexpected error"]),
    ],
)
def test_what_breaks_the_rule_is_found(status: int | None, said: str, found: list[str], tmp_path: Path) -> None:
    (tmp_path / "stderr").write_text(said)
    assert list(findings(tmp_path, "run-model", status)) == found


def test_half_written_and_forgotten_files_are_found(tmp_path: Path) -> None:
    (tmp_path / "stderr").touch()
    out = tmp_path / "out"
    out.mkdir()
    cv2.imwrite(str(out / "good.png"), np.zeros((4, 4), np.uint8))
    (out / "good.json").write_text("{}")
    for name in ("bad.png", "bad.json", "bad.mp4", "bad.csv", "x.json.roadlite-1.part"):
        (out / name).write_bytes(b"{" if name.endswith("json") else b"")
    (tmp_path / "tmp" / "roadlite-abcdefgh.tmp").mkdir(parents=True)
    wrong = set(findings(tmp_path, "run-model", 0))
    assert wrong == {
        *(f"half-written bad.{kind}" for kind in ("png", "json", "mp4", "csv")),
        "left x.json.roadlite-1.part",
        "left roadlite-abcdefgh.tmp",
    }


def test_damage_is_the_same_for_a_number_and_another_for_the_next() -> None:
    made = [[damaged(bytes(range(256)), chance_of("x", number)) for number in range(20)] for _ in range(2)]
    assert made[0] == made[1]
    assert len(set(made[0])) > 15
    assert chance_of("x", 1).choice(NUMBERS) is not None


def test_no_address_shows_what_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    addresses.attack(0, 40)
