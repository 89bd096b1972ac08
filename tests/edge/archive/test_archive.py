"""An archive is labelled as one machine would label it, whatever happens to the workers."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from archives import MODEL, archive, cluster, job, labels, moving_film, outputs, pictures
from distributed import wait

from edge.archive import joining, planning, storage, tasks
from edge.archive import manifest as manifest_module
from edge.archive.answers import Fault, Settled
from edge.archive.archive import PARTS, Archive
from edge.archive.cutting import WHOLE, plan
from edge.archive.films import Film, Outputs, films_of
from edge.archive.job import Drawing
from edge.archive.joining import Join, join_film
from edge.archive.manifest import Manifest, Record
from edge.archive.progress import Progress
from edge.archive.work import Task, Work
from edge.cluster import spread
from edge.errors import ClusterError, SourceError
from edge.versions import installed


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
                done = tasks.label_piece(job(), film, piece, part, folder / "model.tflite")
                assert isinstance(done, tasks.Done)
            frames = plan(film.address).frames
            names = tuple(Path(part).name for part in parts)
            joined = Join(str(Path(parts[0]).parent), names, frames, outputs(folder / name).of(film))
            assert isinstance(join_film(film, joined), tasks.Done)
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
    (part,) = (plain / "whole" / "parts" / "c").glob("*.part")
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
    for _ in range(3):
        done = archive(client, films, tmp_path)
        done.run()
        assert [record.reason for record in done.failures] == [
            f"{kept.parent}: is there, and is not of this archive; move it away"
        ]
        assert kept.read_bytes() == b"mine"
    shutil.rmtree(kept.parent)
    last = archive(client, films, tmp_path)
    last.run()
    assert (last.progress.films_before, last.progress.films_done) == (2, 1)


def only(kind: str, folder: Path) -> Outputs:
    """Outputs of one kind, where `outputs` has both."""
    both = outputs(folder)
    return replace(both, **{"labels": None, "overlay": None, kind: getattr(both, kind)})


def run_with(client: Any, films: Path, wanted: Outputs, **options: Any) -> Archive:
    made = job(labels=wanted.labels is not None, overlay=wanted.overlay is not None, **options)
    done = Archive(client, made, films_of([str(films)])[0], wanted, Manifest(wanted.root))
    done.run()
    return done


def test_what_is_asked_for_later_does_not_take_the_place_of_what_is_not_of_the_archive(
    client: Any, tmp_path: Path
) -> None:
    moving_film(tmp_path / "drives" / "c.mp4", 10)
    mine = tmp_path / "films" / "c.mp4"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    assert run_with(client, tmp_path / "drives", only("labels", tmp_path)).progress.films_done == 1
    both = archive(client, tmp_path / "drives", tmp_path)
    both.run()
    assert "films/c.mp4: is there, and is not of this archive" in both.failures[0].reason
    assert mine.read_bytes() == b"mine"
    assert run_with(client, tmp_path / "drives", only("labels", tmp_path)).progress.films_before == 1


def test_what_the_archive_made_is_made_anew_whatever_came_between(client: Any, tmp_path: Path) -> None:
    film = moving_film(tmp_path / "drives" / "c.mp4", 10)
    archive(client, film.parent, tmp_path).run()
    data = film.read_bytes()
    film.write_bytes(b"no film")
    assert run_with(client, film.parent, outputs(tmp_path)).failures
    film.write_bytes(data)
    assert run_with(client, film.parent, only("labels", tmp_path)).progress.films_done == 1
    again = archive(client, film.parent, tmp_path)
    again.run()
    assert (again.progress.films_done, again.failures) == (1, [])


def test_another_film_of_the_same_name_is_done_again(client: Any, tmp_path: Path) -> None:
    film = moving_film(tmp_path / "drives" / "c.mp4", 10)
    archive(client, film.parent, tmp_path).run()
    moving_film(film, 14)
    again = archive(client, film.parent, tmp_path)
    again.run()
    assert (again.progress.films_done, len(labels(tmp_path / "labels" / "c"))) == (1, 14)


def test_a_film_that_was_set_aside_is_left_out_until_its_line_is_removed(client: Any, tmp_path: Path) -> None:
    film = moving_film(tmp_path / "drives" / "c.mp4", 10)
    archive(client, film.parent, tmp_path).run()
    manifest = Manifest(str(tmp_path / "labels"))
    record = manifest.of(str(film))
    assert record is not None
    shutil.rmtree(tmp_path / "labels" / "c")
    manifest.add(replace(record, state="set aside", reason="it ended 2 workers"))
    lines = (tmp_path / "labels" / "manifest.jsonl").read_text()
    done = archive(client, film.parent, tmp_path)
    done.run()
    assert [(failed.state, failed.reason) for failed in done.failures] == [
        ("set aside", f"it ended 2 workers; to try again, remove its line from {manifest.address}")
    ]
    assert (tmp_path / "labels" / "manifest.jsonl").read_text() == lines
    (tmp_path / "labels" / "manifest.jsonl").write_text(lines.splitlines()[0] + "\n")
    again = archive(client, film.parent, tmp_path)
    again.run()
    assert (again.progress.films_done, again.failures) == (1, [])


def test_a_film_that_is_done_or_set_aside_is_not_read_again(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = next(film for film in films_of([str(films)])[0] if film.name == "b")
    made, wanted = job(), outputs(tmp_path).of(film)
    mine = Archive(None, made, [film], outputs(tmp_path), Manifest(str(tmp_path)))._record(Work(film, 0), "done")
    done = replace(mine, identity=storage.identity(film.address, SourceError))
    monkeypatch.setattr(planning, "plan", lambda *given: pytest.fail("the film was read"))
    for address in wanted.values():
        Path(address).parent.mkdir(exist_ok=True)
        Path(address).touch()
    known = planning.Known(done, mine, frozenset(wanted.values()))
    assert isinstance(planning.plan_film(film, known, str(tmp_path / "parts"), wanted, 1.0), Settled)
    ended = replace(mine, state="set aside", reason="its planning ended 2 workers")  # so that nobody told its identity
    assert isinstance(planning.plan_film(film, replace(known, before=ended), str(tmp_path), wanted, 1.0), Settled)
    refused = planning.plan_film(film, replace(known, before=None, made=frozenset()), str(tmp_path), wanted, 1.0)
    assert isinstance(refused, Fault)


class Stopped(Exception):
    """Stops a run, as a kill would."""


def test_outputs_of_which_nothing_is_on_record_are_made_again(
    client: Any, films: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(client, films, tmp_path).run()

    def stop(self: Manifest, record: Record) -> None:
        raise Stopped

    with monkeypatch.context() as stopping:  # after the outputs of other options are there, before their record is
        stopping.setattr(Manifest, "add", stop)
        with pytest.raises(Stopped):
            archive(client, films, tmp_path, job(piece_s=60.0, drawing=Drawing(alpha=1.0))).run()
    again = archive(client, films, tmp_path)
    again.run()
    assert again.progress.films_done > 0
    assert not again.failures
    assert_same(tmp_path, plain)
    assert not list((tmp_path / "labels" / PARTS).rglob("*.json"))


def test_parts_stay_until_the_record_is_written(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = moving_film(tmp_path / "drives" / "c.mp4", 10)
    monkeypatch.setattr(manifest_module, "is_local", lambda address: False)  # written at once, and then seldom
    monkeypatch.setattr(manifest_module, "_OFTEN_S", 1e9)
    done = archive(client, film.parent, tmp_path)
    parts, seen = tmp_path / "labels" / PARTS / "c", []
    close = done._manifest.close
    monkeypatch.setattr(done._manifest, "close", lambda: (seen.append(len(list(parts.iterdir()))), close()))
    done.run()
    assert seen == [2]  # the part and the mark
    assert not parts.exists()


def kept_parts(client: Any, film: Path, folder: Path) -> list[Path]:
    """The parts of a film whose run ended before it was joined."""
    with pytest.MonkeyPatch.context() as stopping:
        stopping.setattr(Archive, "_join_when_ready", lambda self, work: None)
        done = archive(client, film.parent, folder)
        done.run()
        assert not done.failures
    return sorted((folder / "labels" / PARTS).rglob("*.part"))


@pytest.mark.parametrize("damage", ["empty", "cut", "hole", "gone"])
def test_a_damaged_part_is_made_again(client: Any, tmp_path: Path, damage: str) -> None:
    film = moving_film(tmp_path / "drives" / "film.mp4", 80)
    first, *others = kept_parts(client, film, tmp_path)
    assert len(others) == 2
    data = first.read_bytes()
    middle = len(data) // 2
    damaged = {"empty": b"", "cut": data[:middle], "hole": data[:middle] + bytes(64) + data[middle + 64 :]}
    again = archive(client, film.parent, tmp_path)
    if damage == "gone":  # after the film was planned
        begin = again._begin
        again._begin = lambda work, plan: (first.unlink(), begin(work, plan))  # type: ignore[method-assign]
    else:
        first.write_bytes(damaged[damage])
    again.run()
    assert not again.failures
    assert (again.progress.films_done, again.progress.pieces_kept, again.progress.pieces_done) == (1, 2, 3)
    assert len(labels(tmp_path / "labels" / "film")) == 80


def test_a_part_that_is_damaged_wherever_it_is_kept_fails_its_film(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = moving_film(tmp_path / "drives" / "film.mp4", 30)
    (part,) = kept_parts(client, film, tmp_path)
    joining = Archive._join_when_ready

    def damaged(self: Archive, work: Work) -> None:
        if not work.left:
            part.write_bytes(b"")
        joining(self, work)

    monkeypatch.setattr(Archive, "_join_when_ready", damaged)
    done = archive(client, film.parent, tmp_path)
    done.run()
    assert [record.reason for record in done.failures] == [f"{film}: piece 0 is damaged where it is kept"]


def test_a_full_disk_of_a_worker_fails_the_film(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.tflite").write_bytes(MODEL)

    def full(*given: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tasks.parts, "pack", full)
    film = films_of([str(films / "c.mp4")])[0][0]
    said = tasks.label_piece(job(), film, WHOLE[0], str(tmp_path / "0.part"), tmp_path / "model.tflite")
    assert said == Fault(f"{film.address}: piece 0 cannot be labelled (No space left on device)")


def test_seconds_of_work_are_without_the_wait_for_another_piece(films: Path, tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(MODEL)
    film = films_of([str(films / "c.mp4")])[0][0]
    with tasks._ONE_AT_A_TIME:
        release = threading.Timer(0.5, tasks._ONE_AT_A_TIME.release)
        release.start()
        begun_s = time.perf_counter()
        done = tasks.label_piece(job(), film, WHOLE[0], str(tmp_path / "0.part"), tmp_path / "model.tflite")
        took_s = time.perf_counter() - begun_s
        tasks._ONE_AT_A_TIME.acquire()
    assert isinstance(done, tasks.Done)
    assert done.seconds < took_s - 0.4


def test_labels_are_on_the_disk_before_they_have_their_name(
    films: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film, wanted = films_of([str(films / "c.mp4")])[0][0], only("labels", tmp_path).of(Film("", "c"))
    made: list[tuple[int, bool]] = []

    def sync() -> None:
        made.append((len(list(tmp_path.rglob("*.png"))), Path(wanted["labels"]).exists()))

    monkeypatch.setattr(joining.os, "sync", sync)
    assert isinstance(join_film(film, Join(str(plain / "whole" / "parts" / "c"), ("0.part",), 10, wanted)), tasks.Done)
    assert made == [(10, False)]


def test_a_film_with_two_damaged_pieces_is_read_as_a_whole(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = moving_film(tmp_path / "drives" / "film.mp4", 120)
    data = bytearray(film.read_bytes())
    start = data.find(b"mdat")
    for share in (0.3, 0.45, 0.7):
        place = start + round((len(data) - start) * share)
        data[place : place + 500] = b"\xff" * 500
    film.write_bytes(bytes(data))
    monkeypatch.setattr(spread, "slots", lambda client: 8)  # all pieces are in flight when the first fails
    taking = Archive._take

    def late(self: Archive, task: Task, answer: object) -> None:
        with client.as_current():
            wait(list(self._crew._active))  # so that the answers about the other pieces are there
        taking(self, task, answer)

    monkeypatch.setattr(Archive, "_take", late)
    done = archive(client, film.parent, tmp_path)
    done.run()
    assert (done.failures, done.progress.films_done) == ([], 1)
    record = Manifest(str(tmp_path / "labels")).of(str(film))
    assert record is not None
    assert record.pieces == 1
    assert record.frames == len(labels(tmp_path / "labels" / "film")) > 60


def test_a_worker_of_another_version_that_comes_later_is_refused(client: Any, films: Path, tmp_path: Path) -> None:
    here = installed("roadlite")
    done = Archive(
        client,
        replace(job(), roadlite="9.9"),
        films_of([str(films)])[0],
        outputs(tmp_path),
        Manifest(str(tmp_path / "labels")),
    )
    with pytest.raises(
        ClusterError, match=f"worker [01] has Roadlite {here}, this is 9.9; on it, at this version: pip"
    ):
        done.run()


def test_a_piece_ends_when_nobody_waits_for_it(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.tflite").write_bytes(MODEL)
    film, part = films_of([str(films)])[0][0], tmp_path / "0.part"
    monkeypatch.setattr(tasks, "is_wanted", lambda: False)
    said = tasks.label_piece(job(), film, WHOLE[0], str(part), tmp_path / "model.tflite")
    assert said == Fault("nobody waits for it any more")
    assert not part.exists()


def test_a_cluster_without_workers_ends_the_run(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread, "PATIENCE_S", 0.3)
    with cluster(1) as client:
        done = archive(client, films, tmp_path)
        client.retire_workers(list(client.nthreads()))
        begun_s = time.monotonic()
        with pytest.raises(ClusterError, match="no worker for 0 s; start some, and run the same command"):
            done.run()
    assert time.monotonic() - begun_s > 0.3


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
    with cluster(2) as client:
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
