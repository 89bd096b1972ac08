"""What must hold on a Raspberry Pi; `make test-pi` runs it on an emulated one."""

from __future__ import annotations

import json
import os
import platform
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import cameras
from edge.cli.check_device import main as check_device
from edge.cli.run_model import main as run_model
from edge.engine import open_engine

BOARD = os.environ.get("ROADLITE_BOARD", "")
MATERIAL = Path(os.environ.get("ROADLITE_MATERIAL", ""))  # model.tflite, pictures/, labels/ as x86 gave them
MODEL = MATERIAL / "model.tflite"

pytestmark = pytest.mark.skipif(not BOARD, reason="runs in make test-pi")


def test_it_is_the_pis_debian() -> None:
    assert platform.machine() == "aarch64"
    assert platform.python_version_tuple()[:2] == ("3", "13")
    assert "trixie" in Path("/etc/os-release").read_text()


@pytest.mark.parametrize("name", ["tensorflow", "convert"])
def test_what_belongs_to_the_workstation_is_absent(name: str) -> None:
    assert find_spec(name) is None


@pytest.mark.parametrize("name", ["libcamera", "picamera2"])
def test_camera_stack_is_there(name: str) -> None:
    spec = find_spec(name)
    assert spec is not None
    assert str(spec.origin).startswith(("/usr/lib/python3/dist-packages/libcamera/", "/opt/packages/picamera2/"))
    __import__(name)


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
    assert (code, about["ready"], about["runtime"], about["problems"]) == (0, True, "litert", [])
    assert (about["board"], about["machine"]) == (BOARD, "aarch64")
    assert about["libraries"]["picamera2"]["error"] == ""
    assert ("dotprod" in about["features"]) is ("Pi 5" in BOARD)
    assert check_device([]) == 0
    with capsys.disabled():
        print()  # noqa: T201
        print(capsys.readouterr().out)  # noqa: T201


def test_labels_equal_those_of_x86(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = sorted((MATERIAL / "pictures").iterdir())
    assert len(pictures) == 4
    assert run_model([str(MODEL), "--source", str(MATERIAL / "pictures"), "--output", f"labels:{tmp_path}"]) == 0
    ours, theirs = (
        np.stack([cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in sorted(folder.glob("*.png"))])
        for folder in (tmp_path, MATERIAL / "labels")
    )
    assert ours.shape == (4, 720, 1280)
    assert len(np.unique(ours)) > 5  # it sees a street
    share = float((ours == theirs).mean())
    with capsys.disabled():
        print(f"\n{BOARD}: {share:.4%} of the labels equal those of x86")  # noqa: T201
    assert share >= 0.999
