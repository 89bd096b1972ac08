"""The benchmarks' own machinery: what is kept of a run, what the README shows of it, and the ways they compare."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from machine import Load
from overhead import FRAME_HW, KIT, LOGITS_HW, all_ways, measure, rows
from processes import watch
from scenes import scene_logits
from scoreboard import BEGIN, END, README, aimed, benchmark, read, render, row

from edge.data import Ids
from edge.scene import demo_clip

ALLOCATES = "import time; kept = bytearray(300_000_000); time.sleep(0.6)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ALLOCATES!r}], check=True)"
READY = """
import os, socket, time
time.sleep(0.3)
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
time.sleep(2)
"""


@pytest.fixture
def board(tmp_path: Path) -> tuple[Path, Path]:
    """Paths of results and README; the README has prose around its tables."""
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    return tmp_path / "results.json", readme


def test_the_readme_shows_what_was_measured() -> None:
    shown = README.read_text().partition(BEGIN)[2].partition(END)[0]
    assert shown == f"\n{render(read())}"


def test_a_script_replaces_its_own_rows_and_nothing_else(board: tuple[Path, Path]) -> None:
    for name, ms in (("invoke", 7.0), ("live", 5.0), ("invoke", 3.0)):
        with benchmark(name, f"Title of {name}", results=board[0], readme=board[1]) as entry:
            entry.rows.append(row("kit", [ms] * 5))
    assert [(name, entry["rows"][0]["median"]) for name, entry in read(board[0]).items()] == [
        ("invoke", 3.0),
        ("live", 5.0),
    ]
    text = board[1].read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert text.count("| kit | 3.00 ms |") == text.count("| kit | 5.00 ms |") == 1
    assert "7.00" not in text


def test_a_run_that_fails_leaves_what_was_known(board: tuple[Path, Path]) -> None:
    before = board[1].read_text()

    def failing() -> None:
        with benchmark("invoke", "Title", results=board[0], readme=board[1]) as entry:
            entry.rows.append(row("kit", [1.0]))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert not board[0].exists()
    assert board[1].read_text() == before


def test_targets_are_met_or_said_to_be_missed(board: tuple[Path, Path]) -> None:
    slow, fast = [30.0, 33.0, 31.0, 30.0, 32.0], [1.0, 1.1, 1.0, 1.0, 1.1]
    with benchmark("invoke", "Title", "times as fast", results=board[0], readme=board[1]) as entry:
        entry.rows += [
            aimed(row("slow", slow, base=slow), at_most=10),
            aimed(row("fast", fast, base=slow), at_least=20, of="ratio"),
        ]
    kept = json.loads(board[0].read_text())["invoke"]
    assert [found["met"] for found in kept["rows"]] == [False, True]
    assert kept["rows"][1]["ratio"][0] == 30.0
    assert kept["machine"]["versions"]["numpy"] == np.__version__
    text = board[1].read_text()
    assert "| slow | 31.0 ms | 30.0 - 33.0 | 32.6 | 1.00 (1.00 - 1.00) | <= 10 ms: **missed** |" in text
    assert "| fast | 1.00 ms | 1.00 - 1.10 | 1.10 | 30.0 (29.1 - 31.0) | >= 20: met |" in text


def test_rows_with_columns_share_a_line(board: tuple[Path, Path]) -> None:
    with benchmark("scaling", "Title", results=board[0], readme=board[1]) as entry:
        entry.rows += [
            row("small", [ms], column=name, GMAC="1.5") for name, ms in (("int8, ms", 2.0), ("float32, ms", 4.0))
        ]
    assert (
        "| way | GMAC | int8, ms | float32, ms |\n|---|---|---|---|\n| small | 1.5 | 2.00 | 4.00 |"
        in board[1].read_text()
    )


def test_what_others_take_is_told_apart_from_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert Load(0, 100, 10).others(Load(10, 115, 20)) == pytest.approx(0.25)


def test_the_memory_of_a_command_is_that_of_all_its_processes() -> None:
    assert 300 < watch([sys.executable, "-c", PARENT]).peak_mb < 400


def test_a_command_is_ready_when_it_says_so() -> None:
    run = watch([sys.executable, "-c", READY])
    assert run.ready_s is not None
    assert 0.3 < run.ready_s < run.seconds - 0.5


def test_a_command_that_fails_is_no_measurement() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        watch([sys.executable, "-c", "raise SystemExit('no model')"])
    assert "no model" in caught.value.output


@pytest.fixture(scope="module")
def street() -> tuple[list[Ids], list[Ids]]:
    pictures, truths = zip(*demo_clip(2, FRAME_HW), strict=True)
    return list(pictures), [scene_logits(ids, LOGITS_HW, seed) for seed, ids in enumerate(truths)]


def test_all_ways_around_the_network_do_the_same_work(street: tuple[list[Ids], list[Ids]]) -> None:
    ways = {name: way for name, way in all_ways().items() if not name.startswith("floor")}
    pictures, scores = street
    found = rows(ways, measure(ways, pictures, scores, 1), scores)
    shares = {each.way: float(each.more["labels as exact"].rstrip("%")) for each in found}
    assert shares[KIT] == 100
    assert 90 < shares["picamera2's example"] < shares["OpenCV and numpy"] < 100
    for name, way in ways.items():
        given = scores[0].astype(np.float32) if way.real else scores[0]
        drawn = way.render(pictures[0], way.postprocess(given))[..., :3]
        plain = ways["kit, overlay alone"].render(pictures[0], ways[KIT].postprocess(scores[0]))
        assert drawn.shape == (*FRAME_HW, 3), name
        differs = np.abs(drawn.astype(int) - plain).max(axis=2) > 2
        assert differs.mean() < (0.3 if name == KIT else 0.06), name  # legend and status line; borders
