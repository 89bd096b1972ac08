from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.cli.run_model import main
from edge.compare import runtime_choice as fastest
from edge.compare.rows import Candidate, ModelOptions, Row
from edge.compare.runtime_choice import Trial, cache_folder, choose, fastest_runtime, recall

Tiny = Callable[..., bytes]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROADLITE_CACHE", str(tmp_path / "cache"))
    return cache_folder("runtimes")


@pytest.fixture
def model(tiny_model: Tiny, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.tflite"
    path.write_bytes(tiny_model())
    return path


def trial(runtime: str, seconds: float, *, agreement: float = 1.0, error: str = "") -> Trial:
    row = Row(Candidate(Path("m.tflite"), runtime, None), error=error)
    return Trial(row, [seconds * wobble for wobble in (1.0, 1.01, 0.99, 1.02, 0.98)], agreement)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Models whose measurement was asked for; openvino is always twice as fast."""
    asked = []

    def measure(model: Path, *_: object) -> list[Trial]:
        asked.append(model)
        return [trial("litert", 0.02), trial("openvino", 0.01)]

    monkeypatch.setattr(fastest, "measure", measure)
    monkeypatch.setattr(fastest, "installed", lambda _: "2.0")
    return asked


def test_run_model_measures_once_and_remembers(
    model: Path, cache: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    run = [str(model), "--normalise", "deeplab", "--source", "demo", "--limit", "1", "--output", "null"]
    assert main([*run, "--runtime", "fastest"]) == 0
    said = capfd.readouterr().err
    (remembered,) = cache.iterdir()
    runtime = json.loads(remembered.read_text())["runtime"]
    assert f"fastest here: {runtime} (litert " in said
    assert "ms an invoke; openvino " in said
    assert f"on {runtime}, 3 classes" in said

    other = {"litert": "openvino", "openvino": "litert"}[runtime]
    remembered.write_text(remembered.read_text().replace(f'"runtime": "{runtime}"', f'"runtime": "{other}"'))
    monkeypatch.setattr(fastest, "measure", None)
    assert main([*run, "--runtime", "fastest"]) == 0
    said = capfd.readouterr().err
    assert f"on {other}, 3 classes" in said
    assert "fastest here" not in said


def test_a_runtime_that_crashes_is_not_taken(
    model: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    package = tmp_path / "broken" / "openvino"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import os; os.abort()")
    monkeypatch.syspath_prepend(package.parent)
    said: list[str] = []
    assert fastest_runtime(model, 1, ModelOptions("deeplab"), say=said.append) == "litert"
    assert "openvino fails: its process died (SIGABRT)" in said[0]


def test_a_file_that_no_runtime_opens_is_left_to_the_one_that_says_why(tmp_path: Path, cache: Path) -> None:
    pytest.importorskip("openvino")
    garbage = tmp_path / "garbage.tflite"
    garbage.write_bytes(b"not a model\n" * 99)
    assert fastest_runtime(garbage, 1) == fastest_runtime(tmp_path / "no.tflite", 1) == "auto"
    assert not cache.exists()


def test_where_there_is_no_choice_nothing_is_measured(
    model: Path, cache: Path, measured: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fastest, "installed", lambda name: "2.0" if name == "ai-edge-litert" else "")
    assert fastest_runtime(model, 1) == "auto"
    assert not measured


def test_another_model_processor_version_or_number_of_threads_is_measured_anew(
    model: Path, cache: Path, measured: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def times(threads: int) -> int:
        assert fastest_runtime(model, threads) == fastest_runtime(model, threads) == "openvino"
        return len(measured)

    assert [times(1), times(2), times(1)] == [1, 2, 2]
    model.write_bytes(model.read_bytes() + b"\0")
    assert times(1) == 3
    monkeypatch.setattr("edge.device.board.cpu_name", lambda: "another")
    assert times(1) == 4
    monkeypatch.setattr(fastest, "installed", lambda _: "2.1")
    assert times(1) == 5
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")  # for which OpenVINO takes other kernels
    assert times(1) == 6


@pytest.mark.parametrize(
    "damage", [b"", b"\xff\xfe", b"[1]", b'{"runtime": 5}', b'{"runtime": "/bin/sh"}', b"[" * 99999]
)
def test_a_damaged_memory_is_measured_again(model: Path, cache: Path, measured: list[Path], damage: bytes) -> None:
    fastest_runtime(model, 1)
    (remembered,) = cache.iterdir()
    remembered.write_bytes(damage)
    assert fastest_runtime(model, 1) == "openvino"
    assert len(measured) == 2
    assert recall(remembered) == "openvino"


def test_a_memory_of_absurd_size_is_measured_again(model: Path, cache: Path, measured: list[Path]) -> None:
    fastest_runtime(model, 1)
    (remembered,) = cache.iterdir()
    os.truncate(remembered, 1 << 40)  # takes no room on the disk
    assert fastest_runtime(model, 1) == "openvino"
    assert len(measured) == 2


def test_what_is_no_file_is_neither_read_nor_written(model: Path, cache: Path, measured: list[Path]) -> None:
    fastest_runtime(model, 1)
    (remembered,) = cache.iterdir()
    remembered.unlink()
    os.mkfifo(remembered)  # reading it would wait for ever
    assert fastest_runtime(model, 1) == "openvino"
    assert remembered.is_fifo()


def test_a_cache_that_cannot_be_written_does_no_harm(
    model: Path, tmp_path: Path, measured: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROADLITE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    assert cache_folder("runtimes") == tmp_path / "file" / "roadlite" / "runtimes"
    assert [fastest_runtime(model, 1) for _ in range(2)] == ["openvino", "openvino"]
    assert len(measured) == 2


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        ([trial("litert", 0.020), trial("openvino", 0.010)], "openvino"),
        ([trial("litert", 0.010), trial("openvino", 0.020)], "litert"),
        ([trial("litert", 0.0100), trial("openvino", 0.0097)], "litert"),  # no clear gain
        ([trial("litert", 0.02), trial("openvino", 0.01, agreement=0.98)], "litert"),  # other labels
        ([trial("litert", 0.02, error="crashed"), trial("openvino", 0.03)], "openvino"),
        ([trial("litert", 0.02), trial("openvino", 0.01, error="crashed")], "litert"),
        ([trial("litert", 0.02, error="crashed"), trial("openvino", 0.01, error="crashed")], None),
    ],
)
def test_the_clearly_fastest_with_the_same_labels_is_taken(trials: list[Trial], expected: str | None) -> None:
    chosen = choose(trials)
    assert (chosen and chosen.runtime) == expected
