"""What must hold on a Raspberry Pi; `make test-pi` runs it on an emulated one."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cli.check_device import main as check_device
from edge.cli.run_model import main as run_model
from edge.device import cameras
from edge.engine.open import open_engine

BOARD = os.environ.get("ROADLITE_BOARD", "")
MATERIAL = Path(os.environ.get("ROADLITE_MATERIAL", ""))  # of make_material.py
MODEL, PICTURE = MATERIAL / "model.tflite", MATERIAL / "pictures" / "0.png"
SUITES = {("3", "11"): "bookworm", ("3", "13"): "trixie"}
SUITE = SUITES.get(platform.python_version_tuple()[:2], "")

pytestmark = pytest.mark.skipif(not BOARD, reason="runs in make test-pi")
camera_stack = pytest.mark.skipif(
    SUITE == "bookworm", reason="picamera2 needs libcamera, and Debian bookworm has no python3-libcamera"
)


def test_it_is_the_pis_debian() -> None:
    assert platform.machine() == "aarch64"
    assert SUITE in Path("/etc/os-release").read_text()
    assert platform.libc_ver()[1] == {"bookworm": "2.36", "trixie": "2.41"}[SUITE]


@pytest.mark.parametrize("name", ["tensorflow", "convert"])
def test_what_belongs_to_the_workstation_is_absent(name: str) -> None:
    assert find_spec(name) is None


@camera_stack
@pytest.mark.parametrize("name", ["libcamera", "picamera2"])
def test_camera_stack_is_there(name: str) -> None:
    spec = find_spec(name)
    assert spec is not None
    assert str(spec.origin).startswith(("/usr/lib/python3/dist-packages/libcamera/", f"{sys.prefix}/lib/python3.13/"))
    __import__(name)


@camera_stack
def test_video_nodes_are_asked_as_the_kernel_defines_it() -> None:
    import videodev2

    assert cameras._QUERYCAP == videodev2.VIDIOC_QUERYCAP & 0xFFFFFFFF  # signed there


def test_xnnpack_takes_the_model() -> None:
    partitions = open_engine(MODEL.read_bytes(), "model").partitions()
    assert partitions.delegated >= 1
    assert partitions.outside <= 1


def test_check_device(capsys: pytest.CaptureFixture[str]) -> None:
    code = check_device(["--json"])
    about = json.loads(capsys.readouterr().out)
    assert (code, about["ready"], about["runtime"]) == (0, True, "litert")
    lacking = ["picamera2 is not installed: no Pi camera"] if SUITE == "bookworm" else []
    assert [problem["what"] for problem in about["problems"]] == lacking
    assert (about["board"], about["machine"]) == (BOARD, "aarch64")
    assert (about["libraries"]["picamera2"] is None) is (SUITE == "bookworm")
    assert all(found is None or found["error"] == "" for found in about["libraries"].values())
    assert ("dotprod" in about["features"]) is ("Pi 5" in BOARD)
    assert check_device([]) == 0
    with capsys.disabled():
        print()
        print(capsys.readouterr().out)


def test_labels_equal_those_of_x86(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_model([str(MODEL), "--source", str(MATERIAL / "pictures"), "--output", f"labels:{tmp_path}"]) == 0
    ours, theirs = (
        np.stack([cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in sorted(folder.glob("*.png"))])
        for folder in (tmp_path, MATERIAL / "labels")
    )
    assert ours.shape == (4, 720, 1280)
    assert len(np.unique(ours)) > 5  # it sees a street
    share = float((ours == theirs).mean())
    with capsys.disabled():
        print(f"\n{BOARD}: {share:.4%} of the labels equal those of x86")
    assert share >= 0.999


def typed(command: str, *arguments: object) -> str:
    """What a user sees who types a command, spelt as pip has installed it."""
    program = Path(sys.executable).with_name(command)
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_run_model_paints_a_picture_as_on_x86(tmp_path: Path) -> None:
    typed("run-model", MODEL, "--source", PICTURE, "--output", tmp_path / "overlay.png")
    plain, ours, theirs = (
        cv2.imread(str(path)).astype(int) for path in (PICTURE, tmp_path / "overlay.png", MATERIAL / "overlay.png")
    )
    assert ours.shape == plain.shape
    assert (np.abs(ours - plain).max(axis=2) > 10).mean() > 0.5, "it painted little"
    assert (np.abs(ours - theirs).max(axis=2) <= 2).mean() >= 0.999


def test_evaluate_model_finds_the_figures_of_x86(tmp_path: Path) -> None:
    arguments = ["--source", MATERIAL / "pictures", "--labels", MATERIAL / "truth", "--frames", 0]
    table = typed("evaluate-model", MODEL, *arguments, "--output", tmp_path)
    assert "mIoU" in table
    ours, theirs = (json.loads((folder / "scores.json").read_text()) for folder in (tmp_path, MATERIAL))
    assert (ours["pictures"], ours["left_out"]) == (1, [])
    (our_figures,), (their_figures,) = ours["models"], theirs["models"]
    assert 0.5 < our_figures["pixel_accuracy"] < 1
    for name in ("pixel_accuracy", "mean_iou", "frequency_weighted_iou"):
        assert our_figures[name] == pytest.approx(their_figures[name], abs=1e-3)
    assert {path.name for path in tmp_path.glob("*.*")} >= {"pictures.csv", "scores.json"}
