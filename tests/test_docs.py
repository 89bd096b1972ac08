"""What the README shows is run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import cv2
import pytest

from convert.cli.convert_model import build_parser as convert_parser
from edge.cli.check_device import build_parser as check_parser
from edge.cli.compare_models import build_parser as compare_parser
from edge.cli.evaluate_model import build_parser as evaluate_parser
from edge.cli.label_archive import build_parser as archive_parser
from edge.cli.label_archive import parse_outputs
from edge.cli.run_model import build_parser as run_parser
from edge.cluster.opening import local_processes
from edge.scene import DEMO_SEED, Scene

README = (Path(__file__).parents[1] / "README.md").read_text()
PARSERS = {
    "convert-model": convert_parser,
    "run-model": run_parser,
    "compare-models": compare_parser,
    "check-device": check_parser,
    "evaluate-model": evaluate_parser,
    "label-archive": archive_parser,
}


def test_python_example(int8_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.tflite").write_bytes(int8_model.read_bytes())
    cv2.imwrite("street.png", Scene(DEMO_SEED).draw(0.0, (120, 200))[0])
    examples = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(examples) == 1
    names: dict[str, object] = {}
    exec(examples[0], names)
    assert names["labels"].shape == (120, 200)  # type: ignore[attr-defined]


def test_command_lines_parse() -> None:
    commands = [line.strip() for line in README.splitlines() if line.strip().startswith(tuple(PARSERS))]
    assert {command.split()[0] for command in commands} == set(PARSERS)
    for command in commands:
        program, *arguments = shlex.split(command)
        PARSERS[program]().parse_args(arguments)


def test_the_commands_of_the_guide_to_archives_parse() -> None:
    guide = (Path(__file__).parents[1] / "docs" / "fleet.md").read_text()
    commands = [line.strip() for line in guide.splitlines() if line.startswith("    label-archive")]
    assert len(commands) >= 4
    for command in commands:
        options = archive_parser().parse_args(shlex.split(command)[1:])
        assert parse_outputs(options.output).root
        local_processes(options.cluster)


def test_the_commands_of_the_guide_to_fleets_parse() -> None:
    guide = (Path(__file__).parents[1] / "docs" / "fleet.md").read_text()
    commands = [line.split() for line in guide.splitlines() if line.startswith("    ") and "--cluster" in line]
    commands = [words for words in commands if words[0] in PARSERS and words[0] != "label-archive"]
    assert {program for program, *_ in commands} == set(PARSERS) - {"run-model", "label-archive"}
    for program, *arguments in commands:
        local_processes(PARSERS[program]().parse_args(arguments).cluster)


def test_nothing_says_to_install_roadlite_from_an_index() -> None:
    """It is on none: messages name the packages (`edge/requirements.py`), pages its folder."""
    root = Path(__file__).parents[1]
    parts = [root / name for name in ("edge", "convert", "benchmarks", "docs", ".ci")]
    files = [
        path for part in parts for path in part.rglob("*") if path.suffix in (".py", ".md", ".html", ".service", "")
    ]
    files = [path for path in files if path.is_file()]
    assert len(files) > 150
    for path in [*files, *root.glob("*.md"), root / "Makefile", root / "setup.py"]:
        said = re.search(r"""roadlite\[|\binstall (?:-\S+ )*["']?roadlite(?![\w/-])""", path.read_text())
        assert said is None, f"{path.relative_to(root)}: {said}"


def test_files_it_names_are_there() -> None:
    for name in re.findall(r"\]\(([^)#]+)\)", README):
        assert (Path(__file__).parents[1] / name).exists(), name
