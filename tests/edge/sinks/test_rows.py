from __future__ import annotations

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from edge.classes import ClassSet
from edge.controls import Controls, LivePipeline
from edge.data import IGNORE, Frame, LabelMap, Result, SourceInfo
from edge.errors import SinkError, UsageError
from edge.regions import Polygon
from edge.sinks.base import Sink
from edge.sinks.open import open_sink
from edge.sinks.rows import FrameClock

FILM = SourceInfo("film", (8, 4), Fraction(25), None)
CLASSES = ClassSet(("road", "person, or rider"), ((128, 64, 128), (220, 20, 60)))
LEFT = {"left": [(0.0, 0.0), (0.4, 0.0), (0.4, 1.0), (0.0, 1.0)]}
LIVE = LivePipeline(CLASSES, Controls(), NotImplemented, regions=LEFT)
ROOT = Path(__file__).parents[3]
KILLED = """
import sys, time
sys.path[:0] = [{root!r}, {here!r}]
from test_rows import FILM, LIVE, result
from edge.sinks.open import open_sink
sink = open_sink(sys.argv[1], FILM, LIVE)
for index in range(3):
    sink.write(result(index))
sink._file.write(b'{{"index": 3, "na')
print("ready", flush=True)
time.sleep(60)
"""


def result(index: int, *, time_s: float | None = None, name: str | None = None) -> Result:
    """Road on the left half, the last column ignored, else persons; it came 50 ms ago."""
    ids = np.ones((4, 8), np.uint8)
    ids[:, :4], ids[:, -1] = 0, IGNORE
    picture = np.zeros((4, 8, 3), np.uint8)
    return Result(Frame(picture, index, time.perf_counter() - 0.05, time_s, name=name), LabelMap(ids), picture)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_many(sink: Sink) -> None:
    for index in range(100):
        sink.write(result(index))


def test_a_line_of_json_for_every_frame(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    with closing(open_sink(str(out), FILM, LIVE)) as sink:
        for index in (0, 2):
            sink.write(result(index))
        assert not out.exists()
    assert sink.written == str(out)
    first, second = lines(out)
    assert (first["index"], first["time_s"], second["time_s"]) == (0, 0.0, 0.08)
    assert first["shares"] == {"road": 0.5, "person, or rider": 0.375}
    assert first["regions"] == {"left": {"road": 1.0, "person, or rider": 0.0}}
    assert 50 <= first["latency_ms"] < 1000  # type: ignore[operator]
    age = datetime.now(UTC) - datetime.fromisoformat(str(first["clock"]))
    assert 0 <= age.total_seconds() < 30
    assert "name" not in first


def test_a_line_of_csv_under_the_names_of_the_columns(tmp_path: Path) -> None:
    out = tmp_path / "ROWS.CSV"
    with closing(open_sink(str(out), SourceInfo("pictures", None, None, 2), LIVE)) as sink:
        sink.write(result(0, name="a"))
        sink.write(result(1, name='b,"c"'))
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ["index", "name", "time_s", "clock", "latency_ms", "road"]
    assert list(rows[0]) == [*columns, "person, or rider", "left/road", "left/person, or rider"]
    assert [(row["index"], row["name"], row["time_s"]) for row in rows] == [("0", "a", ""), ("1", 'b,"c"', "")]
    assert (rows[1]["road"], rows[1]["left/road"]) == ("0.5", "1.0")


@pytest.mark.parametrize("regions", [LEFT, {}])
def test_a_region_that_is_drawn_while_it_runs_is_in_lines_and_not_in_columns(
    tmp_path: Path, regions: dict[str, Polygon]
) -> None:
    live = LivePipeline(CLASSES, Controls(), NotImplemented, regions=regions, regions_file=tmp_path / "regions.json")
    rows, table = tmp_path / "rows.jsonl", tmp_path / "rows.csv"
    with closing(open_sink(str(rows), FILM, live)) as one, closing(open_sink(str(table), FILM, live)) as other:
        for index in range(3):
            shown = result(index)
            one.write(shown)
            other.write(shown)
            if index == 1:
                live.region_store.add("right", ((0.6, 0.0), (1.0, 0.0), (1.0, 1.0), (0.6, 1.0)))
    found = [list(line.get("regions", ())) for line in lines(rows)]  # type: ignore[call-overload]
    assert found == [list(regions), list(regions), [*regions, "right"]]
    columns = [len(row) for row in csv.reader(table.read_text().splitlines())]
    assert columns == [columns[0]] * 4


def test_no_frame_leaves_no_file(tmp_path: Path) -> None:
    open_sink(str(tmp_path / "rows.csv"), FILM, LIVE).close()
    assert not list(tmp_path.iterdir())


def test_frames_have_the_time_of_their_source() -> None:
    film, camera = FrameClock(FILM), FrameClock(SourceInfo("camera", None, Fraction(30), None, live=True))
    assert film.time_s(result(5, time_s=0.7).frame) == 0.7
    assert film.time_s(result(5).frame) == 0.2
    first = result(0).frame
    assert camera.time_s(first) == 0.0
    assert camera.time_s(Frame(first.pixels, 90, first.t_capture_s + 1.5)) == 1.5, "as they came, not as promised"
    assert FrameClock(SourceInfo("pictures", None, None, 2)).time_s(first) is None


def test_what_a_killed_run_has_written_is_kept_to_its_last_whole_line(tmp_path: Path) -> None:
    code = KILLED.format(root=str(ROOT), here=str(Path(__file__).parent))
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "rows.jsonl")], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    kept = tmp_path / "rows-recovered.jsonl"
    with closing(open_sink(str(tmp_path / "other.csv"), FILM, LIVE)) as sink:
        assert sink.notice == f"kept what a killed run had recorded: {kept}"
    assert [row["index"] for row in lines(kept)] == [0, 1, 2]
    assert [path.name for path in tmp_path.iterdir()] == [kept.name]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_whole_rows_are_kept_when_the_disk_is_full(tmp_path: Path, name: str) -> None:
    out, before = tmp_path / name, resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    sink = open_sink(str(out), FILM, LIVE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        with pytest.raises(SinkError, match="what was recorded until then is kept"):
            write_many(sink)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert 0 < out.stat().st_size <= 1000
    assert out.read_bytes().endswith(b"\n")
    assert sink.written == str(out)
    sink.close()
    with pytest.raises(SinkError, match="closed"):
        sink.write(result(0))
    assert os.listdir(tmp_path) == [name]


def test_what_rows_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only a running pipeline has classes to count"):
        open_sink(str(tmp_path / "rows.csv"), FILM)
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="cannot be written to"):
        open_sink(str(tmp_path / "file" / "rows.csv"), FILM, LIVE)
