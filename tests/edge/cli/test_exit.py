"""The shared `run` around every command, as a shell sees it: exit code, stdout, stderr."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge.cli import parser, run
from edge.errors import CardError, RoadliteError, UsageError

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}

COMMAND = """
import argparse, os, signal, sys, time
from edge.cli import parser, run
from edge.errors import *

def build():
    made = parser("toy", "A toy.")
    made.add_argument("--n", type=int, default=1, choices=[1, 2])
    return made

def work(options):
    {body}

sys.exit(run("toy", None, build, work))
"""


def toy(body: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command whose work is `body`."""
    command = [sys.executable, "-c", COMMAND.format(body=body), *arguments]
    options = {"capture_output": True, "env": ENVIRONMENT} | options
    return subprocess.run(command, text=True, check=False, timeout=60, **options)


@pytest.mark.parametrize(
    ("body", "code", "line"),
    [
        ("return 0", 0, ""),
        ("return 3", 3, ""),
        ("raise SinkError('a.mp4: cannot be written')", 1, "toy: a.mp4: cannot be written"),
        ("raise UsageError('--n: no')", 2, "toy: --n: no"),
        ("raise GateFailed('0.5 is below 0.9')", 3, "toy: 0.5 is below 0.9"),
        ("raise KeyboardInterrupt", 130, "toy: interrupted"),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)", 130, "toy: interrupted"),
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(30)", 130, "toy: interrupted"),
        ("raise MemoryError", 1, "toy: out of memory"),
        ("open('/no/such/file')", 1, "toy: /no/such/file: No such file or directory"),
        ("raise SinkError('two\\n  lines')", 1, "toy: two lines"),
        ("1 / 0", 1, "toy: unexpected ZeroDivisionError: division by zero (run with --debug to see where)"),
    ],
)
def test_every_end_has_its_code_and_one_line(body: str, code: int, line: str) -> None:
    done = toy(body)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", line + "\n" if line else "")


@pytest.mark.parametrize("arguments", [["--n", "x"], ["--n", "3"], ["--wrong"], ["extra"], ["--n"]])
def test_wrong_arguments_are_one_line_and_a_hint(arguments: list[str]) -> None:
    done = toy("return 0", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("toy: ")
    assert done.stderr.endswith("(see toy --help)\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("argument", "shown"), [("--help", "usage: toy"), ("--version", "roadlite ")])
def test_help_and_version_are_no_errors(argument: str, shown: str) -> None:
    done = toy("raise RoadliteError('never')", argument)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(shown)


@pytest.mark.parametrize(
    ("body", "code", "last"),
    [
        ("raise UsageError('no')", 2, "toy: no"), ("raise GateFailed('low')", 3, "toy: low"),
        ("{}['key']", 1, "toy: unexpected KeyError: 'key' (run with --debug to see where)"),
    ],
)  # fmt: skip
def test_debug_shows_the_traceback_and_keeps_the_code(body: str, code: int, last: str) -> None:
    done = toy(body, "--debug")
    assert done.returncode == code
    assert "Traceback (most recent call last)" in done.stderr
    assert done.stderr.splitlines()[-1] == last


NOISY = "os.write(2, b'native noise\\n'); print('python says', file=sys.stderr); os.system('echo child >&2'); return 0"


def test_native_noise_is_muted_but_pythons_own_is_not() -> None:
    assert toy(NOISY).stderr == "python says\n"
    loud = toy(NOISY, "--debug").stderr
    assert all(part in loud for part in ("native noise", "python says", "child"))


def test_stderr_is_as_before_when_the_command_is_over() -> None:
    after = "run('toy', [], build, work)\nos.write(2, b'native again\\n')\nprint('and', file=sys.stderr)"
    assert sorted(toy("return 0\n\n" + after).stderr.splitlines()) == ["and", "native again"]


@pytest.mark.parametrize("body", ["print('x' * 200_000); return 0", "print('little'); return 0"])
@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_a_reader_that_went_away_is_no_traceback(body: str, arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = toy(body, *arguments, capture_output=False, stdout=writing, stderr=subprocess.PIPE)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, "toy: nobody reads the output any more\n")


@pytest.mark.parametrize("stream", ["1", "2"])
def test_a_closed_stream_does_not_change_the_code(stream: str) -> None:
    script = f'"{sys.executable}" -c "$BODY" {stream}>&-'
    for body, code in (("print('x'); return 0", 0), ("raise GateFailed('x')", 3)):
        done = subprocess.run(script, shell=True, check=False, env=ENVIRONMENT | {"BODY": COMMAND.format(body=body)})
        assert done.returncode == code


def test_a_full_disk_behind_stdout_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = toy("print('x'); return 0", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.startswith("toy: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("failure", "code"), [(CardError("x"), 1), (RoadliteError("x"), 1), (UsageError("x"), 2), (OSError("odd"), 1)]
)
def test_main_is_a_function_that_returns(failure: Exception, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    def work(_: object) -> int:
        raise failure

    before = signal.getsignal(signal.SIGTERM)
    assert run("toy", [], lambda: parser("toy", "A toy."), work) == code
    assert capsys.readouterr().err.startswith("toy: ")
    assert signal.getsignal(signal.SIGTERM) is before
