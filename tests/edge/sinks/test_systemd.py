from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.data import Frame, LabelMap, Result
from edge.sinks.systemd import SystemdNotifier

PIXELS = np.zeros((2, 2, 3), np.uint8)
RESULT = Result(Frame(PIXELS, 0, 0.0), LabelMap(PIXELS[:, :, 0]), PIXELS)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """systemd's end of the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        yield listening


def heard(manager: socket.socket) -> list[list[str]]:
    manager.setblocking(False)
    messages = []
    while True:
        try:
            messages.append(manager.recv(4096).decode().splitlines())
        except BlockingIOError:
            return messages


def test_ready_with_the_first_frame_alive_with_the_next_ones_and_told_when_it_ends(
    manager: socket.socket, tmp_path: Path
) -> None:
    service = SystemdNotifier(
        lambda: "running, 5 frames", {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1"}
    )
    assert heard(manager) == [], "not ready before there is a frame"
    service.write(RESULT)
    time.sleep(0.001)
    service.write(RESULT)
    service.close()
    alive = ["WATCHDOG=1", "STATUS=running, 5 frames"]
    assert heard(manager) == [["READY=1", *alive], alive, ["STOPPING=1"]]


def test_the_watchdog_is_fed_at_half_its_time_and_by_frames_only(
    manager: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("edge.sinks.systemd.time.monotonic", lambda: now[0])
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
    service = SystemdNotifier(str, environment)
    fed = []
    for frame in range(110):
        now[0] = 1000 + frame * 0.006
        service.write(RESULT)
        fed += [frame for _ in heard(manager)]
    assert fed == [0, 34, 68, 102]
    now[0] += 0.5  # no frames: the camera hangs
    assert heard(manager) == []


def test_an_abstract_socket_and_another_process_watchdog(tmp_path: Path) -> None:
    name = f"roadlite-{os.getpid()}"
    environment = {"NOTIFY_SOCKET": "@" + name, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name)
        service = SystemdNotifier(str, environment)
        service.write(RESULT)
        service.write(RESULT)
        assert len(heard(listening)) == 1, "that watchdog is not ours to feed often"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_without_systemd_nothing_happens(environment: dict[str, str]) -> None:
    service = SystemdNotifier(str, environment)
    service.write(RESULT)
    service.close()
