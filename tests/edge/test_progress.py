from __future__ import annotations

import io
import sys

import pytest

from edge.progress import bars, silent


@pytest.mark.parametrize("track", [silent, bars])
@pytest.mark.parametrize("total", [None, 5, 3])
def test_items_pass_unchanged_and_lazily(track: object, total: int | None) -> None:
    taken: list[int] = []

    def items() -> object:
        for n in range(5):
            taken.append(n)
            yield n

    shown = iter(track(items(), "counting", total))  # type: ignore[operator]
    assert (next(shown), taken) == (0, [0])
    assert [*shown] == [1, 2, 3, 4]


def test_a_log_file_gets_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert [*bars(range(300), "reading [a/b].mp4", 300)] == [*range(300)]
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "reading [a/b].mp4 ...\n")


def test_silence_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    assert [*silent(range(3), "x")] == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_on_stderr(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert [*bars(range(7), "reading", 7)] == [*range(7)]
    assert "reading" in terminal.getvalue()
    assert "7/7" in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_what_the_items_raise_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        list(bars((1 // n for n in (1, 0)), "dividing", 2))
