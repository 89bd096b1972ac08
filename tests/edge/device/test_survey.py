"""What is installed is found by importing it, in processes that may die of it."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.device.survey import LIBRARIES, TRIED, Package, look, try_packages


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """`module(name, text)`: a module that this process and its children find."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)

    return write


def tried(name: str) -> Package | None:
    return try_packages({name: (name, "no-such-distribution")})[name]


def test_what_works_has_its_version() -> None:
    found = try_packages({"numpy": LIBRARIES["numpy"]})["numpy"]
    assert found == Package(sys.modules["numpy"].__version__, "")


def test_what_is_not_installed() -> None:
    assert tried("roadlite_never_heard_of") is None


def test_what_fails_says_why(module: Callable[[str, str], None]) -> None:
    module("built_for_numpy_1", "raise ValueError('numpy.dtype size changed, may indicate binary incompatibility')")
    assert tried("built_for_numpy_1") == Package(
        "", "ValueError: numpy.dtype size changed, may indicate binary incompatibility"
    )


def test_what_kills_python_is_survived(module: Callable[[str, str], None]) -> None:
    module("built_for_newer_arm", "import os, signal\nos.kill(os.getpid(), signal.SIGILL)")
    assert tried("built_for_newer_arm") == Package("", "importing it ends Python with signal 4")


def test_what_hangs_is_given_up(module: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    module("hangs", "import time\ntime.sleep(60)")
    monkeypatch.setattr("edge.device.survey.IMPORT_S", 0.2)
    assert tried("hangs") == Package("", "importing it takes more than 0.2 s")


def test_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.device.survey.TRIED", {"litert": TRIED["litert"]})  # TensorFlow takes seconds
    device = look()
    litert = device.runtimes["litert"]
    assert litert is not None
    assert (litert.version != "", litert.error) == (True, "")
    assert device.python == ".".join(map(str, sys.version_info[:3]))
    assert device.python_bits == 64
    assert device.cores >= 1
    assert device.opencv_wheels


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="kernels of x86 processors")
def test_openvino_kernels_that_add_in_16_bits_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr("edge.device.survey.TRIED", {"openvino": TRIED["openvino"]})
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert "OpenVINO computes int8 with smaller weights" in (look().int8_note or "")
