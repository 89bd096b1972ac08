"""A terminal to write to, and what a command says of itself there."""

from __future__ import annotations

import os
import re
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from edge.cli import main as cli


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, columns: int = 80) -> Iterator[list[str]]:
    """Lets stdout and stderr be a terminal; what was written is in the list afterwards, a line each."""
    monkeypatch.delenv("COLUMNS", raising=False)
    leader, follower = os.openpty()
    termios.tcsetwinsize(follower, (24, columns))
    said: list[str] = []
    with os.fdopen(follower, "w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        patch.setattr(sys, "stderr", stream)
        yield said
        stream.flush()
        os.set_blocking(leader, False)
        text = b"".join(iter(lambda: _read(leader), b""))
    os.close(leader)
    said += re.sub(r"\x1b\[[\d;]*m", "", text.decode()).splitlines()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except BlockingIOError:
        return b""


def check_help(command: str, build: Callable[[], cli.Parser], monkeypatch: pytest.MonkeyPatch) -> None:
    """Asserts that the help of a command fits 80 columns, and shows its examples whole where there is room."""
    monkeypatch.setenv("COLUMNS", "80")
    assert [line for line in build().format_help().splitlines() if len(line) > 80] == []
    monkeypatch.setenv("COLUMNS", "200")
    assert f"examples:\n  {command} " in build().format_help()
