from __future__ import annotations

from dataclasses import replace

import pytest

from convert.suspicious_frames import Look, look
from convert.weak_frames import weaknesses
from edge.scene import DEMO_SEED, Scene

HW = (90, 160)
DIFFERENT = (
    "the frames show different scenes, of which 8 to verify with tell little; ask for more `verification_frames`"
)


@pytest.fixture(scope="module")
def drive() -> list[Look]:
    """The demo's, a frame every quarter of a second."""
    scene = Scene(DEMO_SEED)
    return [look(scene.draw(second / 4, HW)[0], "demo") for second in range(40)]


@pytest.fixture(scope="module")
def scenes() -> list[Look]:
    return [look(Scene(seed).draw(1.0, HW)[0], "pictures") for seed in range(24)]


def test_frames_smaller_than_the_input_are_told_by_their_median_size(drive: list[Look]) -> None:
    line = (
        "frames of 90x160 (median) are enlarged to the input of 129x257: they are smoother than a camera's, and the "
        "fidelity of int8 may come out 0.01 too high or too low"
    )
    assert weaknesses(drive, 8, (129, 257)) == [line]
    assert weaknesses(drive, 8, (60, 257)) == [line.replace("129x257", "60x257")], "one side is enough"
    assert weaknesses(drive, 8, (91, 161)) == [], "a pixel more is no enlargement to speak of"
    assert weaknesses(drive, 8, HW) == []
    large = [replace(one, size_hw=(720, 1280)) for one in drive]
    assert weaknesses([*drive[:19], *large[19:]], 8, (129, 257)) == [], "most are large enough"


def test_few_frames_are_told(drive: list[Look]) -> None:
    assert weaknesses(drive, 4, HW) == ["4 frames to verify with tell little of others"]
    assert weaknesses(drive[:1], 1, HW) == ["1 frame to verify with tells little of others"]
    assert weaknesses(drive, 5, HW) == []


def test_pictures_of_different_scenes_are_told_unless_there_are_many(scenes: list[Look], drive: list[Look]) -> None:
    assert weaknesses(scenes, 8, HW) == [DIFFERENT]
    assert weaknesses(scenes, 20, HW) == []
    assert weaknesses([*scenes[:4], *drive], 8, HW) == [], "most are of one drive"
    assert weaknesses(drive[::5], 8, HW) == [], "eight of a drive of ten seconds"


def test_nothing_is_told_of_no_frames() -> None:
    assert weaknesses([], 8, HW) == []
