"""What docs/results.md shows is taken as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from edge.cli.run_model import build_parser
from edge.regions import read_regions

PAGE = (Path(__file__).parents[1] / "docs" / "results.md").read_text()


def test_commands_parse() -> None:
    commands = re.findall(r"^    run-model (.*)$", PAGE, re.MULTILINE)
    assert len(commands) >= 2
    for command in commands:
        build_parser().parse_args(shlex.split(command))


@pytest.mark.parametrize("text", re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
def test_files_of_regions_are_read(tmp_path: Path, text: str) -> None:
    file = tmp_path / "regions.json"
    file.write_text(text)
    assert read_regions(file).regions
