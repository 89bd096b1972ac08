"""The library speaks of fields, the commands of flags, and every command shows how it is used."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from convert.cli import convert_model, inspect_model
from edge.cli import check_device, compare_models, evaluate_model, label_archive, run_model
from edge.cli.main import Parser

PROJECT = Path(__file__).parents[1]
PROGRAMS = ("convert/demo/train.py", "convert/demo/publish.py")  # of `make train-demo`, with flags of their own
PARSERS = [
    module.build_parser()
    for module in (
        run_model,
        compare_models,
        evaluate_model,
        check_device,
        label_archive,
        convert_model,
        inspect_model,
    )
]


def texts() -> Iterator[tuple[str, str]]:
    """Yields where each text of the library stands, and the text; comments and docstrings are none."""
    for path in sorted((*(PROJECT / "edge").rglob("*.py"), *(PROJECT / "convert").rglob("*.py"))):
        where = path.relative_to(PROJECT).as_posix()
        if "/cli/" in where or where in PROGRAMS:
            continue
        tree = ast.parse(path.read_text())
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                yield f"{where}:{node.lineno}", node.value


def flags(parser: Parser) -> set[str]:
    return {flag for action in parser._actions for flag in action.option_strings}


def test_no_text_of_the_library_names_a_flag() -> None:
    known = set().union(*map(flags, PARSERS))
    named = [(where, flag) for where, text in texts() for flag in re.findall(r"--[a-z][a-z-]*", text) if flag in known]
    assert not named


def test_every_field_that_the_library_names_is_set_by_a_flag() -> None:
    fields = [(where, field) for where, text in texts() for field in re.findall(r"`([a-z_]+)`", text)]
    assert len(fields) > 10
    unknown = [(where, field) for where, field in fields if not any(p.flag(field).startswith("--") for p in PARSERS)]
    assert not unknown


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.prog)
def test_every_command_shows_two_or_three_examples(parser: Parser) -> None:
    shown = parser.format_help().partition("examples:\n")[2]
    commands = re.findall(r"^  (\S+)", shown, re.MULTILINE)  # their rest stands further in
    assert 2 <= len(commands) <= 3
    assert set(commands) == {parser.prog}
    assert set(re.findall(r"--[a-z][a-z-]*", shown)) <= flags(parser)
