"""The shared `run` around every command, as a shell sees it: exit code, stdout, stderr."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from edge.cli.main import Parser, parser, run, say
from edge.errors import CardError, GateFailed, RoadliteError, UsageError

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}

COMMAND = """
import argparse, os, signal, sys, time
from edge.cli.main import parser, run
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


def main(arguments: list[str], failure: BaseException | None = None, code: int = 0) -> int:
    def build() -> Parser:
        made = parser("toy", "A toy.")
        made.add_argument("--n", type=int, default=1, choices=[1, 2])
        return made

    def work(_: argparse.Namespace) -> int:
        if failure is not None:
            raise failure
        return code

    return run("toy", arguments, build, work)


@pytest.mark.parametrize(
    ("failure", "code", "line"),
    [
        (CardError("a.tflite: damaged"), 1, "a.tflite: damaged"),
        (UsageError("--n: no"), 2, "--n: no"),
        (GateFailed("0.5 is below 0.9"), 3, "0.5 is below 0.9"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "out of memory; end other programs, or take a smaller model or smaller pictures"),
        (FileNotFoundError(2, "No such file or directory", "a.png"), 1, "a.png: No such file or directory"),
        (RoadliteError("two\n  lines"), 1, "two lines"),
        (ZeroDivisionError("1/0"), 1, "unexpected ZeroDivisionError: 1/0 (run with --debug to see where)"),
    ],
)
def test_every_failure_has_its_code_and_one_line(
    failure: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert main([], failure) == code
    assert capsys.readouterr() == ("", f"toy: {line}\n")
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("code", [0, 3])
def test_the_works_own_code_is_returned_in_silence(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], code=code) == code
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("arguments", [["--n", "x"], ["--n", "3"], ["--wrong"], ["extra"], ["--n"]])
def test_wrong_arguments_are_one_line_and_a_hint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("toy: ")
    assert err.endswith("(see toy --help)\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_interrupts(number: str) -> None:
    done = toy(f"os.kill(os.getpid(), signal.{number}); time.sleep(30)")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "toy: interrupted\n")


@pytest.mark.parametrize("first", ["SIGTERM", "SIGHUP"])
def test_a_hangup_behind_a_signal_does_not_interrupt_the_finishing(first: str) -> None:
    finish = "os.kill(os.getpid(), signal.SIGHUP); time.sleep(0.1); print('finished')"
    done = toy(f"""
    try:
        os.kill(os.getpid(), signal.{first}); time.sleep(30)
    finally:
        {finish}""")
    assert (done.returncode, done.stdout, done.stderr) == (130, "finished\n", "toy: interrupted\n")


def test_under_nohup_a_hangup_says_nothing() -> None:
    command = ["nohup", sys.executable, "-c", COMMAND.format(body="os.kill(os.getpid(), signal.SIGHUP); return 3")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


@pytest.mark.parametrize(("argument", "shown"), [("--help", "usage: toy"), ("--version", "roadlite ")])
def test_help_and_version_are_no_errors(argument: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([argument], RoadliteError("never")) == 0
    out, err = capsys.readouterr()
    assert out.startswith(shown)
    assert err == ""


@pytest.mark.parametrize(
    ("failure", "code", "last"),
    [
        (UsageError("no"), 2, "toy: no"),
        (GateFailed("low"), 3, "toy: low"),
        (KeyError("key"), 1, "toy: unexpected KeyError: 'key' (run with --debug to see where)"),
    ],
)
def test_debug_shows_the_traceback_and_keeps_the_code(
    failure: Exception, code: int, last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--debug"], failure) == code
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert err.splitlines()[-1] == last


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
    assert (done.returncode, done.stderr) == (1, "toy: No space left on device\n")


def test_a_thread_that_is_still_at_work_does_not_change_the_code() -> None:
    body = (
        "import cv2, numpy, threading; picture = numpy.zeros((600, 800, 3), numpy.uint8); "
        "work = lambda: all(cv2.blur(picture, (9, 9)) is not None for _ in iter(int, 1)); "
        "threading.Thread(target=work, daemon=True).start(); time.sleep(0.3); print('done'); return 3"
    )
    done = toy(body)
    assert (done.returncode, done.stdout, done.stderr) == (3, "done\n", "")


def test_a_field_of_the_library_is_called_by_its_flag(capsys: pytest.CaptureFixture[str]) -> None:
    def build() -> Parser:
        made = parser("x", "X.", fields={"rate": "--fps"})
        made.add_argument("--labels-dir")
        return made

    def refuse(field: str) -> int:
        raise UsageError("expected more", field=field)

    for field, said in (("labels_dir", "--labels-dir"), ("rate", "--fps"), ("other", "other")):
        assert run("x", [], build, lambda _, field=field: refuse(field)) == 2  # type: ignore[misc]
        assert capsys.readouterr().err == f"x: {said}: expected more\n"


def test_what_a_thread_says_names_the_flags_too(capsys: pytest.CaptureFixture[str]) -> None:
    def work(_: object) -> int:
        thread = threading.Thread(target=say, args=("too slow; try `rate` 5",))
        thread.start()
        thread.join()
        return 0

    assert run("x", [], lambda: parser("x", "X.", fields={"rate": "--fps"}), work) == 0
    assert capsys.readouterr().err == "too slow; try --fps 5\n"
