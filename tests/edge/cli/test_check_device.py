"""`check-device` as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from raspberry import PI

from edge.cli.check_device import main
from edge.device.board import Throttle
from edge.device.cameras import Search
from edge.device.survey import Device

BARE = replace(
    PI,
    throttle=Throttle(("undervoltage",), ("undervoltage", "throttled")),
    board=None,
    clock_mhz=None,
    memory=None,
    temperature_c=None,
    cameras=Search((), ("picamera2: no camera", "/dev/video*: none")),
    runtimes=dict.fromkeys(PI.runtimes),
)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Device:
    monkeypatch.setattr("edge.cli.check_device.look", lambda: request.param)
    return request.param  # type: ignore[no-any-return]


@pytest.mark.parametrize("device", [PI], indirect=True)
def test_sound_device(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    for said in (
        "Raspberry Pi 5 Model B Rev 1.0",
        "Debian GNU/Linux 13 (trixie)",
        "3.13.5, 64-bit",
        "with system packages",
        "4 x Cortex-A76 at 1500 of 2400 MHz",
        "dotprod, fp16",
        "ondemand",
        "61.3 °C",
        "now: no; since boot: no",
        "8.5 GB, 6.1 GB of it free",
        "litert 2.3.0, which run-model uses",
        "tflite-runtime: not installed",
        "picamera2:0 imx708",
        "/dev/video8 C920",
        "web page",
        "run-model can run here, on litert.",
    ):
        assert said in out


@pytest.mark.parametrize(
    "device", [replace(PI, features=("fma", "avx2"), int8_note="no VNNI: int8 gains less over float32")], indirect=True
)
def test_what_int8_lacks_stands_beside_the_features(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert "Features     fma, avx2 (no VNNI: int8 gains less over float32)\n" in capsys.readouterr().out


@pytest.mark.parametrize("device", [BARE], indirect=True)
def test_a_device_that_cannot_run_models(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 1
    out = capsys.readouterr().out
    assert 'STOPS        no runtime can be imported, and run-model needs one\n  fix        pip install "ai-edge' in out
    assert "now: undervoltage; since boot: undervoltage, throttled" in out
    assert "cannot run here" in out


@pytest.mark.parametrize("device", [PI, BARE], indirect=True)
def test_it_fits_a_terminal(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if not line.startswith("  fix")) <= 80


@pytest.mark.parametrize("device", [PI, BARE], indirect=True)
def test_json(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--json"])
    about = json.loads(capsys.readouterr().out)
    assert about["ready"] is (code == 0)
    assert about["runtime"] == ("litert" if code == 0 else None)
    assert about["python"] == "3.13.5"
    assert bool(about["problems"]) is not about["ready"]


@pytest.mark.parametrize("device", [replace(PI, governor="powersave")], indirect=True)
def test_problems_that_do_not_stop(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "run-model can run here, on litert; 1 problem to fix." in capsys.readouterr().out


@pytest.mark.parametrize("device", [replace(PI, throttle=Throttle((), ("throttled",)))], indirect=True)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_advice_about_run_model_names_its_flag(
    device: Device, form: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(form) == 0
    assert "run-model with --max-temp 75" in capsys.readouterr().out


def test_it_starts_where_opencv_cannot_be_imported(tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    code = "import sys; from edge.cli.check_device import main; sys.exit(main([]))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[3]}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "STOPS        opencv: ImportError: libGL.so.1" in done.stdout
    assert "sudo apt install -y libgl1" in done.stdout
