from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from waiting import PATIENCE_S, wait_for

from edge import child as children
from edge import trial
from edge.child import command
from edge.errors import ModelError
from edge.segmenter import Segmenter
from edge.trial import try_out

small_models = pytest.importorskip("small_models")
Tiny = Callable[..., bytes]


@pytest.fixture(autouse=True)
def remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it is remembered what ran."""
    monkeypatch.setenv("ROADLITE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "trials"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modules for which a process was started."""
    modules = []

    def command(module: str) -> list[str]:
        modules.append(module)
        return real(module)

    real = children.command
    monkeypatch.setattr(children, "command", command)
    return modules


def test_a_model_that_crashes_its_runtime_is_an_error(remembered: Path) -> None:
    for _ in range(2):  # which is not remembered
        with pytest.raises(ModelError, match=r"x\.tflite: this model crashes litert \(SIGABRT\)"):
            try_out(small_models.crashing(), "x.tflite", runtime="litert")
    assert not remembered.exists()


def test_what_crashes_one_runtime_may_run_on_another() -> None:
    pytest.importorskip("openvino")
    try_out(small_models.crashing(), "x.tflite", runtime="openvino")


def test_a_segmenter_tries_first_where_it_is_asked_to(tmp_path: Path) -> None:
    path = tmp_path / "hostile.tflite"
    path.write_bytes(small_models.crashing())
    with pytest.raises(ModelError, match=r"hostile\.tflite: this model crashes its runtime"):
        Segmenter(path, trial=True)


def test_what_ran_is_remembered_for_its_bytes_runtime_versions_and_processor(
    tiny_model: Tiny, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, other = tiny_model(), tiny_model(output="labels")
    for _ in range(2):
        try_out(model, "x", runtime="litert")
    assert len(started) == 1
    try_out(other, "x", runtime="litert")
    try_out(model, "x")
    monkeypatch.setattr(trial, "installed", lambda _: "99.0")
    try_out(model, "x", runtime="litert")
    monkeypatch.setattr(trial.board, "processor", lambda: ("Another", (), "", 1))
    try_out(model, "x", runtime="litert")
    assert len(started) == 5


def test_what_is_refused_is_not_loaded_again(started: list[str], remembered: Path, tmp_path: Path) -> None:
    """What reads beyond its memory is refused one time and ends the process the next."""
    for _ in range(2):
        with pytest.raises(ModelError, match=r"^x: litert cannot load it as a \.tflite model \("):
            try_out(b"no model", "x", runtime="litert")
    assert len(started) == 2
    assert not remembered.exists()
    path = tmp_path / "x\udcff.tflite"
    path.write_bytes(b"no model")
    with pytest.raises(ModelError, match="tflite: litert cannot load it"):
        Segmenter(path, runtime="litert", trial=True)


def test_what_cannot_be_tried_is_left_to_the_next_loader(tiny_model: Tiny, remembered: Path) -> None:
    try_out(tiny_model(), "x", runtime="a runtime that is not there")
    assert not remembered.exists()


def test_where_nothing_can_be_remembered_the_trial_is_made_each_time(
    tiny_model: Tiny, started: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ROADLITE_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        try_out(tiny_model(), "x", runtime="litert")
    assert len(started) == 2


def test_where_no_process_can_be_started_the_model_is_not_tried(
    tiny_model: Tiny, monkeypatch: pytest.MonkeyPatch, remembered: Path
) -> None:
    monkeypatch.setattr(children, "command", lambda _: ["/nonexistent/python"])
    try_out(tiny_model(), "x", runtime="litert")
    assert not remembered.exists()


def test_a_model_that_never_comes_back_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "ANSWER_S", 2.0)
    before = set(psutil.Process().children())  # such as one that tests of clusters have started
    with pytest.raises(ModelError, match=r"x\.tflite: this model hangs its runtime: its first run did not end in 2 s"):
        try_out(small_models.endless(), "x.tflite")
    assert not set(psutil.Process().children()) - before


def test_nothing_is_left_of_a_trial_that_crashes(
    tmp_path: Path, tiny_model: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import os, signal, tempfile; tempfile.mkdtemp(); os.kill(os.getpid(), 11)"
    monkeypatch.setattr(children, "command", lambda _: [sys.executable, "-c", code])
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with pytest.raises((ModelError, MemoryError), match="SIGSEGV"):
        try_out(tiny_model(), "x")
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == []


def test_a_killed_trial_most_likely_ran_out_of_memory(tiny_model: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    kills_itself = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
    monkeypatch.setattr(children, "command", lambda _: kills_itself)
    with pytest.raises(MemoryError, match=r"the first run of x ended with SIGKILL, most likely because memory ran out"):
        try_out(tiny_model(), "x")


def test_a_trial_whose_command_has_ended_already_ends_too() -> None:
    words = [*command("edge.trial_process"), "x", "litert", "0", "", str(os.getppid())]
    done = subprocess.run(words, input=small_models.endless(), check=False, timeout=PATIENCE_S, capture_output=True)
    assert done.returncode == -signal.SIGKILL


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`run-model` with a model that never comes back, in its trial."""
    (tmp_path / "endless.tflite").write_bytes(small_models.endless())
    cv2.imwrite(str(tmp_path / "p.png"), np.zeros((9, 17, 3), np.uint8))
    command = "from edge.cli.start import run_model; raise SystemExit(run_model())"
    words = ["endless.tflite", "--normalise", "unit", "--source", "p.png", "--output", "null"]
    process = subprocess.Popen(
        [sys.executable, "-c", command, *words],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path[1:]])},
    )
    yield process
    process.kill()
    process.communicate()


def trial_of(process: subprocess.Popen[bytes]) -> psutil.Process:
    """The process of a trial, once its model runs."""
    found: list[psutil.Process] = []

    def runs() -> bool:
        found[:] = [child for child in psutil.Process(process.pid).children() if child.cpu_times().user > 0.5]
        return bool(found)

    wait_for(runs)
    return found[0]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_no_trial_outlives_the_command(running: subprocess.Popen[bytes], sent: signal.Signals, code: int) -> None:
    child = trial_of(running)
    began_s = time.monotonic()
    running.send_signal(sent)
    assert running.wait(PATIENCE_S) == code
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    assert time.monotonic() - began_s < 5
