from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import SinkError
from edge.files import whole_file, writable_folder, write_whole


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with whole_file(path) as part:
        assert part.path.parent == tmp_path
        assert part.write(b"new") == 3
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a.png"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path, failure: type[BaseException]) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def write() -> None:
        with whole_file(path) as part:
            part.write(b"half")
            raise failure

    with pytest.raises(failure):
        write()
    assert (path.read_bytes(), names(tmp_path)) == (b"old", ["a.png"])


FULL = """
import resource, sys
from pathlib import Path
from edge.errors import SinkError
from edge.files import write_whole

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_whole(Path(sys.argv[1]), bytes(5000))
except SinkError as exc:
    print(exc)
"""


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, text=True, check=True)
    assert done.stdout == f"{path}: cannot be written (File too large)\n"
    assert (path.read_bytes(), names(tmp_path)) == (b"old", ["a.tflite"])


@pytest.mark.parametrize("name", ["file/a.bin", "missing/a.bin", "n" * 300])
def test_a_place_that_cannot_be_written_is_a_sink_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="cannot be written"):
        write_whole(tmp_path / name, b"x")
    assert names(tmp_path) == ["file"]


def test_folders_and_devices_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "folder", tmp_path / "pipe"):
        before = path.stat().st_ino
        with pytest.raises(SinkError, match="no regular file"):
            write_whole(path, b"x")
        assert path.stat().st_ino == before
    assert names(tmp_path) == ["folder", "pipe"]


def test_what_a_dead_run_left_is_not_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(b"left" * 100)
    (tmp_path / f"a.bin.roadlite-{os.getpid()}.part").write_bytes(b"left" * 100)
    write_whole(tmp_path / "a.bin", b"new")
    assert (tmp_path / "a.bin").read_bytes() == b"new"


RACE = """
import sys
from pathlib import Path
from edge.files import write_whole

data = sys.argv[2].encode() * 300_000
for _ in range(40):
    write_whole(Path(sys.argv[1]), data)
"""


def test_of_two_processes_that_write_one_file_either_wins_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    racers = [subprocess.Popen([sys.executable, "-c", RACE, path, letter]) for letter in "xy"]
    seen = set()
    while any(racer.poll() is None for racer in racers):
        if path.exists():
            data = path.read_bytes()
            seen.add((len(data), len(set(data))))
    assert [racer.wait() for racer in racers] == [0, 0]
    assert seen <= {(300_000, 1)}
    assert names(tmp_path) == ["a.bin"]


def test_a_writable_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert writable_folder(folder) == folder
    assert writable_folder(folder) == folder
    assert names(folder) == []


@pytest.mark.parametrize("name", ["file", "file/below", "/proc/nowhere"])
def test_a_folder_that_cannot_be_is_refused_before_the_work(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match=r"cannot be written to .*choose another folder"):
        writable_folder(tmp_path / name)


def test_what_killed_runs_left_goes_with_the_next_that_writes_there_but_for_films(tmp_path: Path) -> None:
    kept = ["a.png", "b.mp4.roadlite-1.part", "c.part", "d.1.part", "roadlite-1.part", ".roadlite-1"]
    for name in (*kept, "a.json.roadlite-77.part", "n\nl.png.roadlite-8-2.part", "e.MP3.roadlite-1.part"):
        (tmp_path / name).write_bytes(b"left")
    writable_folder(tmp_path)
    assert names(tmp_path) == sorted(kept)
