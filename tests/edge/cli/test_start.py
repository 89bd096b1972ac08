"""Programs that memory runs out for, done for real: each says so in one line, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
MB = 1_000_000

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "sigwaitinfo"), reason="watches a child as Linux does, the only one to limit address space"
)


def begin(code: str, *arguments: str, limit: int | None, shell: str = "", **options: Any) -> subprocess.Popen[str]:
    """A shell that limits itself to some bytes of address space, then becomes Python."""
    limited = f"ulimit -v {limit // 1024}; " if limit else ""
    command = ["sh", "-c", f'{shell}{limited}exec "$@"', "sh", sys.executable, "-c", code, *arguments]
    options = {"stdin": subprocess.DEVNULL} | options
    return subprocess.Popen(command, text=True, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def program(function: str, *arguments: str, limit: int | None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of an installed program."""
    package = "convert.cli" if function in ("convert_model", "inspect_model") else "edge.cli"
    code = f"import sys; from {package}.start import {function}; sys.exit({function}())"
    process = begin(code, *arguments, limit=limit)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def assert_says_so(prog: str, found: tuple[int, str, str]) -> None:
    code, out, err = found
    *notices, last = err.splitlines()
    assert (code, out) == (1, "")
    assert last.startswith(f"{prog}: out of memory")
    assert "ulimit -v" in last
    assert "pip install" not in last
    assert not any(line.startswith((f"{prog}: ", "Traceback", " ")) for line in notices)


@pytest.fixture(scope="module")
def model(tiny_model: Callable[..., bytes], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "tiny.tflite"
    path.write_bytes(tiny_model())
    return str(path)


@pytest.mark.parametrize("limit", [40, 100, 350, 450, 600])
def test_run_model_works_or_says_that_memory_ran_out(limit: int, model: str) -> None:
    """By processor and version other parts fail: loading OpenCV, a library's threads, an array of a frame."""
    arguments = [model, "--normalise", "deeplab", "--source", "demo", "--limit", "2", "--output", "null"]
    found = program("run_model", *arguments, limit=limit * MB)
    if limit > 100 and found[0] == 0:
        assert "2 frames" in found[1]
    else:
        code, out, err = found
        assert not out or out.startswith("1 frame in "), "what was done before is told"
        assert_says_so("run-model", (code, "", err))


@pytest.mark.parametrize("program_name", ["compare-models", "evaluate-model", "inspect-model"])
@pytest.mark.parametrize("limit", [100, 450])
def test_every_program_says_that_memory_ran_out(program_name: str, limit: int, model: str) -> None:
    """--help loads the whole program, and needs more than the smaller of them."""
    found = program(program_name.replace("-", "_"), "--help", limit=limit * MB)
    if limit > 100 and found[0] == 0:
        assert found[1].startswith(f"usage: {program_name}")
    else:
        assert_says_so(program_name, found)


@pytest.mark.tensorflow
@pytest.mark.parametrize("limit", [700, 1500])
def test_convert_model_does_not_answer_a_shortage_with_pip(limit: int, tmp_path: Path) -> None:
    arguments = ["demo", "--quantize", "float32", "--input-size", "65x129", "--output", str(tmp_path)]
    found = program("convert_model", *arguments, limit=limit * MB)
    if limit == 700 or found[0] != 0:  # no TensorFlow fits into the smaller
        assert_says_so("convert-model", found)


def test_check_device_answers_a_shortage_with_memory() -> None:
    code, out, err = program("check_device", limit=100 * MB)
    assert (code, err) == (1, "")
    text = " ".join(out.split())
    assert "STOPS opencv" in text
    assert "(ulimit -v): allow it more" in text
    assert "force-reinstall opencv" not in text


TOY = """
import os, signal, sys, threading, time
sys.modules["toy"] = sys.modules["__main__"]
from edge.cli.main import parser, run
from edge.cli.start import start

def work(options):
    {body}
    return 0

def main():
    return run("toy", [], lambda: parser("toy", "A toy."), work)

sys.exit(start("toy", "toy"))
"""
AT_WORK = "[time.sleep(0.05) for _ in range(72000)]"  # short ones: a signal just before one begins is told when it ends
LIMIT = 2_000 * MB  # more than the toy needs: it is there for the program to be watched


def toy(body: str, limit: int | None = LIMIT, **options: Any) -> subprocess.Popen[str]:
    return begin(TOY.format(body=body), limit=limit, **options)


@pytest.mark.parametrize(
    ("body", "how"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "(native code ended it with SIGSEGV)"),
        ("os.abort()", "(native code ended it with SIGABRT)"),
        ("os._exit(1)", "(native code ended it with exit code 1)"),  # as OpenBLAS does
        ("raise RuntimeError('std::bad_alloc')", "(std::bad_alloc)"),
        ("raise SystemError('error return without exception set')", "(error return without exception set)"),
    ],
)
def test_a_death_without_a_word_is_explained(body: str, how: str) -> None:
    process = toy(body)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err.startswith(f"toy: out of memory {how}; this process may take 1953125 kB (ulimit -v): allow it more")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("print('done')", 0, ""),
        ("return 3", 3, ""),
        ("raise SystemExit(1)", 1, ""),
        ("from edge.errors import UsageError; raise UsageError('--n: no')", 2, "toy: --n: no\n"),
    ],
)
def test_other_ends_are_as_without_a_limit(body: str, code: int, said: str) -> None:
    for limit in (None, LIMIT):
        process = toy(body, limit)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (code, "done\n" * (code == 0), said)


def test_threads_that_wait_for_what_they_did_not_get_do_not_keep_it() -> None:
    process = toy("threading.Thread(target=time.sleep, args=(3600,)).start(); raise MemoryError")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.startswith("toy: out of memory; ")


@pytest.mark.parametrize(("limit", "environment"), [(None, {}), (LIMIT, {"NOTIFY_SOCKET": "/nowhere"})])
def test_without_a_limit_or_under_systemd_there_is_one_process(limit: int | None, environment: dict[str, str]) -> None:
    process = toy("print(os.getpid())", limit, env=os.environ | environment)
    out, _ = process.communicate(timeout=60)
    assert int(out) == process.pid


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_the_work(sign: int) -> None:
    process = toy(f"print('at work', flush=True); {AT_WORK}")
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    process.send_signal(sign)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "toy: interrupted\n")


COUNTING = """
    came = []
    signal.signal(signal.SIGINT, lambda *_: came.append(1))
    print('at work', flush=True)
    while not came:
        time.sleep(0.01)
    time.sleep(0.5)
    print(len(came))
"""


def test_ctrl_c_at_the_keyboard_comes_once() -> None:
    """It goes to the watching process and to the work alike."""
    keyboard, terminal = os.openpty()
    takes_it = f"exec < {os.ttyname(terminal)}; "  # the first of a session to open a terminal gets its keyboard
    process = toy(COUNTING.strip(), shell=takes_it, start_new_session=True)
    os.close(terminal)
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    os.write(keyboard, b"\x03")
    out, err = process.communicate(timeout=60)
    os.close(keyboard)
    assert (process.returncode, out, err) == (0, "1\n", "")


def test_a_closed_terminal_reaches_the_work() -> None:
    """It is told to the watching process alone, where that leads the terminal's session."""
    keyboard, terminal = os.openpty()
    takes_it = f"exec < {os.ttyname(terminal)}; "
    process = toy(f"print('at work', flush=True); {AT_WORK}", shell=takes_it, start_new_session=True)
    os.close(terminal)
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    os.close(keyboard)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "toy: interrupted\n")


def test_the_work_ends_with_the_process_that_was_started() -> None:
    process = toy("print(os.getpid(), flush=True); time.sleep(3600)")
    assert process.stdout is not None
    work = int(process.stdout.readline())
    assert work != process.pid
    process.kill()
    process.communicate(timeout=60)  # its pipes are closed when the work has ended too
    end = time.monotonic() + 60
    while Path(f"/proc/{work}").exists():
        assert time.monotonic() < end, "it works on"
        time.sleep(0.02)
