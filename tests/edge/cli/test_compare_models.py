from __future__ import annotations

import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.cli import compare_models
from edge.cli.compare_models import main
from edge.cli.compare_table import TABLES, show

Tiny = Callable[..., bytes]


@pytest.fixture
def models(tiny_model: Tiny, tmp_path: Path) -> list[str]:
    """A float32 and an int8 model of three classes, 9x17."""
    paths = [tmp_path / "float.tflite", tmp_path / "int8.tflite"]
    for path, model in zip(paths, (tiny_model(), tiny_model("int8", scale=1 / 127.5, zero_point=-1)), strict=True):
        path.write_bytes(model)
    return [str(path) for path in paths]


@pytest.fixture
def quick(tmp_path: Path) -> list[str]:
    """Options for a short run on a small picture."""
    cv2.imwrite(str(tmp_path / "p.png"), np.random.default_rng(0).integers(0, 255, (20, 36, 3), np.uint8))
    source = ["--source", str(tmp_path / "p.png"), "--normalise", "deeplab"]
    return [*source, "--seconds", "0.05", "--min-runs", "5", "--cool-down", "0", "--runtime", "litert"]


def test_figures_as_json(models: list[str], quick: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*models, *quick, "--threads", "1,2", "--json"]) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert [(row["model"], row["threads"]) for row in rows] == [
        (name, threads) for name in ("float.tflite", "int8.tflite") for threads in (1, 2)
    ]
    for row in rows:
        assert row["input_hw"] == [9, 17]
        assert row["runtime"] == "litert"
        assert row["invokes"] >= 5
        assert 0 < row["invoke_ms"]["median"] <= row["invoke_ms"]["p90"] <= row["invoke_ms"]["p99"]
        assert row["fps"] > 0
        assert "samples_ms" not in row
    assert rows[0]["accuracy"]["agreement"] == 1.0
    assert rows[0]["size_bytes"] == Path(models[0]).stat().st_size


def test_every_fourth_frame_labelled_is_a_row_with_its_accuracy(
    models: list[str], quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    quick = quick[2:] if quick[0] == "--source" else quick
    assert main([models[0], *quick, "--source", "demo", "--label-every", "1,4"]) == 0
    text = capsys.readouterr().out
    assert "thr every" in text
    assert max(map(len, text.partition("\n\n")[0].splitlines())) <= 80
    assert main([models[0], *quick, "--source", "demo"]) == 0
    assert "every" not in capsys.readouterr().out.partition("from the picture")[0]


@pytest.mark.parametrize("text", ["0", "17", "two", ""])
def test_a_number_of_frames_that_makes_no_sense_is_refused(
    text: str, models: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*models, "--label-every", text]) == 2
    assert "--label-every: expected" in capsys.readouterr().err


def test_tables_fit_80_columns(models: list[str], quick: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*models, "no-such-file.tflite", *quick, "--profile", "0.1", "--budget-fps", "0.001"]
    assert main(arguments) == 3
    captured = capsys.readouterr()
    tables = captured.out.partition("\n\n")[0]
    assert max(map(len, tables.splitlines())) <= 80
    assert all(name in captured.out for _, columns, _ in TABLES for name in columns if name != "every")
    assert "…" not in tables
    assert "rounds; all layers take" in " ".join(captured.out.split())
    assert "2 against 1" in captured.out or "1 against 2" in captured.out
    assert "RESIZE_BILINEAR" in captured.out
    assert "most accurate, 1.000, of the 2 within 1000000.0 ms" in captured.out
    assert "no-such-file: no-such-file.tflite: no such file" in captured.err
    assert "1 of 3 could not be measured" in captured.err


def test_strict_ends_with_the_first_picture_that_cannot_be_read(
    models: list[str], quick: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), np.full((20, 36, 3), 99, np.uint8))
    (tmp_path / "2.png").touch()
    arguments = [models[0], *quick, "--source", str(tmp_path)]
    assert main(arguments) == 0
    assert "left out: 2.png (expected a picture, found an empty file)" in " ".join(capsys.readouterr().out.split())
    assert main([*arguments, "--strict"]) == 1
    assert "compare-models: " in capsys.readouterr().err


def test_a_long_list_of_real_names_fits_too(capsys: pytest.CaptureFixture[str]) -> None:
    from reports import comparison, measured

    from edge.compare.report.building import document

    big: dict[str, Any] = {
        "recipe": "float32",
        "input_hw": (1025, 2049),
        "runtime": "openvino-bf16",
        "macs": 10**11,
        "threads": 16,
    }
    rows = [measured("xception65-1025x2049-os8-float32", 23456.0 + i, miou=0.5, **big) for i in range(12)]
    for row in rows:
        row.invalid = ["other processes took more than 10% of the processors in 5 of 5 rounds"]
    show(document(comparison(rows), []))
    tables = capsys.readouterr().out.partition("doubtful: 1")[0]
    lines = [line for line in tables.splitlines() if not line.startswith("warning: ")]  # of this machine's governor
    assert max(map(len, lines)) <= 80
    assert "…" not in tables


def test_report_baseline_and_gate(
    models: list[str], quick: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report"
    assert main([*models, *quick, "--output", str(report)]) == 0
    assert {path.name for path in report.iterdir()} == {"report.json", "report.csv", "report.md", "report.html"}
    capsys.readouterr()
    gated = [*models, *quick, "--baseline", str(report / "report.json"), "--fail-above"]
    assert main([*gated, "1000"]) == 0
    assert "1 since 20" in capsys.readouterr().out
    assert main([*gated, "0.0001"]) == 3
    assert "slower than the baseline allows (0.0001): float: invoke" in capsys.readouterr().err


def test_every_runtime_is_a_row_and_a_missing_one_says_how_to_install_it(
    models: list[str], quick: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")  # no other interpreter has it either
    code = main([models[1], *quick, "--runtime", "litert,openvino,tflite-runtime", "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert [row["runtime"] for row in rows] == ["litert", "openvino", "tflite-runtime"]
    assert rows[0]["invokes"] >= 5
    failed = {row["runtime"]: row["error"] for row in rows if "error" in row}
    assert code == (3 if failed else 0)
    for runtime, error in failed.items():
        assert "pip install " in error.partition(f"{runtime} cannot be imported")[2]


@pytest.mark.tensorflow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="kernels of x86 processors")
def test_a_processor_whose_int8_kernels_add_in_16_bits_is_named(
    int8_model: Path,
    quick: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert main([str(int8_model), *quick, "--runtime", "litert,openvino", "--output", str(tmp_path / "r")]) == 0
    said = "OpenVINO computes int8 with smaller weights"
    assert said in capsys.readouterr().out
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    assert said in report["environment"]["int8_note"]
    assert [row["reduced_layers"] > 0 for row in report["rows"]] == [False, True]
    assert said in (tmp_path / "r" / "report.md").read_text()


def test_where_nothing_can_be_measured_the_reason_is_the_error(
    tmp_path: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(b"nothing of the kind" * 10)
    pipe = tmp_path / "pipe.tflite"
    os.mkfifo(pipe)
    for path, reason in ((bad, "cannot load it"), (pipe, "no regular file")):
        assert main([str(path), *quick]) == 1
        captured = capsys.readouterr()
        assert captured.err.count(reason) == 1
        assert f"compare-models: {path.name}: " in captured.err.replace(f"{tmp_path}/", "")
        assert "failed" not in captured.out


def test_ctrl_c_shows_what_was_measured(models: list[str], quick: list[str], tmp_path: Path) -> None:
    code = "import sys; from edge.cli.compare_models import main; sys.exit(main(sys.argv[1:]))"
    arguments = [*models, *quick, "--seconds", "20", "--output", str(tmp_path / "r")]
    started = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert started.stderr is not None
    for line in started.stderr:
        if line.startswith("measuring"):
            break
    time.sleep(3)  # the first turns, each of more than a second
    os.killpg(started.pid, signal.SIGINT)  # as a terminal does: the candidates' processes get it too
    out, err = started.communicate(timeout=60)
    assert started.returncode == 130, err
    assert "float32" in out
    assert "interrupted" in err
    assert json.loads((tmp_path / "r" / "report.json").read_text())["interrupted"] is True


def test_a_graph_needs_the_converter(
    quick: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "convert.model_grid", None)
    assert main(["demo", *quick]) == 1
    assert re.search(r"pip install .*tensorflow>=", capsys.readouterr().err)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seconds", "0"],
        ["--seconds", "nan"],
        ["--threads", "two"],
        ["--threads", "0"],
        ["--runtime", "x"],
        ["--min-runs", "0"],
        ["--cool-down", "-1"],
        ["--budget-ms", "0"],
        ["--budget-ms", "nan"],
        ["--fail-above", "2"],
        ["--budget-ms", "1", "--budget-fps", "1"],
        ["--baseline", "none.json"],
        ["--profile", "-1"],
        ["--profile", "nan"],
        ["--budget-fps", "1e-320"],
        ["--python", "litert"],
        ["--normalise", "x"],
        ["--source", "demo", "--labels", "."],
    ],
)
def test_bad_options(arguments: list[str], models: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([models[0], *arguments]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("compare-models: ")


def test_the_kits_own_models(
    float_model: Path, int8_model: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(float_model), str(int8_model), *quick, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["recipe"], row["output_stride"]) for row in rows] == [("float32", 16), ("int8", 16)]
    for row in rows:
        assert (row["partitions"], row["ops_outside"], row["outside_share"]) == (1, 0, 0.0)
        assert row["gmacs_per_s"] > 0
    assert rows[0]["macs"] == rows[1]["macs"]


def test_a_report_is_drawn_again_without_measuring(
    models: list[str], quick: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    assert main([*models, *quick, "--output", str(tmp_path / "first")]) == 0
    table = capsys.readouterr().out.partition(str(tmp_path))[0]
    for model in models:
        Path(model).unlink()
    assert main(["--from", str(tmp_path / "first" / "report.json"), "--output", str(tmp_path / "again")]) == 0
    assert capsys.readouterr().out.partition(str(tmp_path))[0] == table
    for name in ("report.json", "report.csv", "report.md"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "first" / name).read_bytes()
    assert (tmp_path / "again" / "report.html").read_text().count("<svg") >= 3
    before = (tmp_path / "first" / "report.json").read_bytes()
    assert main(["--from", str(tmp_path / "first" / "report.json"), "--output", str(tmp_path / "first")]) == 0
    assert (tmp_path / "first" / "report.json").read_bytes() == before, "it may take its own place"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "expected MODEL, one or more, or a report with --from"),
        (["--from", "none.json"], "none.json: expected a report.json of compare-models: no such file"),
        (["a.tflite", "--from", "none.json"], "--from: shows a report as it is: expected no MODEL"),
    ],
)
def test_what_cannot_be_shown_again_is_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_missing_plots_are_told_before_anything_is_measured(
    models: list[str],
    quick: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = compare_models.importlib.util.find_spec
    monkeypatch.setattr(
        compare_models.importlib.util, "find_spec", lambda name: None if name == "matplotlib" else found(name)
    )
    said_before = list[str]()

    def measure(comparison: object, track: object) -> None:
        said_before.append(capsys.readouterr().err)
        raise KeyboardInterrupt

    monkeypatch.setattr(compare_models.Comparison, "run", measure)
    assert main([*models, *quick, "--output", str(tmp_path / "out")]) == 130
    assert "report.html will have no plots: matplotlib is missing: " in said_before[0]
    assert "compare-models --from report.json --output DIR" in said_before[0]
