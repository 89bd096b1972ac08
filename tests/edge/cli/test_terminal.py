"""What a terminal of 80 columns shows: no word is cut at its edge."""

from __future__ import annotations

import pytest
from reports import full
from terminals import check_help, terminal

from edge.cli import main as cli
from edge.cli.check_device import build_parser as check_parser
from edge.cli.compare_models import build_parser as compare_parser
from edge.cli.compare_table import show
from edge.cli.evaluate_model import build_parser as evaluate_parser
from edge.cli.label_archive import build_parser as archive_parser
from edge.cli.run_model import build_parser as run_parser
from edge.compare.report.building import document
from edge.text import command_lines, wrapped

PARSERS = {
    "check-device": check_parser,
    "compare-models": compare_parser,
    "evaluate-model": evaluate_parser,
    "label-archive": archive_parser,
    "run-model": run_parser,
}
MESSAGE = "run-model: nothere.mp4: not found; expected auto, picamera2, a camera's number or /dev/videoN, " * 2


@pytest.mark.parametrize("command", PARSERS)
def test_help_fits(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_help(command, PARSERS[command], monkeypatch)


@pytest.mark.parametrize("command", PARSERS)
@pytest.mark.parametrize("columns", [1, 4, 19])
def test_help_is_given_however_narrow_the_terminal_is(
    columns: int, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert "--version" in PARSERS[command]().format_help()


@pytest.mark.parametrize("columns", [80, 60])
def test_a_message_ends_its_lines_between_words(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, columns) as said:
        cli.say(MESSAGE)
    assert len(said) > 2
    assert max(map(len, said)) <= columns
    assert " ".join(line.strip() for line in said) == MESSAGE.strip()


def test_where_there_is_no_terminal_a_message_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    cli.say(MESSAGE)
    assert capsys.readouterr().err.count("\n") == 1


def test_a_comparison_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    made = document(full(), ["compare-models"], budget_ms=30.0)
    with terminal(monkeypatch) as said:
        show(made)
    assert [line for line in said if len(line.rstrip()) > 80] == []
    whole = " ".join(" ".join(said).split())
    assert "mIoU: against the truth, on 16 frames of demo" in whole
    assert "1 against 2, the fastest: invoke " in whole


def test_what_is_to_be_copied_stays_whole() -> None:
    said = wrapped('no plots: matplotlib is missing: pip install "matplotlib>=3.10.7" numpy; or do without', 60)
    assert said.splitlines() == [
        "no plots: matplotlib is missing:",
        '  pip install "matplotlib>=3.10.7" numpy; or do without',
    ]
    assert wrapped("set it: export A=1 B=2", 18).splitlines() == ["set it:", "  export A=1 B=2"]
    words = "what you export in this way is text as any other, and ends its lines where there is no room"
    assert max(map(len, wrapped(words, 30).splitlines())) <= 30
    address = "https://example.org/" + "a" * 90
    assert address in wrapped(f"see {address} there", 80).split()


def test_a_long_command_is_one_that_a_shell_takes() -> None:
    said = command_lines("label-archive model.tflite drives/ --output labels:labels --output overlay:films", 60)
    assert said.splitlines() == [
        "  label-archive model.tflite drives/ \\",
        "      --output labels:labels --output overlay:films",
    ]
    assert command_lines("label-archive drives/", 1).splitlines() == ["  label-archive \\", "      drives/"]
