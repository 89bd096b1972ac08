"""An archive is labelled as one machine would label it, whatever happens to the workers."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from archives import MODEL, archive, job, labels, moving_film, outputs, pictures

from edge.archive import tasks
from edge.archive.archive import PARTS, Archive
from edge.archive.cutting import WHOLE, plan
from edge.archive.films import films_of
from edge.archive.manifest import Manifest
from edge.archive.progress import Progress
from edge.cluster.opening import open_cluster


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two films that are cut, and one that is not."""
    folder = tmp_path_factory.mktemp("drives")
    moving_film(folder / "monday" / "a.mp4", 120)
    moving_film(folder / "b.mkv", 70)
    moving_film(folder / "c.mp4", 10)
    return folder


@pytest.fixture(scope="module")
def plain(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What this process alone makes of the films, piece by piece, and in `whole` of each in one piece."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "model.tflite").write_bytes(MODEL)
    for film in films_of([str(films)])[0]:
        for name, pieces in (("pieces", plan(film.address, 1.0).pieces), ("whole", WHOLE)):
            parts = [str(folder / name / "parts" / film.name / f"{piece.number}.part") for piece in pieces]
            for piece, part in zip(pieces, parts, strict=True):
                done = tasks.label_piece(job(), film, piece, part, str(folder / "model.tflite"))
                assert isinstance(done, tasks.Done)
            frames = plan(film.address).frames
            assert isinstance(tasks.join_film(film, parts, frames, outputs(folder / name).of(film)), tasks.Done)
    return folder


NAMES = "monday/a", "b", "c"


def assert_same(found: Path, plain: Path) -> None:
    for name in NAMES:
        assert labels(found / "labels" / name) == labels(plain / "pieces" / "labels" / name)
        assert pictures(found / "films" / f"{name}.mp4") == pictures(plain / "pieces" / "films" / f"{name}.mp4")


def test_pieces_give_the_labels_of_the_whole_film(plain: Path) -> None:
    for name in NAMES:
        whole = labels(plain / "whole" / "labels" / name)
        assert labels(plain / "pieces" / "labels" / name) == whole
        assert len(set(whole.values())) > 5
        times = [
            [time_s for time_s, _ in pictures(plain / way / "films" / f"{name}.mp4")] for way in ("pieces", "whole")
        ]
        assert times[0] == times[1]


def test_one_thread_encodes_so_that_films_do_not_depend_on_the_cores(plain: Path) -> None:
    (part,) = (plain / "whole" / "parts" / "c").iterdir()
    assert b" threads=1 " in part.read_bytes()  # x264 writes its settings into what it makes


def test_workers_make_what_one_machine_makes_and_a_second_run_nothing(
    client: Any, films: Path, plain: Path, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    first = archive(client, films, tmp_path, report=seen.append)
    first.run()
    assert (first.progress.films_done, first.failures) == (3, [])
    assert first.progress.pieces_done == first.progress.pieces > 5
    assert set(first.progress.rates) == {"0", "1"}
    assert_same(tmp_path, plain)
    assert not any((tmp_path / "labels" / PARTS).rglob("*.part"))
    record = Manifest(str(tmp_path / "labels")).of(str(films / "monday" / "a.mp4"))
    assert record is not None
    assert (record.frames, record.pieces, record.model_sha256) == (120, 4, first._job.model.sha256)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    second = archive(client, films, tmp_path)
    second.run()
    assert (second.progress.films_before, second.progress.films_done) == (3, 0)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == before


def test_what_is_missing_or_was_asked_otherwise_is_made(client: Any, films: Path, tmp_path: Path) -> None:
    archive(client, films, tmp_path).run()
    (tmp_path / "films" / "c.mp4").unlink()
    again = archive(client, films, tmp_path)
    again.run()
    assert (again.progress.films_before, again.progress.films_done) == (2, 1)
    assert (tmp_path / "films" / "c.mp4").exists()
    other = archive(client, films, tmp_path, job(piece_s=2.0))
    other.run()
    assert other.progress.films_done == 3


def test_an_interrupted_run_keeps_its_pieces(client: Any, films: Path, plain: Path, tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.pieces_done > 1:
            raise KeyboardInterrupt

    first = archive(client, films, tmp_path, report=interrupt)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    assert first.progress.films_done < 3
    second = archive(client, films, tmp_path)
    second.run()
    assert second.progress.pieces_kept + second.progress.films_before > 0
    assert_same(tmp_path, plain)


def test_what_cannot_be_read_is_reported_and_the_others_are_done(client: Any, tmp_path: Path) -> None:
    folder = tmp_path / "drives"
    moving_film(folder / "good.mp4", 30)
    (folder / "bad.mp4").write_bytes(b"no film")
    (folder / "notes.txt").write_text("no film either")
    (folder / "cut.mp4").write_bytes((folder / "good.mp4").read_bytes()[:300])
    done = archive(client, folder, tmp_path)
    done.run()
    assert {Path(record.input).name for record in done.failures} == {"bad.mp4", "cut.mp4"}
    assert all(record.reason.startswith(str(folder)) for record in done.failures)
    assert not done.tolerates
    assert len(labels(tmp_path / "labels" / "good")) == 30
    assert not (tmp_path / "labels" / "bad").exists()
    tolerant = archive(client, folder, tmp_path, max_failures=2)
    tolerant.run()
    assert tolerant.tolerates
    assert len(tolerant.failures) == 2


def test_a_film_with_a_damaged_frame_is_read_as_a_whole(client: Any, tmp_path: Path) -> None:
    film = moving_film(tmp_path / "drives" / "film.mp4", 120)
    data = bytearray(film.read_bytes())
    middle = data.find(b"mdat") + (len(data) - data.find(b"mdat")) // 2
    data[middle : middle + 900] = b"\xff" * 900
    film.write_bytes(bytes(data))
    done = archive(client, film.parent, tmp_path)
    done.run()
    assert done.progress.films_done == 1
    record = Manifest(str(tmp_path / "labels")).of(str(film))
    assert record is not None
    assert record.pieces == 1
    assert record.frames == len(labels(tmp_path / "labels" / "film")) > 80


def test_what_is_there_and_not_of_the_archive_is_left_alone(client: Any, films: Path, tmp_path: Path) -> None:
    kept = tmp_path / "labels" / "c" / "mine.png"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"mine")
    done = archive(client, films, tmp_path)
    done.run()
    assert [record.reason for record in done.failures] == [
        f"{kept.parent}: is there, and is not of this archive; move it away"
    ]
    assert kept.read_bytes() == b"mine"


class Killer(threading.Thread):
    """Kills the worker that is at a film, so many times, as the system does where memory runs out."""

    def __init__(self, client: Any, film: str, times: int) -> None:
        super().__init__(daemon=True)
        self._client, self._film, self._times = client, film, times
        self.killed = 0
        self.over = threading.Event()

    def run(self) -> None:
        pids = {}
        while self.killed < self._times and not self.over.is_set():
            with suppress(OSError):  # a worker is dying, or not back yet
                pids.update(self._client.run(os.getpid))
            for address, keys in self._client.processing().items():
                if any(str(key).startswith(f"piece-{self._film}") for key in keys) and address in pids:
                    time.sleep(0.1)
                    os.kill(pids.pop(address), signal.SIGKILL)
                    self.killed += 1
                    break
            time.sleep(0.02)


def run_under_attack(films: Path, folder: Path, times: int) -> tuple[Archive, int]:
    with open_cluster("local", 2) as client:
        done = archive(client, films, folder, job(piece_s=60.0))
        killer = Killer(client, "film0", times)
        killer.start()
        done.run()
        killer.over.set()
        killer.join()
    return done, killer.killed


@pytest.mark.parametrize("times", [1, 2])
def test_a_killed_worker_costs_a_retry_and_a_film_that_kills_two_is_set_aside(tmp_path: Path, times: int) -> None:
    moving_film(tmp_path / "drives" / "a.mp4", 900)
    moving_film(tmp_path / "drives" / "b.mp4", 50)
    done, killed = run_under_attack(tmp_path / "drives", tmp_path, times)
    assert killed == times
    assert (tmp_path / "films" / "b.mp4").exists()
    if times == 1:
        assert not done.failures
        assert len(labels(tmp_path / "labels" / "a")) == 900
        return
    record = done.failures[0]
    assert (record.state, Path(record.input).name) == ("set aside", "a.mp4")
    assert "ended 2 workers" in record.reason
    assert not (tmp_path / "labels" / "a").exists()
    again = Archive(None, job(), [], outputs(tmp_path), Manifest(str(tmp_path / "labels")))
    assert again._manifest.of(record.input) == record
