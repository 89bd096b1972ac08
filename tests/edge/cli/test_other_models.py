"""Models that other people made, without a card: what the commands say of them, and do with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cli import compare_models, evaluate_model, run_model

small_models = pytest.importorskip("small_models")

Saved = Callable[[bytes], str]
COLOURS = np.eye(3, dtype=np.uint8) * 255


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Saved:
    """Writes a model; beside it lies the folder `street` with a picture of a red, a green and a blue third."""
    monkeypatch.chdir(tmp_path)
    Path("street").mkdir()
    thirds = COLOURS[np.repeat([[0, 1, 2]], 20, axis=0).repeat(12, axis=1)]
    cv2.imwrite("street/p.png", cv2.cvtColor(thirds, cv2.COLOR_RGB2BGR))

    def save(model: bytes) -> str:
        Path("own.tflite").write_bytes(model)
        return "own.tflite"

    return save


def ran(model: str, *arguments: str) -> int:
    return run_model.main([model, "--normalise", "deeplab", "--source", "street/p.png", *arguments])


def named(count: int) -> str:
    Path("names.txt").write_text("".join(f"thing {i}\n" for i in range(count)))
    return "names.txt"


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err.splitlines()[-1]


def test_what_is_a_guess_is_said_with_the_flag_that_says_otherwise(
    saved: Saved, capsys: pytest.CaptureFixture[str]
) -> None:
    model = saved(small_models.strongest())
    assert ran(model, "--output", "null") == 0
    assert (
        "own.tflite: labels do not tell what classes they are of: those of Cityscapes are a guess; --classes names them"
        in (capsys.readouterr().err.splitlines())
    )
    assert ran(model, "--output", "null", "--classes", "voc") == 0
    assert "guess" not in capsys.readouterr().err


def test_cityscapes_own_ids_need_classes_that_are_known(saved: Saved, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(small_models.strongest())
    wanted = ["--output", "labels:out?ids=labelIds"]
    assert ran(model, *wanted) == 2
    assert "is a guess; say so with --classes cityscapes" in last_line(capsys)
    assert not Path("out").exists()
    assert ran(model, *wanted, "--classes", "cityscapes") == 0
    assert cv2.imread("out/p.png", cv2.IMREAD_UNCHANGED)[10, 5::12].tolist() == [7, 8, 11]


def test_labels_beyond_the_names_end_the_run(saved: Saved, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(small_models.strongest("int32", times=149))
    assert ran(model, "--output", "labels:out") == 1
    line = last_line(capsys)
    assert line.startswith("run-model: own.tflite: ")
    assert "2 labels that stand for no class (149, 298): 19 classes were guessed" in line
    assert line.endswith("name all of the model's --classes")
    assert not list(Path("out").iterdir())


def test_labels_of_hundreds_of_classes_are_16_bit_pictures(saved: Saved, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(small_models.strongest("int32", times=149))
    names = ["--classes", named(299)]
    assert (
        ran(model, *names, "--output", "labels:out", "--output", "o.png", "--view", "mask", "--no-hud", "--no-legend")
        == 0
    )
    stored = cv2.imread("out/p.png", cv2.IMREAD_UNCHANGED)
    assert (stored.dtype, stored[10, 5::12].tolist()) == (np.uint16, [0, 149, 298])
    assert len({tuple(colour) for colour in cv2.imread("o.png")[10, 5::12].tolist()}) == 3
    capsys.readouterr()
    assert ran(model, *names, "--output", "web://127.0.0.1:0") == 2
    assert "shows at most 255 classes, this model has 299" in last_line(capsys)
    assert ran(model, *names, "--output", "null", "--smooth", "two") == 2
    assert "--smooth: expected a model that gives class scores" in last_line(capsys)
    street = ["--source", "street", "--labels", "street", "--normalise", "deeplab", *names, "--mapping", "ids"]
    cv2.imwrite("street/p_labels.png", np.zeros((20, 36), np.uint8))
    assert evaluate_model.main([model, *street]) == 2
    assert "own.tflite: expected at most 255 classes to score, got 299" in last_line(capsys)


def test_an_output_is_chosen_by_name(
    saved: Saved, tiny_model: Callable[..., bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    model = saved(tiny_model(output="both"))
    assert ran(model, "--output", "null", "--smooth", "two") == 0
    assert "scores is read, not labels; --output-tensor names another" in capsys.readouterr().err
    assert ran(model, "--output", "null", "--output-tensor", "labels") == 0
    assert "19 classes" in capsys.readouterr().err
    assert ran(model, "--output", "null", "--output-tensor", "nope") == 2
    assert last_line(capsys) == "run-model: --output-tensor: own.tflite: expected one of scores, labels, got 'nope'"


def test_a_model_that_crashes_its_runtime_is_one_line(saved: Saved, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(small_models.crashing())
    crashes = "own.tflite: this model crashes its runtime (SIGABRT)"
    assert ran(model, "--output", "o.png") == 1
    assert last_line(capsys).startswith(f"run-model: {crashes}")
    assert not list(Path().glob("o.png*"))
    assert evaluate_model.main([model, "--source", "demo"]) == 1
    assert last_line(capsys).startswith(f"evaluate-model: {crashes}")
    assert ran(model, "--output", "null", "--runtime", "fastest") in (0, 1)  # 0 where another runtime takes it
    if "fastest here" not in (err := capsys.readouterr().err):
        assert crashes in err


def test_a_model_that_the_delegate_refuses_runs_without_and_says_so_once(
    saved: Saved, capsys: pytest.CaptureFixture[str]
) -> None:
    model = saved(small_models.refused_by_xnnpack())
    assert ran(model, "--output", "labels:out", "--runtime", "litert") == 0
    assert capsys.readouterr().err.count("XNNPACK refuses it; it runs on plain kernels") == 1
    assert cv2.imread("out/p.png", cv2.IMREAD_UNCHANGED)[10, 5::12].tolist() == [0, 1, 2]


def test_a_comparison_notes_what_is_assumed(saved: Saved, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(small_models.several("main", "aux"))
    quick = ["--source", "street", "--normalise", "deeplab", "--seconds", "0.05", "--min-runs", "5", "--cool-down", "0"]
    chosen = [*quick, "--runtime", "litert", "--threads", "1", "--output-tensor", "aux"]
    assert compare_models.main([model, *chosen, "--output", "report"]) == 0
    assert json.loads(Path("report/report.json").read_text())["rows"][0]["assumed"] == []
    capsys.readouterr()
    assert compare_models.main([saved(small_models.strongest()), *chosen[:-2], "--output", "report"]) == 0
    said = "labels do not tell what classes they are of: those of Cityscapes are a guess; --classes names them"
    report = json.loads(Path("report/report.json").read_text())
    assert report["rows"][0]["assumed"] == [said]
    assert f"own.tflite: {said}" in report["warnings"]


@pytest.mark.parametrize(("ids", "odd"), [((0, 1, 2), False), ((1, 2, 0), True)])
def test_an_evaluation_warns_of_labels_of_another_set(
    saved: Saved, capsys: pytest.CaptureFixture[str], ids: tuple[int, ...], odd: bool
) -> None:
    model = saved(small_models.several("scores"))
    Path("truth").mkdir()
    cv2.imwrite("truth/p.png", np.array(ids, np.uint8)[np.repeat([[0, 1, 2]], 20, axis=0).repeat(12, axis=1)])
    assert evaluate_model.main([model, "--source", "street", "--labels", "truth", "--normalise", "deeplab"]) == 0
    said = capsys.readouterr().err
    assert "truth: grey levels are taken for ids of the model's classes; --mapping says otherwise" in said
    assert ("what the truth calls class 0 (0) is its class 2" in said) is odd
    assert ("the labels and the model seem to have different sets of classes; --mapping says" in said) is odd
