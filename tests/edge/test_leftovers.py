"""What killed processes leave is swept, and nothing else: processes, other users and links are real here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import leftovers
from edge.leftovers import TemporaryFolder, UnfinishedFile, left_behind

ROOT = Path(__file__).parents[2]
HOLD = """
import os, sys
from pathlib import Path
from edge.leftovers import TemporaryFolder, UnfinishedFile

folder = TemporaryFolder()
Path(folder.name, "large").write_bytes(bytes(1000))
part = UnfinishedFile(Path(sys.argv[1]))
part.write(b"half of it")
print(folder.name, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of its own."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.fixture
def holder(tmp_path: Path, temporary: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds an unfinished `o.json`, and a temporary folder."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "o.json")]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(str(temporary))
        yield process
        process.kill()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_process_holds_is_swept_when_it_is_killed_and_not_before(
    holder: subprocess.Popen[str], tmp_path: Path, temporary: Path
) -> None:
    (folder,) = names(temporary)
    assert not list(left_behind(tmp_path))
    with TemporaryFolder():
        assert folder in names(temporary)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with TemporaryFolder() as mine:
        assert names(temporary) == [Path(mine).name]
    assert names(temporary) == []
    (part,) = left_behind(tmp_path)
    assert part.final == tmp_path / "o.json"
    assert part.path.read_bytes() == b"half of it"


def test_a_process_that_lives_is_told_by_its_lock_and_not_by_its_number(tmp_path: Path) -> None:
    alive = tmp_path / f"o.json.roadlite-{os.getppid()}.part"
    alive.write_bytes(b"left by a process of another container, or before the number was given again")
    assert [part.path for part in left_behind(tmp_path)] == [alive]


def test_one_who_takes_over_is_alone(tmp_path: Path) -> None:
    (tmp_path / "o.json.roadlite-1.part").touch()
    for _ in left_behind(tmp_path):
        assert not list(left_behind(tmp_path))


def test_links_and_pipes_and_second_names_are_left_alone(tmp_path: Path, temporary: Path) -> None:
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    for name in ("film", "song"):
        (treasure / name).write_bytes(b"dear")
    (temporary / "roadlite-abcdefgh.tmp").symlink_to(treasure)
    (temporary / "roadlite-ABCDEFGH.tmp").mkdir()
    (temporary / "roadlite-data").mkdir()
    (tmp_path / "a.json.roadlite-1.part").symlink_to(treasure / "song")
    os.link(treasure / "film", tmp_path / "b.json.roadlite-1.part")
    os.mkfifo(tmp_path / "c.json.roadlite-1.part")
    (tmp_path / "d.json.roadlite-1.part").mkdir()
    before = names(tmp_path), names(temporary)
    assert not list(left_behind(tmp_path))
    with TemporaryFolder():
        pass
    assert (names(tmp_path), names(temporary)) == before
    assert names(treasure) == ["film", "song"]


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file to another user takes root")
def test_what_other_users_have_is_left_alone(tmp_path: Path, temporary: Path) -> None:
    folder, file = temporary / "roadlite-abcdefgh.tmp", tmp_path / "a.json.roadlite-1.part"
    folder.mkdir()
    file.touch()
    for path in (folder, file):
        os.chown(path, 12345, 12345)
    assert not list(left_behind(tmp_path))
    with TemporaryFolder():
        assert folder.exists()


def test_where_nothing_can_be_locked_all_works_and_nothing_is_swept(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "fcntl", None)  # as on a system that has none
    (tmp_path / "a.json.roadlite-1.part").touch()
    (temporary / "roadlite-abcdefgh.tmp").mkdir()
    with TemporaryFolder() as folder:
        Path(folder, "x").touch()
    part = UnfinishedFile(tmp_path / "o.json")
    part.write(b"whole")
    part.finish()
    assert (tmp_path / "o.json").read_bytes() == b"whole"
    assert not list(left_behind(tmp_path))
    assert names(temporary) == ["roadlite-abcdefgh.tmp"]


def test_a_kept_file_takes_the_place_of_none(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        part = UnfinishedFile(tmp_path / "o.mp4")
        part.write(b"%d" % number)
        part.keep_as("kept.mp4")
    assert names(tmp_path) == ["kept-2.mp4", "kept-3.mp4", "kept.mp4"]
    assert [(tmp_path / name).read_bytes() for name in names(tmp_path)] == [b"2", b"3", b"1"]


def test_without_links_a_file_is_kept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT, which memory cards and sticks have, knows no second names."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    test_a_kept_file_takes_the_place_of_none(tmp_path)


def test_a_folder_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, made = tempfile.mkdtemp, []

    def swept_once(*given: str, **named: str) -> str:
        made.append(make(*given, **named))
        if len(made) == 1:
            leftovers._sweep_folders(tmp_path)  # as another process does that makes a folder at this moment
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", swept_once)
    with TemporaryFolder(tmp_path) as folder:
        assert Path(folder).is_dir()
        assert [Path(name).exists() for name in made] == [False, True]
