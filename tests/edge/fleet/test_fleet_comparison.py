"""Models are compared on the device of every worker, and the answers are put together."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from pretending import linger, place
from reports import comparison, measured
from waiting import wait_for

from edge.cli.compare_models import main
from edge.cluster.each_worker import Seat, on_each, seats
from edge.cluster.opening import open_cluster
from edge.compare.report.building import document
from edge.compare.report.document import Document, read_report
from edge.compare.rows import Candidate, Row
from edge.fleet.comparing import Compared
from edge.fleet.report import FleetReport, as_csv, as_json, fleet_report, folders
from edge.fleet.verdicts import choose_for_all, kind_rows, kinds

QUICK = ["--seconds", "0.05", "--min-runs", "5", "--cool-down", "0", "--runtime", "litert"]
NAMES = ["exact", "fast"]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Any]:
    """Three workers."""
    with open_cluster("local", 3) as opened:
        yield opened


@pytest.fixture
def models(tiny_model: Callable[..., bytes], tmp_path: Path) -> list[str]:
    """Two models without cards, and a file of their classes."""
    (tmp_path / "float.tflite").write_bytes(tiny_model())
    (tmp_path / "int8.tflite").write_bytes(tiny_model("int8", scale=1 / 127.5, zero_point=-1))
    (tmp_path / "colours.txt").write_text("red\ngreen\nblue\n")
    cv2.imwrite(str(tmp_path / "street.png"), np.full((20, 36, 3), 99, np.uint8))
    told = [
        "--classes",
        str(tmp_path / "colours.txt"),
        "--normalise",
        "deeplab",
        "--source",
        str(tmp_path / "street.png"),
    ]
    return [str(tmp_path / "float.tflite"), str(tmp_path / "int8.tflite"), *told]


def device(name: str, exact_ms: float, fast_ms: float | None, board: str = "Pi 5", limit_ms: float = 40.0) -> Compared:
    """A device on which two models take so long, and 5 ms more for a whole frame; None where one failed."""
    rows = [measured("exact", exact_ms, miou=0.50)]
    failed = Row(Candidate(Path("fast.tflite"), "litert", 2), error="no answer for 600 s")
    rows.append(failed if fast_ms is None else measured("fast", fast_ms, miou=0.48, seed=1))
    made = document(comparison(rows), [], budget_ms=limit_ms)
    made = replace(made, environment=replace(made.environment, board=board))
    return Compared(Seat(name, f"tcp://{name}", name, "python"), (), made)


SILENT = Compared(Seat("gone", "tcp://gone", "gone", "python"), (), None, "its worker went away")


def test_devices_of_one_kind_are_grouped_with_their_spread() -> None:
    found = [device("a", 30.0, 10.0), device("b", 60.0, 20.0, "Pi 4"), device("c", 34.0, 12.0), SILENT]
    assert [[one.seat.name for one in kind] for kind in kinds(found)] == [["a", "c"], ["b"]]
    rows = kind_rows(found, 2, 40.0)
    assert [(row.kind, row.model, row.devices, row.within) for row in rows] == [
        (0, 0, 2, 2),
        (0, 1, 2, 2),
        (1, 0, 1, 0),
        (1, 1, 1, 1),
    ]
    spread = rows[0].frame_p90_ms
    assert 35.0 < spread.low < 36.0 < spread.median < 38.5 < spread.high < 40.0
    assert rows[0].score is not None
    assert rows[0].score.median == 0.5


@pytest.mark.parametrize(
    ("devices", "limit_ms", "best", "said"),
    [
        (
            ((30.0, 10.0), (33.0, 12.0)),
            40.0,
            0,
            "exact: most accurate, 0.500, of the 2 within 40.0 ms on all 2 d",
        ),
        (((30.0, 10.0), (60.0, 12.0)), 40.0, 1, "fast: most accurate, 0.480, of the 1 within 40.0 ms on all 2 devices"),
        (((30.0, 10.0), (33.0, None)), 40.0, 0, "of the 1 within 40.0 ms"),  # one that failed somewhere is not for all
        (
            ((30.0, 10.0), (60.0, 30.0)),
            20.0,
            None,
            "none is within 20.0 ms on all 2 devices (p90 of a frame); fast",
        ),
        (((30.0, 10.0),), 40.0, 0, "on the only device; at most 35."),
    ],
)
def test_one_model_is_named_for_all_devices(
    devices: tuple[tuple[float, float | None], ...], limit_ms: float, best: int | None, said: str
) -> None:
    found = [device(name, *ms) for name, ms in zip("ab", devices, strict=False)]
    choice = choose_for_all(found, NAMES, limit_ms)
    assert choice.best == best
    assert said in choice.sentence
    if best is None:
        assert choice.sentence.endswith(" ms on b")
    assert choose_for_all([*found, SILENT], NAMES, limit_ms).best == best


def test_each_device_has_a_folder_of_its_own() -> None:
    called = ["pi 1", "pi-1", "pi-1-2", "report.json", "..", "pi/1"]
    made = SimpleNamespace(devices=[SimpleNamespace(seat=SimpleNamespace(name=name)) for name in called])
    named = folders(made)  # type: ignore[arg-type]
    assert len(set(named)) == len(called)
    assert named[2] == "pi-1-2", "the one whose own name it is"
    assert not {*named} & {"report.json", "..", "pi-1"}


def test_without_accuracy_the_fastest_on_its_slowest_device_is_named() -> None:
    found = [device("a", 10.0, 30.0), device("b", 33.0, 31.0)]
    rows = [[replace(row, accuracy=None) for row in _document(one).rows] for one in found]
    found = [
        replace(one, document=replace(_document(one), rows=tuple(plain)))
        for one, plain in zip(found, rows, strict=True)
    ]
    assert choose_for_all(found, NAMES, 40.0).sentence.startswith("fast: fastest (accuracy is not known) of the 2")


def _document(one: Compared) -> Document:
    assert one.document is not None
    return one.document


def made_of(*found: Compared) -> FleetReport:
    return fleet_report(found, NAMES, ["compare-models"], 40.0)


def test_the_report_has_every_model_on_every_device() -> None:
    report = made_of(device("a b", 30.0, 10.0), device("a/b", 60.0, None), SILENT)
    assert folders(report) == ["a-b-1", "a-b-2", "gone"]
    found = json.loads(json.dumps(as_json(report), allow_nan=False))
    assert found["budget"]["best"] is None
    assert [one["budget"] and one["budget"]["best"] for one in found["devices"]] == ["exact", None, None]
    assert [one["error"] for one in found["devices"]] == ["", "", "its worker went away"]
    assert found["devices"][1]["rows"][1]["error"] == "no answer for 600 s"
    lines = list(csv.DictReader(io.StringIO(as_csv(report))))
    assert [(line["device"], line["model"], bool(line["frame_p90_ms"])) for line in lines] == [
        ("a b", "exact", True),
        ("a b", "fast", True),
        ("a/b", "exact", True),
        ("a/b", "fast", False),
        ("gone", "", False),
    ]


def test_devices_are_compared_and_reported(
    fleet: Any, models: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place(fleet, ["a", "b", "c"], ["Pi 5", "Pi 4", "Pi 5"])
    gone, out = str(tmp_path / "no-such.tflite"), tmp_path / "out"
    arguments = [gone, *models, *QUICK, "--cluster", fleet.scheduler.address, "--budget-ms", "1000"]
    assert main([*arguments, "--output", str(out)]) == 3
    said = capsys.readouterr()
    assert "kind 1: Pi 5, " in said.out
    assert ": 0, 2\n" in said.out
    assert "budget, 1: " in said.out
    assert "of the 2 within 1000.0 ms on all 3 devices; at most " in said.out
    assert max(map(len, said.out.partition("\n\n")[0].splitlines())) <= 100
    assert "0, 1, 2: no-such: " in said.err
    assert said.err.splitlines()[-1] == "compare-models: 3 of 9 could not be measured"
    found = json.loads((out / "report.json").read_text())
    assert [(row["kind"], row["model"], row["devices"]) for row in found["rows"]] == [
        (0, "float", 2),
        (0, "int8", 2),
        (1, "float", 1),
        (1, "int8", 1),
    ]
    for name in ("0", "1", "2"):
        whole = read_report(out / name / "report.json")
        assert [row.model for row in whole.measured] == ["float.tflite", "int8.tflite"]
        assert whole.measured[0].classes == ("red", "green", "blue")
        assert f"href='{name}/report.html'" in (out / "report.html").read_text()


def test_workers_of_one_machine_do_not_disturb_each_other(
    fleet: Any, models: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    place(fleet, ["a", "b", "a"], ["Pi 5", "Pi 4", "Pi 5"])
    assert main([*models, *QUICK, "--cluster", fleet.scheduler.address, "--json"]) == 0
    said = capsys.readouterr()
    assert "2 rests: on the same machine as 0\n" in said.err
    found = json.loads(said.out)
    assert [(one["worker"], one["resting"]) for one in found["devices"]] == [("0", ["2"]), ("1", [])]


def test_a_source_that_devices_do_not_have_is_one_line(
    fleet: Any, models: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    place(fleet, ["a", "a", "a"], ["Pi 5"] * 3)
    assert main([*models, *QUICK, "--source", "/no/such/street", "--cluster", fleet.scheduler.address]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("compare-models: 0: /no/such/street: not found; expected ")
    assert said.endswith("; --source and --labels are opened on the worker")


@pytest.mark.parametrize(
    "more",
    [["--baseline", "r.json"], ["--fail-above", "2"], ["--from", "r.json"], ["--python", "litert=python3"]],
)
def test_what_only_this_machine_can_do_is_refused(
    models: list[str], capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    assert main([models[0], "--cluster", "tcp://127.0.0.1:1", *more]) == 2
    assert f"{more[0]}: expected none together with --cluster" in capsys.readouterr().err


def test_work_ends_when_nobody_waits_for_it(fleet: Any, tmp_path: Path) -> None:
    first, second, _ = seats(fleet)
    done = tmp_path / "done"
    answers = on_each(fleet, "trying", {first.address: (linger, done), second.address: (abs, -3)})
    assert next(answers) == (second.address, 3)
    assert not done.exists()
    answers.close()  # type: ignore[attr-defined]
    wait_for(done.exists)
