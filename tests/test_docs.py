"""What the README shows is run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import cv2
import pytest

from convert.cli.convert_model import build_parser as convert_parser
from convert.cli.inspect_model import build_parser as inspect_parser
from edge.cli.check_device import build_parser as check_parser
from edge.cli.compare_models import build_parser as compare_parser
from edge.cli.evaluate_model import build_parser as evaluate_parser
from edge.cli.label_archive import build_parser as archive_parser
from edge.cli.label_archive import parse_outputs
from edge.cli.run_model import build_parser as run_parser
from edge.cluster.opening import local_processes
from edge.scene import DEMO_SEED, Scene

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PARSERS = {
    "convert-model": convert_parser,
    "run-model": run_parser,
    "compare-models": compare_parser,
    "check-device": check_parser,
    "evaluate-model": evaluate_parser,
    "label-archive": archive_parser,
    "inspect-model": inspect_parser,
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
    assert {command.split()[0] for command in commands} == set(PARSERS) - {"inspect-model"}
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


@pytest.mark.parametrize("page", ["comparing", "converting", "evaluating", "moving-labels", "accelerators"])
def test_the_commands_of_pages_parse(page: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text()
    commands = [line.strip() for line in text.splitlines() if re.match(f"    ({'|'.join(PARSERS)}) ", line)]
    assert commands
    for command in commands:
        program, *arguments = shlex.split(command, comments=True)
        PARSERS[program]().parse_args(arguments)


def test_the_entry_page_leads_to_every_page() -> None:
    entry = (ROOT / "docs" / "README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in entry, page.name


def test_links_between_pages_lead_somewhere() -> None:
    for page in (*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")):
        text = page.read_text()
        for name, _, place in (found.partition("#") for found in re.findall(r"\]\(([^)\s]+)\)", text)):
            if not name.startswith("http"):
                target = page if not name else page.parent / name
                assert target.exists(), f"{page.name}: {name}"
                assert not place or place in anchors(target), f"{page.name}: {name}#{place}"


def anchors(page: Path) -> set[str]:
    """What a page's headings are called in addresses."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_commands_of_the_guide_to_fleets_parse() -> None:
    guide = (Path(__file__).parents[1] / "docs" / "fleet.md").read_text()
    commands = [line.split() for line in guide.splitlines() if line.startswith("    ") and "--cluster" in line]
    commands = [words for words in commands if words[0] in PARSERS and words[0] != "label-archive"]
    assert {program for program, *_ in commands} == set(PARSERS) - {"run-model", "label-archive", "inspect-model"}
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
