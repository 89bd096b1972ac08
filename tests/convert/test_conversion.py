from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import small_models

from convert.cli.convert_model import main
from convert.conversion import Check, Outcome, asked
from convert.frames import Samples
from convert.job import Job
from convert.preparation import collect_frames
from convert.tflite.recipes import RECIPES
from convert.verdict import ClassFall, Verdict
from edge.classes import CITYSCAPES
from edge.errors import ConversionError
from edge.preprocess import DEEPLAB
from edge.progress import silent
from edge.scene import Scene
from edge.sources.left_out import LeftOut

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def outcome() -> Callable[..., Outcome]:
    def make(fidelity: float, drop: float | None = None, allowed: float | None = None) -> Outcome:
        verdict = Verdict(8, fidelity, miou_drop=drop)
        return Outcome(RECIPES["int8"], Path("x.tflite"), 1, 1.0, verdict, 0.95, allowed)

    return make


def test_gate_asks_for_fidelity_and_where_wanted_for_miou(outcome: Callable[..., Outcome]) -> None:
    assert outcome(0.96).passed
    assert outcome(0.94).shortcomings == ["int8 0.9400 < 0.95"]
    assert outcome(float("nan")).shortcomings == ["int8 nan < 0.95"]
    assert outcome(0.96, drop=0.01, allowed=0.02).passed
    assert outcome(0.96, drop=0.03, allowed=0.02).shortcomings == ["int8 mIoU 0.0300 lower, allowed 0.02"]
    assert outcome(0.96, allowed=0.02).shortcomings == ["int8 mIoU unknown"]
    assert outcome(0.96, drop=0.03).passed, "nobody asked"


def test_gate_holds_a_class_that_falls_against_a_model_where_wanted(outcome: Callable[..., Outcome]) -> None:
    fell = Verdict(8, 0.96, class_falls={"rider": ClassFall(0.8, 0.49, 851), "road": ClassFall(0.9, 0.8, 9)})
    made = replace(outcome(0.96), verdict=fell)
    assert made.passed, "nobody asked"
    assert replace(made, max_class_drop=0.4).passed
    assert replace(made, max_class_drop=0.3).shortcomings == [
        "int8 IoU lower by more than 0.3: rider 0.8000 -> 0.4900 (851 pixels)"
    ]
    assert replace(outcome(0.96), max_class_drop=0.3).shortcomings == ["int8 IoU by class unknown"]
    assert asked(replace(made, max_class_drop=0.3)) == pytest.approx(0.98), "as where mIoU fell short"


def test_a_rescue_aims_at_the_limit_or_at_half_of_what_was_lost(outcome: Callable[..., Outcome]) -> None:
    assert asked(outcome(0.90)) == 0.95
    assert asked(outcome(0.96, drop=0.03, allowed=0.02)) == pytest.approx(0.98)
    assert asked(replace(outcome(0.90), max_miou_drop=0.02)) == pytest.approx(0.95)


def test_pictures_that_cannot_be_read_are_told_and_strict_ends_with_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), Scene(index).draw(1.0, (33, 65))[0])
    (tmp_path / "3.png").touch()
    (tmp_path / "notes.txt").touch()
    said: list[str] = []
    job = Job([RECIPES["float32"]], (33, 65), "auto", tmp_path, [str(tmp_path)], 4, 4, None, None)
    collect_frames(job, (33, 65), CITYSCAPES, silent, said.append)
    assert said == [
        "left out: 1 .txt file (notes.txt)",
        "left out: 3.png (expected a picture, found an empty file)",
        "1 of 4 pictures was left out",
        "3 frames to verify with tell little of others",
    ]
    arguments = ["demo", "--quantize", "float32", "--input-size", "33x65", "--calibrate", str(tmp_path)]
    assert main([*arguments, "--output", str(tmp_path / "out"), "--strict"]) == 1
    assert "3.png: expected a picture, found an empty file" in capsys.readouterr().err


def test_a_model_that_crashes_the_runtime_is_an_error_of_the_conversion() -> None:
    samples = Samples([], [], LeftOut())
    check = Check(DEEPLAB, CITYSCAPES, samples, [], silent, "align_corners")
    with pytest.raises(ConversionError, match=r"cannot be used: int8: this model crashes its runtime \(SIGABRT\)"):
        check(small_models.crashing(), RECIPES["int8"])


def test_labels_of_a_folder_give_miou_and_its_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures, labels = tmp_path / "pictures", tmp_path / "labels"
    pictures.mkdir()
    labels.mkdir()
    for index in range(2):
        pixels, truth = Scene(index).draw(1.0, (129, 257))
        cv2.imwrite(str(pictures / f"{index}.png"), pixels[..., ::-1])
        cv2.imwrite(str(labels / f"{index}.png"), truth)
    arguments = ["demo", "--quantize", "float32", "--input-size", "129x257", "--calibrate", str(pictures)]
    arguments += ["--labels", str(labels), "--output", str(tmp_path), "--json"]
    assert main([*arguments, "--max-miou-drop", "0.01", "--max-class-drop", "0.05"]) == 0
    row = json.loads(capsys.readouterr().out)[0]
    assert 0.1 < row["mean_iou"] < 0.9
    assert row["miou_drop"] == pytest.approx(0, abs=0.01)
    assert row["mean_iou"] == pytest.approx(row["retargeted_mean_iou"], abs=0.01)
    assert 0 < row["objects"] <= 1
    assert row["per_class"]["road"] > 0.99
    for path in labels.iterdir():
        cv2.imwrite(str(path), np.full((129, 257), 255, np.uint8))  # nothing is known
    assert main([*arguments, "--max-miou-drop", "0.01", "--max-class-drop", "0.05"]) == 3
    assert "float32 mIoU unknown, float32 IoU by class unknown" in capsys.readouterr().err


def test_a_class_that_falls_is_told_or_keeps_the_file_from_being_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convert.doubts.MOST_FALL", 0.001)  # what int8 of the demo does to some class at any size
    monkeypatch.setattr("convert.doubts.LEAST_IOU", 1.0)
    arguments = ["demo", "--quantize", "int8", "--input-size", "65x129", "--calibration-frames", "4", "--no-rescue"]
    arguments += ["--verification-frames", "3", "--min-agreement", "0", "--json", "--output", str(tmp_path)]
    assert main([*arguments, "--max-class-drop", "0"]) == 3
    captured = capsys.readouterr()
    assert re.search(r"int8 IoU lower by more than 0: \w.* \d\.\d+ -> \d\.\d+ \(\d+ pixels\)", captured.err)
    assert "int8: IoU against the truth falls" not in captured.err, "it is said once"
    assert list(tmp_path.iterdir()) == []
    falls = json.loads(captured.out)[0]["class_falls"]
    assert any(fall["retargeted_iou"] > fall["model_iou"] and fall["pixels"] for fall in falls.values())
    assert main(arguments) == 0
    said = capsys.readouterr().err
    assert "int8: IoU against the truth falls by more than 0.001: " in said
    assert "int8: IoU with what the network that was given sees is below 1: " in said
