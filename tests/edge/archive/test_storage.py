"""Archives are read and written where an address says, and no password is told."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from archives import archive, cluster, job, labels, moving_film, pictures
from servers import PASSWORD, s3_server, sftp_server

from edge.archive import storage
from edge.archive.archive import Archive
from edge.archive.cutting import plan
from edge.archive.films import Film, Outputs, films_of, keep_apart
from edge.archive.manifest import NAME, Manifest
from edge.archive.piece_source import PieceSource
from edge.errors import RuntimeMissing, SinkError, SourceError, UsageError


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty bucket; what opens it is in the environment."""
    s3fs = pytest.importorskip("s3fs")
    with s3_server() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "pi")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PASSWORD)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("drives")
        yield "s3://drives"
        s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty folder behind SFTP; what opens it is in the environment."""
    pytest.importorskip("paramiko")
    from fsspec.config import conf, set_conf_env
    from fsspec.implementations.sftp import SFTPFileSystem

    root = tmp_path / "home"
    root.mkdir()
    with sftp_server(root) as port:
        monkeypatch.setenv("FSSPEC_SFTP_PASSWORD", PASSWORD)
        set_conf_env(conf)  # fsspec reads it when it is imported, as it is in every worker
        yield f"sftp://pi@127.0.0.1:{port}/data"
        conf.pop("sftp")
        SFTPFileSystem.clear_instance_cache()


@pytest.mark.parametrize("place", [pytest.param("bucket", marks=pytest.mark.long), "home"])
def test_an_archive_elsewhere_is_as_one_here(
    place: str, request: pytest.FixtureRequest, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    base = request.getfixturevalue(place)
    films = tmp_path / "films"
    for name, frames in (("a.mp4", 80), ("b.mkv", 40)):
        moving_film(films / "day" / name, frames)
        storage.put(films / "day" / name, f"{base}/in/day/{name}")
    found, _ = films_of([f"{base}/in"])
    assert [(film.address, film.name) for film in found] == [
        (f"{base}/in/day/a.mp4", "day/a"),
        (f"{base}/in/day/b.mkv", "day/b"),
    ]
    wanted = Outputs(f"{base}/labels", f"{base}/films", False, f"{base}/labels")
    with cluster(1) as client:
        here = archive(client, films, tmp_path / "here")
        here.run()
        there = Archive(client, job(), found, wanted, Manifest(wanted.root))
        there.run()
        again = Archive(client, job(), found, wanted, Manifest(wanted.root))
        again.run()
    assert (there.failures, again.progress.films_before) == ([], 2)
    for name in ("day/a", "day/b"):
        data = storage.read(f"{base}/labels/{name}.zip")
        assert data is not None
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            unpacked = {one: packed.read(one) for one in packed.namelist()}
        assert unpacked == labels(tmp_path / "here" / "labels" / name)
        copy = tmp_path / "copy.mp4"
        storage.fetch(f"{base}/films/{name}.mp4", copy, SourceError)
        assert pictures(copy) == pictures(tmp_path / "here" / "films" / f"{name}.mp4")
    assert not storage.exists(f"{base}/labels/.roadlite-parts/day/a")
    assert PASSWORD not in (storage.read(f"{base}/labels/{NAME}") or b"").decode() + "".join(capfd.readouterr())


def test_of_a_film_elsewhere_only_ranges_are_read(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    film = moving_film(tmp_path / "film.mp4", 600)
    with film.open("ab") as file:  # as cameras leave room in their files
        length = 12 << 20
        file.write((length + 8).to_bytes(4, "big") + b"free" + bytes(length))
    storage.put(film, f"{bucket}/film.mp4")
    fetched: list[int] = []
    fetch: Callable[..., bytes] = s3fs.S3File._fetch_range

    def counted(self: Any, start: int, end: int) -> bytes:
        fetched.append(end - start)
        return fetch(self, start, end)

    monkeypatch.setattr(s3fs.S3File, "_fetch_range", counted)
    planned = plan(f"{bucket}/film.mp4", 2.0)
    frames = list(PieceSource(f"{bucket}/film.mp4", planned.pieces[3]))
    assert len(planned.pieces) > 8
    assert 48 <= len(frames) <= 72
    assert 0 < sum(fetched) < film.stat().st_size / 2


@pytest.mark.parametrize("address", ["sftp://pi:secret@host/films", "s3://key:secret@bucket/x", "s3::file://a:b@c/d"])
def test_a_password_in_an_address_is_refused_and_not_told(address: str) -> None:
    with pytest.raises(UsageError, match="without a password") as caught:
        films_of([address])
    assert "secret" not in str(caught.value)


def test_storage_that_is_not_known_or_not_installed_is_named() -> None:
    with pytest.raises(UsageError, match="Protocol not known: nowhere"):
        storage.file_system("nowhere://x/y")
    with pytest.raises(RuntimeMissing, match="nstall"):
        storage.file_system("gs://bucket/film.mp4")


def test_no_server_is_one_line(home: str) -> None:
    with pytest.raises(SourceError, match=r"sftp://127.0.0.1:1/x: "):
        films_of(["sftp://pi@127.0.0.1:1/x"])


def test_what_cannot_be_finished_does_not_appear(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (tmp_path / "data").write_bytes(b"x")
    with pytest.raises(SinkError):
        storage.put(tmp_path / "data", str(target))
    assert sorted(os.listdir(tmp_path)) == ["data", "folder"]


def test_what_is_put_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").write_bytes(b"x" * 1000)
    final, synced = tmp_path / "out" / "final", []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        synced.append((stat.S_ISDIR(status.st_mode) or status.st_size, final.exists()))
        real(descriptor)

    monkeypatch.setattr(storage.os, "fsync", fsync)
    storage.put(tmp_path / "data", str(final))
    assert synced == [(1000, False), (True, True)]


def test_films_are_named_by_folder_pattern_and_name(tmp_path: Path) -> None:
    for name in ("a/1.mp4", "a/2.MOV", "a/.hidden.mp4", "a/notes.txt", "b/1.mp4"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    films, others = films_of([str(tmp_path / "a")])
    assert ([film.name for film in films], others) == (["1", "2"], 1)
    assert [film.name for film in films_of([str(tmp_path)])[0]] == ["a/1", "a/2", "b/1"]
    assert [film.name for film in films_of([str(tmp_path / "*" / "1.mp4").replace("*", "a")])[0]] == ["1"]
    assert len(films_of([str(tmp_path / "a" / "*")])[0]) == 2
    with pytest.raises(UsageError, match="both would make outputs called 1"):
        films_of([str(tmp_path / "a"), str(tmp_path / "b")])
    with pytest.raises(SourceError, match="nothing there"):
        films_of([str(tmp_path / "c")])
    (tmp_path / "a.mp4").touch()
    with pytest.raises(
        UsageError, match=r"a\.mp4 and .*/a/1\.mp4: the outputs of one would lie within .* in a; rename"
    ):
        films_of([str(tmp_path)])


def test_no_output_takes_the_place_of_a_film(tmp_path: Path) -> None:
    (tmp_path / "1.mp4").touch()
    films, _ = films_of([str(tmp_path)])
    with pytest.raises(UsageError, match="would be written over"):
        keep_apart([str(tmp_path)], films, Outputs(None, str(tmp_path), False, str(tmp_path)))
    with pytest.raises(UsageError, match="expected two folders"):
        keep_apart([str(tmp_path)], films, Outputs("/x", "/x", False, "/x"))


@pytest.mark.parametrize(
    ("source", "overlay", "refused"),
    [
        ("drives", "drives/films", True),
        ("drives/**/*.mp4", "drives/films", True),
        ("drives/*/*.mp4", "drives/films", True),
        ("drives/*.mp4", "drives/films", False),
        ("drives", "drives/.films", False),
        ("drives", "drives-films", False),
    ],
)
def test_no_output_is_a_film_of_the_next_run(tmp_path: Path, source: str, overlay: str, refused: bool) -> None:
    for path in (tmp_path / "drives" / "1.mp4", tmp_path / "drives" / "day" / "2.mp4"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    sources, folder = [str(tmp_path / source)], str(tmp_path / overlay)
    wanted = Outputs(None, folder, False, folder)
    if refused:
        with pytest.raises(UsageError, match="would be taken for a film of"):
            keep_apart(sources, films_of(sources)[0], wanted)
        return
    found = films_of(sources)[0]
    keep_apart(sources, found, wanted)
    for film in found:
        made = Path(wanted.of(film)["overlay"])
        made.parent.mkdir(parents=True, exist_ok=True)
        made.touch()
    keep_apart(sources, films_of(sources)[0], wanted)
    assert films_of(sources)[0] == found


def test_outputs_do_not_meet(tmp_path: Path) -> None:
    def kept_apart(*names: str, labels: str = "/l", overlay: str = "/o") -> None:
        keep_apart([], [Film(f"/in/{name}.mov", name) for name in names], Outputs(labels, overlay, False, labels))

    kept_apart("a", "b/a", "ab")
    with pytest.raises(UsageError, match=r"/o/a\.mp4/b\.mp4: would lie within /o/a\.mp4;"):
        kept_apart("a", "a.mp4/b")
    with pytest.raises(UsageError, match=r"/l/a/a\.mp4: would lie within /l/a;"):
        kept_apart("a", "b", overlay="/l/a")
    with pytest.raises(UsageError, match=r"/l/x/a\.mp4: would be made of two films;"):
        kept_apart("x/a.mp4", "a", overlay="/l/x")
    with pytest.raises(UsageError, match=r"/l/manifest\.jsonl: would be made of two"):
        kept_apart("manifest.jsonl")
