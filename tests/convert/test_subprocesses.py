from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from waiting import wait_for

from convert import subprocesses as places
from convert.cli.convert_model import main
from convert.subprocesses import in_a_subprocess, in_this_process, runner_for
from edge.errors import ConversionError, GraphError
from edge.progress import Track, silent


def count(limit: int, track: Track = silent) -> tuple[int, int]:
    return os.getpid(), sum(track(range(limit), "counting", limit))


def refuse(track: Track = silent) -> None:
    raise GraphError("node x: cannot be moved")


def die(track: Track = silent) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(track: Track = silent) -> None:
    time.sleep(60)


def linger(note: str, track: Track = silent) -> None:
    Path(note).write_text(str(os.getpid()))
    time.sleep(60)


def freed(track: Track = silent) -> int:
    """Bytes that the system has back after blocks of the size of kernels are freed, with something that lies
    behind each of them and stays.
    """
    bytearray(20 << 20)  # one large block that is freed is what raises glibc's limit
    blocks, between = [], []
    for _ in range(200):
        blocks.append(bytearray(b"x") * (1 << 20))
        between.append(bytearray(100_000))  # too large for a gap that is there
    before = psutil.Process().memory_info().rss
    blocks.clear()
    return before - psutil.Process().memory_info().rss


def closed_terminal(track: Track = silent) -> str:
    for number in (signal.SIGINT, signal.SIGHUP):
        os.kill(os.getpid(), number)
    return "works on"


def test_work_is_done_in_another_process_and_its_progress_is_seen() -> None:
    seen: list[Any] = []

    def track(items: Iterable[Any], what: str, total: int | None = None) -> Iterator[Any]:
        seen.append((what, total))
        for item in items:
            seen.append("tick")
            yield item

    process, total = in_a_subprocess(count, 4, track=track)
    assert process != os.getpid()
    assert total == 6
    assert seen == [("counting", 4), *["tick"] * 4]
    assert in_this_process(count, 4) == (os.getpid(), 6)


def test_errors_come_back_as_they_are() -> None:
    with pytest.raises(GraphError, match=r"^node x: cannot be moved$"):
        in_a_subprocess(refuse)


def test_a_process_that_is_killed_is_an_error_with_a_way_out() -> None:
    with pytest.raises(ConversionError, match=r"^die: its process ended early \(exit code -9\); .*memory"):
        in_a_subprocess(die)


def test_an_interrupt_ends_the_process_too() -> None:
    threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        in_a_subprocess(sleep)
    assert time.monotonic() - start < 50


def test_a_killed_command_leaves_no_process_at_work(tmp_path: Path) -> None:
    code = f"import sys; sys.path[:0] = {sys.path!r}; import test_subprocesses as t; "
    code += "t.in_a_subprocess(t.linger, sys.argv[1])"
    note = tmp_path / "note"
    command = subprocess.Popen([sys.executable, "-c", code, str(note)])
    wait_for(lambda: note.is_file() and note.read_text())
    at_work = psutil.Process(int(note.read_text()))
    command.kill()
    command.wait()
    wait_for(lambda: not at_work.is_running() or at_work.status() == psutil.STATUS_ZOMBIE)


def test_what_a_terminal_sends_to_all_is_for_who_waits() -> None:
    assert in_a_subprocess(closed_terminal) == "works on"


@pytest.mark.tensorflow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what glibc's malloc keeps")
def test_blocks_of_the_size_of_kernels_are_given_back_at_once_where_large_graphs_are_worked_on() -> None:
    assert in_a_subprocess(freed) > 150 << 20


@pytest.mark.long
def test_large_graphs_are_worked_on_apart(
    random_graph: bytes, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runner_for(len(random_graph)) is in_this_process
    monkeypatch.setattr(places, "LARGE", 1000)
    assert runner_for(len(random_graph)) is in_a_subprocess
    path = tmp_path / "net.pb"
    path.write_bytes(random_graph)
    arguments = [str(path), "--quantize", "float32", "--input-size", "65x129", "--calibrate", str(pictures)]
    assert main([*arguments, "--verification-frames", "2", "--output", str(tmp_path)]) == 0
    assert (tmp_path / "net-65x129-os16-float32.tflite").is_file()
