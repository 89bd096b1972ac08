"""`check-device --print-service`: a unit that systemd takes, for what is here."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.cli.check_device import main
from edge.cli.run_model import build_parser


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command is called, with all that systemd gives a meaning to in its name; run-model is installed."""
    (tmp_path / "bin").mkdir()
    for name in ("run-model", "check-device"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "bin" / "check-device")])
    monkeypatch.delenv("SUDO_USER", raising=False)
    (tmp_path / 'a %h "of" $HOME').mkdir()
    monkeypatch.chdir(tmp_path / 'a %h "of" $HOME')
    Path("model.tflite").touch()
    return Path.cwd()


def settings(unit: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in unit.splitlines() if "=" in line and not line.startswith("#"))


def test_it_is_filled_with_what_is_known(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-service", "model.tflite"]) == 0
    found = settings(capsys.readouterr().out)
    assert (found["Type"], found["SuccessExitStatus"]) == ("notify", "130")
    assert found["User"] == pwd.getpwuid(os.getuid()).pw_name
    assert found["WorkingDirectory"] == f'{folder.parent}/a %%h "of" $HOME'
    program, model, *arguments = shlex.split(found["ExecStart"])
    assert program == str(folder.parent / "bin" / "run-model")
    assert model == f'{folder.parent}/a %%h "of" $$HOME/model.tflite'
    build_parser().parse_args([model, *arguments])


def test_the_model_may_be_named_later(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-service"]) == 0
    assert "/run-model MODEL.tflite --source auto" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_with_sudo_it_runs_as_who_called_sudo(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SUDO_USER", "someone")
    assert main(["--print-service"]) == 0
    assert settings(capsys.readouterr().out)["User"] == "someone"


@pytest.mark.usefixtures("folder")
def test_a_model_that_is_not_there_is_told_now_and_not_by_the_journal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-service", "other.tflite"]) == 1
    said = capsys.readouterr()
    assert not said.out
    assert "other.tflite: expected the .tflite file that the service is to run, found no file" in said.err


def test_without_run_model_there_is_nothing_to_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    (folder.parent / "bin" / "run-model").unlink()
    assert main(["--print-service"]) == 1
    assert f"expected run-model in {folder.parent}/bin or /nowhere, found none" in capsys.readouterr().err


def test_systemd_takes_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    assert main(["--print-service", "model.tflite"]) == 0
    (folder.parent / "roadlite.service").write_text(capsys.readouterr().out)
    verify = ["systemd-analyze", "verify", "--man=no", str(folder.parent / "roadlite.service")]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert "roadlite.service" not in done.stdout + done.stderr, "what it says about other units counts for nothing"
    assert done.returncode == 0, done.stderr
