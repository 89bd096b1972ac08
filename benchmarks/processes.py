"""Commands watched from outside: how long, how much memory, and when they were ready."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

EVERY_S = 0.1  # looking through all processes costs some milliseconds


@dataclass(frozen=True, slots=True)
class Run:
    """What a command took."""

    seconds: float  # from starting it to its end
    peak_mb: float  # resident, of the command and all processes it started, at the same moment
    ready_s: float | None  # from starting it to its first result, where it told


def program(name: str) -> str:
    """A command of the kit, as it was installed beside this interpreter."""
    return str(Path(sys.executable).with_name(name))


def watch(command: Sequence[str]) -> Run:
    """Runs a command to its end. Raises CalledProcessError, with what it said, when it fails.

    Ready is when it tells a service manager so, which run-model does once the first frame is labelled and shown.
    """
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{folder}/notify")
        manager.settimeout(EVERY_S)
        start = time.perf_counter()
        with psutil.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"NOTIFY_SOCKET": f"{folder}/notify"},
        ) as process:
            said: list[str] = []
            reader = threading.Thread(target=lambda: said.append(process.stdout.read()))
            reader.start()
            ready_s, peak_mb = None, 0.0
            while process.poll() is None:
                if _told(manager) and ready_s is None:
                    ready_s = time.perf_counter() - start
                peak_mb = max(peak_mb, resident_mb(process))
            seconds = time.perf_counter() - start
            reader.join()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, said[0])
    return Run(seconds, peak_mb, ready_s)


def _told(manager: socket.socket) -> bool:
    try:
        return b"READY=1" in manager.recv(4096)
    except TimeoutError:
        return False


def resident_mb(process: psutil.Process) -> float:
    """Of a process and its descendants together; what they share counts for each."""
    total = 0
    for each in _tree(process):
        try:
            total += each.memory_info().rss
        except psutil.Error:  # it has ended
            continue
    return total / 1e6


def _tree(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []
