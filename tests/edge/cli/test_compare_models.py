from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from edge import compare as comparing
from edge.cli.compare_models import COLUMNS, main
from edge.compare import Candidate, Row, Worker

pytestmark = pytest.mark.tensorflow


def test_figures_of_two_models(
    float_model: Path, int8_model: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    arguments = [str(float_model), str(int8_model), "--source", str(pictures), "--seconds", "0.5", "--threads", "1,2"]
    assert main([*arguments, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["model"], row["threads"]) for row in rows] == [
        (path.name, threads) for path in (float_model, int8_model) for threads in (1, 2)
    ]
    for row in rows:
        assert row["input_hw"] == [65, 129]
        assert row["output_stride"] == 16
        assert row["runtime"] == "litert"
        assert row["invokes"] >= 20
        ms = row["invoke_ms"]
        assert 0 < ms["median"] <= ms["p90"] <= ms["p99"] <= ms["max"]
        assert 0 < row["fps"] < 1e3 / ms["median"] * 1.5
        assert 20 < row["peak_rss_mb"] < 400
        assert (row["partitions"], row["ops_outside"]) == (1, 0)
        assert row["first_invoke_ms"] > 0
    assert rows[0]["recipe"] == "float32"
    assert rows[0]["size_bytes"] == float_model.stat().st_size


def test_peak_memory_is_the_childs_own(int8_model: Path, pictures: Path) -> None:
    """Not that of the process which started it, which Linux hands down."""
    ballast = np.ones(600 << 20, np.uint8)
    row = comparing.compare([Candidate(int8_model, "auto", 1)], str(pictures), seconds=0.1)[0]
    assert row.peak_rss_mb < 400
    assert ballast.all()


def test_table_fits_80_columns(int8_model: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(int8_model), "--source", str(pictures), "--seconds", "0.2"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert all(name in text for name in COLUMNS)
    assert int8_model.name in text


def test_a_model_that_cannot_run_is_a_row(
    int8_model: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(b"nothing of the kind" * 10)
    arguments = [str(bad), str(int8_model), "--source", str(pictures), "--seconds", "0.2", "--json"]
    assert main(arguments) == 3
    captured = capsys.readouterr()
    rows = json.loads(captured.out)
    assert "bad.tflite" in rows[0]["error"]
    assert rows[1]["invokes"] >= 20
    assert "1 of 2" in captured.err
    assert main([str(bad), "--source", str(pictures)]) == 1


def test_a_process_that_dies_is_a_row(int8_model: Path, pictures: Path) -> None:
    row = Row(Candidate(int8_model, "auto", 1))
    worker = Worker(row, str(pictures))
    worker.load()
    assert row.about["runtime"] == "litert"
    os.kill(worker._process.pid, signal.SIGSEGV)  # type: ignore[arg-type]
    worker.measure(0.1, 1)
    worker.finish()
    worker.close()
    assert "died (exit code -11)" in row.error


def test_a_process_that_hangs_is_a_row(
    int8_model: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    row = Row(Candidate(int8_model, "auto", 1))
    worker = Worker(row, str(pictures))
    worker.load()
    os.kill(worker._process.pid, signal.SIGSTOP)  # type: ignore[arg-type]
    monkeypatch.setattr(comparing, "ANSWER_S", 0.3)
    worker.measure(0.1, 1)
    worker.close()
    assert "no answer" in row.error


@pytest.mark.parametrize(
    "arguments", [["--seconds", "0"], ["--threads", "two"], ["--threads", "0"], ["--runtime", "x"]]
)
def test_bad_options(arguments: list[str], int8_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(int8_model), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("compare-models: ")
    assert error.count("\n") == 1
