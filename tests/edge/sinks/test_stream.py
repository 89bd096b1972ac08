"""Videos that are sent to RTSP servers in other processes of this machine."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from waiting import PATIENCE_S

from edge.data import Frame, LabelMap, Result, SourceInfo
from edge.errors import SinkError, UsageError
from edge.sinks.open import open_sink

INFO = SourceInfo(name="drive", size_wh=None, rate=Fraction(25), frame_count=None)
SERVERS = str(Path(__file__).with_name("rtsp_servers.py"))


def result(index: int) -> Result:
    picture = np.full((48, 64, 3), 20 + 4 * (index % 50), np.uint8)
    return Result(Frame(picture, index, 0.0), LabelMap(picture[:, :, 0]), picture)


@contextmanager
def server(kind: str, *arguments: int) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A server, its port, and what it prints."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        port: int = tried.getsockname()[1]
    words = [sys.executable, SERVERS, kind, str(port), *map(str, arguments)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield port, process
        finally:
            process.kill()


def test_a_video_is_sent_to_an_rtsp_server() -> None:
    with server("receive", 10) as (port, process):
        end = time.monotonic() + PATIENCE_S
        while True:  # until it listens
            sink = open_sink(f"RTSP://driver:s3cr#t@127.0.0.1:{port}/live/road", INFO)
            with suppress(SinkError):
                sink.write(result(0))
                break
            assert time.monotonic() < end
            time.sleep(0.1)
        with closing(sink):
            for index in range(1, 100):
                with suppress(SinkError):  # when it has enough, it goes
                    sink.write(result(index))
                time.sleep(0.01)
        assert process.stdout is not None
        greys = [int(line) for line in process.stdout]
    assert greys == pytest.approx([20 + 4 * index for index in range(10)], abs=2)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "wrong user or password"),
        (403, "forbidden to this user"),
        (404, "nothing of that name"),
    ],
)
def test_a_server_that_refuses_is_one_line_without_the_password(status: int, said: str) -> None:
    with server("refuse", status) as (port, process):
        assert process.stdout is not None
        process.stdout.readline()
        sink = open_sink(f"rtsp://driver:s3cret@127.0.0.1:{port}/road", INFO)
        with closing(sink), pytest.raises(SinkError, match=said) as caught:
            sink.write(result(0))
        with pytest.raises(SinkError, match="closed"):
            sink.write(result(1))
    error: BaseException | None = caught.value
    while error is not None:
        assert "s3cret" not in str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_a_server_that_is_silent_is_given_up_in_time() -> None:
    with server("silent") as (port, process):
        assert process.stdout is not None
        process.stdout.readline()
        begin = time.monotonic()
        with closing(open_sink(f"rtsp://127.0.0.1:{port}/road", INFO)) as sink, pytest.raises(SinkError):
            sink.write(result(0))
        assert time.monotonic() - begin < PATIENCE_S / 2


def test_a_name_that_nobody_knows_is_said() -> None:
    with (
        closing(open_sink("rtsp://u:s3cret@nosuch.invalid/road", INFO)) as sink,
        pytest.raises(SinkError, match=r"^rtsp://nosuch\.invalid/road: cannot be sent to \(") as caught,
    ):
        sink.write(result(0))
    assert "Input/output" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["rtmp", "srt", "http", "tcp", "rtsps"])
def test_other_addresses_name_what_works(scheme: str) -> None:
    with pytest.raises(UsageError, match=r"unknown output .*udp://HOST:PORT, rtsp://HOST/NAME") as caught:
        open_sink(f"{scheme}://driver:s3cret@pi/road?token=s3cret", INFO)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("spec", ["rtsp://", "rtsp:///road", "rtsp://u:s3cret@h:x/road"])
def test_an_address_of_a_server_has_a_host(spec: str) -> None:
    with pytest.raises(UsageError, match="expected rtsp://HOST/NAME") as caught:
        open_sink(spec, INFO)
    assert "s3cret" not in str(caught.value)
