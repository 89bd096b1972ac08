"""The commands of docs/raspberry-pi.md are spelt as the programs take them, and it and check-device give one advice."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from edge.cli.check_device import build_parser as check_parser
from edge.cli.compare_models import build_parser as compare_parser
from edge.cli.run_model import build_parser as run_parser
from edge.sinks.web.address import parse_address

GUIDE = (Path(__file__).parents[1] / "docs" / "raspberry-pi.md").read_text()
CONFLICTS = (Path(__file__).parents[1] / "edge" / "device" / "problems.py").read_text()
PARSERS = {"run-model": run_parser, "compare-models": compare_parser, "check-device": check_parser}


def test_commands_parse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shown = re.findall(r"^    (\S.*)$", GUIDE, re.MULTILINE) + re.findall(r"`([a-z-]+ [^`]*)`", GUIDE)
    make_token = next(line for line in shown if line.endswith("> ~/roadlite.token)"))
    subprocess.run(make_token, shell=True, check=True)
    commands = [words for words in map(shlex.split, shown) if words[0].rpartition("/")[2] in PARSERS]
    assert len(commands) >= 5
    for path, *arguments in commands:
        program = path.rpartition("/")[2]
        leaves_model_out = program == "run-model" and "model.tflite" not in arguments
        options = PARSERS[program]().parse_args([*arguments, *["model.tflite"] * leaves_model_out])
        for output in getattr(options, "output", None) or []:
            if output.startswith("web"):
                parse_address(os.path.expandvars(output))


def test_files_it_names_are_there() -> None:
    for name in re.findall(r"\]\(([^)#:]+)\)", GUIDE):
        assert (Path(__file__).parents[1] / "docs" / name).exists(), name


def test_advice_is_that_of_check_device() -> None:
    for command in ("pip install --upgrade simplejpeg", "sudo usermod -aG video $USER", "sudo apt install -y libgl1"):
        assert command in GUIDE
        assert command in CONFLICTS
