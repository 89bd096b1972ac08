from __future__ import annotations

import errno
import gzip
import hashlib
import importlib.resources
import importlib.util
import os
import random
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from convert.models import load as models
from convert.models import official, tarball
from convert.models.load import FrozenGraph
from convert.models.zoo import MODELS
from edge.errors import DownloadError, GraphError, UsageError
from edge.progress import T, silent

GRAPH = random.Random(0).randbytes(3000)
PB = "deeplab/frozen_inference_graph.pb"
NAME = "deeplabv3_mnv2_cityscapes_train_2018_02_05.tar.gz"

needs_download = pytest.mark.skipif(
    not (importlib.util.find_spec("pooch") and importlib.util.find_spec("requests")),
    reason="pooch and requests (the convert extra) are not installed",
)


def load(model: str | Path, notices: list[str] | None = None) -> FrozenGraph:
    notices = [] if notices is None else notices
    return models.load_frozen_graph(str(model), notice=notices.append)


def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    return info.tobuf(tarfile.GNU_FORMAT)


def member(name: str, content: bytes) -> bytes:
    return header(name, len(content)) + content + bytes(-len(content) % 512)


def tar(*members: bytes) -> bytes:
    return b"".join(members) + bytes(1024)


OFFICIAL = gzip.compress(tar(header("deeplab", kind=tarfile.DIRTYPE), member("deeplab/a.pb", b"x"), member(PB, GRAPH)))


# Files on disk


def test_a_pb_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "my.net.pb").write_bytes(GRAPH)
    expected = FrozenGraph("my.net", GRAPH, hashlib.sha256(GRAPH).hexdigest(), "my.net.pb", tmp_path / "my.net.pb")
    assert load(tmp_path / "my.net.pb") == expected


@pytest.mark.parametrize("name", ["city.tar.gz", "city.tgz", "city.TAR"])
def test_the_graph_is_found_in_a_tarball_which_stays_alone(tmp_path: Path, name: str) -> None:
    apple_double = member("deeplab/._frozen_inference_graph.pb", b"junk")
    content = tar(apple_double, member("./deeplab/model.ckpt", bytes(5000)), member("./" + PB, GRAPH))
    (tmp_path / name).write_bytes(content if name.endswith("TAR") else gzip.compress(content))
    graph = load(tmp_path / name)
    assert (graph.name, graph.graph_bytes, graph.origin) == ("city", GRAPH, name)
    assert os.listdir(tmp_path) == [name]


def test_what_is_no_graph_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.pb").touch()
    (tmp_path / "folder.pb").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "text.tar.gz").write_text("hello")
    with (tmp_path / "huge.pb").open("wb") as file:
        file.truncate((2 << 30) + 1)
    os.mkfifo(tmp_path / "pipe.pb")
    expected = {
        "missing.pb": "No such file",
        "n" * 300 + ".pb": "too long",
        "empty.pb": "0 bytes",
        "folder.pb": "a folder without a saved_model.pb",
        "pipe.pb": "a device or a pipe",
        "notes.txt": "not a kind of file",
        "text.tar.gz": "whole .tar",
        "huge.pb": "2,147,483,649 bytes",
    }
    for name, reason in expected.items():
        with pytest.raises(GraphError, match=reason) as caught:
            load(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_graph_is_not_read_from_an_address_which_is_said_without_its_password() -> None:
    with pytest.raises(UsageError, match=r"^http://host/g\.pb\?\.\.\.: a graph is read from a file") as refused:
        load("http://driver:s3/cret@host/g.pb?token=s3cret")
    assert "cret" not in str(refused.value)


@needs_download
@pytest.mark.parametrize("password", ["s3/cr#et?", "s3cret"])
def test_a_password_of_the_mirror_is_told_by_no_error(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("127.0.0.1:9", "127.0.0.1:99999", "[broken"):
        monkeypatch.setenv("ROADLITE_MODELS_URL", f"http://driver:{password}@{place}/m")
        with pytest.raises(DownloadError) as failed:
            load("mobilenetv2")
        assert place != "127.0.0.1:9" or "Connection refused" in str(failed.value)
        assert not [word for word in ("driver", "s3", "cr", "et?") if word in str(failed.value).partition("; try")[0]]


def test_an_unknown_name_lists_the_known_ones() -> None:
    names = "mobilenetv2, mobilenetv3-large, mobilenetv3-small, xception65, xception71-dpc, xception71-dpc-trainval"
    with pytest.raises(UsageError, match=rf"'mobilnetv2'.*auto, demo, {names}, or the path"):
        load("mobilnetv2")


# Hostile tarballs


def pax(size: int) -> bytes:
    return header("pax", size, kind=tarfile.XHDTYPE)


def sparse_graph() -> bytes:
    info = tarfile.TarInfo("x")
    info.size = 512
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": PB,
        "GNU.sparse.realsize": str(1 << 40),
    }
    return info.tobuf(tarfile.PAX_FORMAT) + b"1\n0\n0\n".ljust(512, b"\0")


def negative_size() -> bytes:
    block = bytearray(header("other", 1))
    block[124:136] = b"\xff" * 10 + b"\xfc\x00"  # -1024, two's complement in base 256
    checksum = sum(block[:148]) + 8 * 32 + sum(block[156:512])
    block[148:156] = b"%06o\0 " % checksum
    return bytes(block)


HOSTILE = {
    "no graph, others": (tar(member("a/saved_model.pb", b"x")), r"no frozen_inference_graph.pb.*'a/saved_model.pb'"),
    "no graph, many others": (tar(*[member(f"{i}.pb", b"x") for i in range(9)]), r"'4.pb' and 4 more"),
    "nothing": (tar(member("readme\n", b"x")), r"nor any other .pb file; it holds 'readme\\n'"),
    "a checkpoint only": (
        tar(header("train", kind=tarfile.DIRTYPE), *(member(f"train/model.ckpt.{i}", b"x") for i in range(7))),
        r"it holds 'train/model.ckpt.0', .*'train/model.ckpt.4' and 2 more",
    ),
    "no file": (tar(header("train", kind=tarfile.DIRTYPE)), "it holds nothing"),
    "several": (tar(member("a/" + PB, GRAPH), member("b/" + PB, GRAPH)), "expected one .*'a/deeplab.*, 'b/deeplab"),
    "same twice": (tar(member(PB, GRAPH), member(PB, GRAPH)), "expected one"),
    "parent": (tar(member("../" + PB, GRAPH)), "leaves the archive"),
    "inner parent": (tar(member("a/../../" + PB, GRAPH)), "leaves the archive"),
    "absolute": (tar(member("/tmp/" + PB, GRAPH)), "leaves the archive"),
    "symlink": (tar(header(PB, kind=tarfile.SYMTYPE, link="/etc/passwd")), "is a link"),
    "hard link": (tar(member("a", GRAPH), header(PB, kind=tarfile.LNKTYPE, link="a")), "is a link"),
    "folder": (tar(header(PB, kind=tarfile.DIRTYPE)), "a folder"),
    "pipe": (tar(header(PB, kind=tarfile.FIFOTYPE)), "a device"),
    "sparse": (tar(sparse_graph()), "sparse"),
    "empty graph": (tar(member(PB, b"")), "claims 0 bytes"),
    "10 GB graph": (header(PB, 10 << 30), "claims 10,737,418,240 bytes"),
    "10 GB other": (header("other", 10 << 30) + bytes(9000), "unpacks to more than|unexpected end"),
    "huge header": (pax(1 << 30) + bytes(9000), "tar headers"),
    "chain of headers": (pax(0) * 5000, "whole .tar"),
    "negative size": (tar(negative_size(), member(PB, GRAPH)), "before the end"),
    "graph cut short": (member(PB, GRAPH)[:1000], "unexpected end of data"),
    "other cut short": (member("other", GRAPH)[:1000], "unexpected end of data"),
    "no archive": (b"hello" * 500, "whole .tar"),
    "empty": (b"", "whole .tar"),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_tarball_is_refused_in_one_line(tmp_path: Path, case: str, zipped: bool) -> None:
    content, reason = HOSTILE[case]
    path = tmp_path / "bad.tar.gz"
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(GraphError, match=reason) as caught:
        load(path)
    assert "bad.tar.gz" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["bad.tar.gz"]


def test_a_damaged_gzip_is_refused_wherever_the_damage_is(tmp_path: Path) -> None:
    path = tmp_path / "bad.tgz"
    for cut in range(2, len(OFFICIAL), 7):
        path.write_bytes(OFFICIAL[:cut])
        with pytest.raises(GraphError, match=r"whole \.tar"):
            load(path)
    path.write_bytes(OFFICIAL[:-8] + b"\0" * 4 + OFFICIAL[-4:])
    with pytest.raises(GraphError, match="CRC"):
        load(path)


@pytest.mark.parametrize("where", ["before the graph", "behind the end"])
def test_a_gzip_bomb_ends_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setattr(tarball, "UNPACKED_BYTES", 3 << 20)
    zeros = bytes(8 << 20)
    graph = member(PB, GRAPH)
    content = tar(member("zeros", zeros), graph) if where == "before the graph" else tar(graph) + zeros
    path = tmp_path / "bomb.tgz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(GraphError, match="unpacks to more than 3,145,728 bytes"):
        load(path)


# Downloads

Script = Callable[[BaseHTTPRequestHandler, threading.Event], None]


class Server:
    """A web server on 127.0.0.1 that answers every GET with `script`, and knows how often it was asked."""

    def __init__(self, script: Script) -> None:
        self.script, self.asked, self.over = script, 0, threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                self.close_connection = True
                outer.script(self, outer.over)

            def log_message(self, *args: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = False

            def handle_error(self, *args: object) -> None:  # a client that hangs up is what is tested
                pass

        self.web = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.web.server_port}"


@contextmanager
def serving(script: Script) -> Iterator[Server]:
    server = Server(script)
    thread = threading.Thread(target=server.web.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.web.shutdown()
        server.web.server_close()
        thread.join()


def answer(body: bytes = OFFICIAL, length: int | None = None, status: int = 200, **headers: str) -> Script:
    def script(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
        handler.send_response(status)
        if length is None or length >= 0:
            handler.send_header("Content-Length", str(len(body) if length is None else length))
        for key, value in headers.items():
            handler.send_header(key, value)
        handler.end_headers()
        handler.wfile.write(body)

    return script


def endless(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    answer(b"", length=-1)(handler, over)
    while not over.is_set():
        handler.wfile.write(bytes(1 << 16))


def silent_server(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    over.wait()


def dripping(start: bytes, drop: bytes) -> Script:
    def script(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
        handler.wfile.write(start)
        while not over.wait(0.05):
            handler.wfile.write(drop)

    return script


def bounce(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    answer(b"", status=302, Location=handler.path)(handler, over)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ROADLITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    yield tmp_path / "cache"
    for thread in downloading():
        thread.join(60)
        assert not thread.is_alive()


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    from convert.models import transfer

    for name, value in {"REACH_S": 0.6, "STALL_S": 0.6, "CONNECT_S": 0.3}.items():
        monkeypatch.setattr(transfer, name, value)


def downloading() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "roadlite-download"]


def fails(reason: str, model: str = "mobilenetv2") -> str:
    start_s = time.monotonic()
    with pytest.raises(DownloadError, match=reason) as caught:
        load(model)
    assert time.monotonic() - start_s < 30
    assert "\n" not in str(caught.value)
    return str(caught.value)


@needs_download
def test_an_official_model_is_downloaded_once_and_recorded(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(answer()) as server:
        monkeypatch.setenv("ROADLITE_MODELS_URL", f"http://user:secret@{server.url[7:]}/mirror/")
        graph = load("mobilenetv2")
        assert server.asked == 1
    assert capfd.readouterr() == ("", "")
    origin = f"{server.url}/mirror/{NAME}"
    assert graph == FrozenGraph("mobilenetv2", GRAPH, hashlib.sha256(GRAPH).hexdigest(), origin)
    assert sorted(os.listdir(cache)) == [NAME, NAME + ".sha256"]
    subprocess.run(["sha256sum", "-c", "--quiet", NAME + ".sha256"], cwd=cache, check=True)
    monkeypatch.delenv("ROADLITE_MODELS_URL")
    assert load("mobilenetv2") == graph
    assert load("auto") == graph


FOLDERS = {  # any folder will do: only those of large and of trainval are known
    "mobilenetv2": ("deeplabv3_mnv2_cityscapes_train_2018_02_05.tar.gz", "deeplabv3_mnv2_cityscapes_train"),
    "mobilenetv3-large": (
        "deeplab_mnv3_large_cityscapes_trainfine_2019_11_15.tar.gz",
        "deeplab_mnv3_large_cityscapes_trainfine",
    ),
    "mobilenetv3-small": ("deeplab_mnv3_small_cityscapes_trainfine_2019_11_15.tar.gz", "."),
    "xception65": ("deeplabv3_cityscapes_train_2018_02_06.tar.gz", "./deeplabv3_cityscapes_train"),
    "xception71-dpc": ("deeplab_cityscapes_xception71_trainfine_2018_09_08.tar.gz", "train_fine/export"),
    "xception71-dpc-trainval": ("deeplab_cityscapes_xception71_trainvalfine_2018_09_08.tar.gz", "trainval_fine"),
}


@needs_download
@pytest.mark.parametrize("name", FOLDERS)
def test_every_name_is_its_own_tarball_whatever_folder_holds_the_graph(
    name: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(FOLDERS) == set(MODELS)
    file_name, folder = FOLDERS[name]
    packed = gzip.compress(tar(member(f"{folder}/model.ckpt.index", b"x"), member(f"{folder}/{PB[8:]}", GRAPH)))

    def script(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
        known = handler.path == f"/models/{file_name}"
        answer(packed if known else b"", status=200 if known else 404)(handler, over)

    with serving(script) as server:
        monkeypatch.setenv("ROADLITE_MODELS_URL", f"{server.url}/models/")
        graph = load(name)
        assert (graph.name, graph.graph_bytes, graph.origin) == (name, GRAPH, f"{server.url}/models/{file_name}")
    monkeypatch.delenv("ROADLITE_MODELS_URL")
    assert official.address(name) == f"https://download.tensorflow.org/models/{file_name}"
    assert load(name) == graph, "the second time it comes from the cache"


@needs_download
def test_progress_counts_mebibytes(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int | None, int]] = []

    def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
        pieces = list(silent(items, what, total))
        seen.append((what, total, len(pieces)))
        yield from pieces

    big = gzip.compress(tar(member("noise", os.urandom(2_500_000)), member(PB, GRAPH)))
    with serving(answer(big)) as server:
        monkeypatch.setenv("ROADLITE_MODELS_URL", server.url)
        models.load_frozen_graph("xception65", track=track, notice=pytest.fail)
    assert seen == [("downloading xception65 (MiB)", 3, 3)]


@needs_download
@pytest.mark.parametrize("there", [True, False], ids=["in the cache", "on the server"])
def test_a_tarball_that_changed_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    other = gzip.compress(tar(member(PB, GRAPH + b"!")))
    with serving(answer()) as server:
        monkeypatch.setenv("ROADLITE_MODELS_URL", server.url)
        load("mobilenetv2")
        server.script = answer(other)
        (cache / NAME).unlink()
        if there:
            (cache / NAME).write_bytes(other)
        message = fails("sha256")
        for part in (OFFICIAL, other):
            assert hashlib.sha256(part).hexdigest() in message
        assert f"delete {cache / NAME}.sha256 if the change is expected" in message
        assert (cache / NAME).exists() == there
        (cache / (NAME + ".sha256")).unlink()
        assert load("mobilenetv2").graph_bytes == GRAPH + b"!"


ANSWERS: dict[str, tuple[Script, str]] = {
    "not found": (answer(b"gone", status=404), "status 404"),
    "broken server": (endless, "more than the 60,000,000 bytes"),
    "announced too big": (answer(b"", length=60_000_001), "announces 60,000,001 bytes, expected at most 60,000,000"),
    "cut short": (answer(OFFICIAL[:300], length=len(OFFICIAL)), f"broke off after 300 of {len(OFFICIAL):,} bytes"),
    "cut short without a length": (answer(OFFICIAL[:300], length=-1), "whole .tar"),
    "a login page": (answer(b"<html>Welcome to this airport</html>"), "whole .tar"),
    "silence": (silent_server, "no answer within 0.6 s"),
    "dripping headers": (dripping(b"HTTP/1.0 200 OK\r\n", b"X: y\r\n"), "no answer within 0.6 s"),
    "dripping body": (dripping(b"HTTP/1.0 200 OK\r\nContent-Length: 5000\r\n\r\n", b"x"), "it stalled after"),
    "dripping chunks": (
        dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        r"it stalled after \d+ bytes",
    ),
    "stall in the middle": (dripping(b"HTTP/1.0 200 OK\r\n\r\n" + bytes(100_000), b""), "it stalled after [1-9]"),
    "redirects to plain http": (answer(b"", status=302, Location="http://example.org/x"), "https.*example.org"),
    "redirects for ever": (bounce, "more than 5 redirects"),
    "nonsense": (dripping(b"hello\r\n\r\n", b"x"), "BadStatusLine: hello"),
}


@needs_download
@pytest.mark.parametrize("case", ANSWERS)
def test_a_bad_answer_is_one_clear_line_and_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    script, reason = ANSWERS[case]
    if "stalled" in reason or "no answer" in reason:
        hurry(monkeypatch)
    with serving(script) as server:
        monkeypatch.setenv("ROADLITE_MODELS_URL", server.url)
        message = fails(reason)
        assert os.listdir(cache) == []
        assert not downloading() or reason == "no answer within 0.6 s"  # that one cannot be stopped
    assert message.startswith(f"mobilenetv2: cannot download {server.url}/{NAME}: ")
    assert message.endswith(f"; try again, or get it in another way and pass its path, or put it into {cache}")


@needs_download
def test_an_unreachable_network_is_noticed_soon(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        refused = closed.getsockname()[1]
    monkeypatch.setenv("ROADLITE_MODELS_URL", f"http://127.0.0.1:{refused}")
    fails("Connection refused")
    hurry(monkeypatch)

    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:  # Linux drops what does not fit the backlog
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        monkeypatch.setenv("ROADLITE_MODELS_URL", f"http://127.0.0.1:{full.getsockname()[1]}")
        fails("no answer within 0.6 s|timed out")
        for each in waiting:
            each.close()


@needs_download
def test_a_name_that_cannot_be_looked_up_is_noticed_soon(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def unknown(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    def hanging(*args: object, **_options: object) -> None:
        answered.wait()
        unknown()

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert official.BASE_URL in fails("Temporary failure in name resolution")
    hurry(monkeypatch)
    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    fails("no answer within 0.6 s")
    answered.set()


@needs_download
def test_only_https_leaves_this_machine(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("http://example.org", "http://127.0.0.1.example.org", "ftp://localhost", "file:///etc", "https://["):
        monkeypatch.setenv("ROADLITE_MODELS_URL", url)
        fails("expected an https address|Invalid IPv6")
    with serving(answer()) as server:
        monkeypatch.setenv("ROADLITE_MODELS_URL", server.url.replace("http://", "https://user:secret@"))
        assert "secret" not in fails("SSL")


class _Interrupted:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self, items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
        yield next(iter(items))
        raise self.error


@needs_download
@pytest.mark.parametrize(
    ("error", "becomes"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(errno.ENOSPC, "No space left on device"), DownloadError),
    ],
)
def test_an_interrupted_download_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, becomes: type[BaseException]
) -> None:
    with serving(endless) as server:
        monkeypatch.setenv("ROADLITE_MODELS_URL", server.url)
        with pytest.raises(becomes, match=str(error.args[1]) if error.args else None):
            models.load_frozen_graph("mobilenetv2", track=_Interrupted(error), notice=pytest.fail)
        assert os.listdir(cache) == []
        assert not downloading()


@needs_download
def test_a_cache_that_cannot_be_used_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir()
    (cache / (NAME + ".sha256")).write_text("garbage")
    fails(f"{NAME}.sha256: expected a sha256.*delete it")
    monkeypatch.setenv("ROADLITE_CACHE", str(cache / (NAME + ".sha256")))
    fails(f"cannot use the cache {cache}.*Not a directory")


@needs_download
def test_a_tarball_put_into_the_cache_is_used_and_from_then_on_checked(cache: Path) -> None:
    cache.mkdir()
    (cache / NAME).write_bytes(OFFICIAL[:300])
    with pytest.raises(GraphError, match=f"{NAME} .delete it to download it again.*whole .tar"):
        load("mobilenetv2")
    (cache / NAME).write_bytes(OFFICIAL)
    assert load("mobilenetv2").origin == f"{NAME}, put into the cache by hand"
    (cache / NAME).write_bytes(OFFICIAL[:300])
    fails("sha256")


@pytest.mark.parametrize("library", ["pooch", "requests"])
def test_a_missing_library_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    fails(f'{library} is missing: pip install .*"{library}>=')


# The demo graph


@needs_download
def test_auto_falls_back_to_the_demo_and_says_so(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "demo.pb").write_bytes(b"demo graph")
    monkeypatch.setattr(importlib.resources, "files", lambda _package: tmp_path)
    notices: list[str] = []
    with serving(answer(b"", status=404)) as server:
        monkeypatch.setenv("ROADLITE_MODELS_URL", server.url)
        assert (load("auto", notices).name, load("demo").graph_bytes) == ("demo", b"demo graph")
        assert len(notices) == 1
        assert "status 404" in notices[0]
        assert "demo graph, which is not the official model" in notices[0]
        server.script = answer()
        assert load("auto", notices).name == "mobilenetv2"
        assert len(notices) == 1


def test_the_demo_graph_comes_with_the_kit() -> None:
    graph = load("demo")
    assert (graph.name, graph.origin) == ("demo", "embedded demo graph")
    assert len(graph.graph_bytes) > 100_000


def test_a_missing_demo_graph_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.resources, "files", lambda _package: tmp_path)
    with pytest.raises(GraphError, match="reinstall"):
        load("demo")


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    heavy = "{'tensorflow', 'pooch', 'requests', 'urllib3'}"
    code = f"import sys, convert.models; assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
