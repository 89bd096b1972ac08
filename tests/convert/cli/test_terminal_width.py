"""What a terminal of 80 columns shows of the commands that convert: no word is cut at its edge."""

from __future__ import annotations

import pytest
from terminals import check_help, terminal

from convert.cli.convert_model import build_parser as convert_parser
from convert.cli.inspect_model import build_parser as inspect_parser
from convert.cli.inspect_model import show

PARSERS = {"convert-model": convert_parser, "inspect-model": inspect_parser}


@pytest.mark.parametrize("command", PARSERS)
def test_help_fits(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_help(command, PARSERS[command], monkeypatch)


def test_a_hash_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as said:
        show({"source": {"output_stride": 8, "sha256": "ab" * 32, "text": "word " * 40}})
    assert any("ab" * 32 in line for line in said)
    assert max(map(len, said)) <= 80
