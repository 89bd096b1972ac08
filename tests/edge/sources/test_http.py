"""What comes over HTTP, from real servers on two hosts of this machine."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
import pytest
from http_server import PASSWORD, USER, Answer, FileServer, playlist, serving, video
from waiting import PATIENCE_S

from edge.data import Frame
from edge.errors import SourceError, UsageError
from edge.sources.open import open_source
from edge.sources.options import SourceHealth, SourceOptions

HLS = "application/vnd.apple.mpegurl"
OPTIONS = SourceOptions(timeout_s=PATIENCE_S, max_reconnects=0)


@pytest.fixture
def here() -> Iterator[FileServer]:
    with serving(FileServer()) as server:
        yield server


@pytest.fixture
def elsewhere() -> Iterator[FileServer]:
    """A host that nobody named."""
    with serving(FileServer("127.0.0.2")) as server:
        yield server


def frames_of(address: str, options: SourceOptions = OPTIONS, most: int = 1000) -> list[Frame]:
    source = open_source(address, options)
    found = []
    for frame in source:
        found.append(frame)
        if len(found) == most:
            break
    source.close()
    return found


def served_playlist(server: FileServer, folder: Path, base: str = "") -> dict[str, bytes]:
    """Puts the playlist onto a server, with addresses of segments that begin with `base`."""
    files = playlist(folder)
    for name, body in files.items():
        server.answers[f"/{name}"] = Answer(body, "video/mp2t")
    moved = re.sub(rb"^(i\d)", base.encode() + rb"\1", files["i.m3u8"], flags=re.MULTILINE)
    server.answers["/i.m3u8"] = Answer(moved, HLS)
    return files


def test_a_playlist_is_played_to_its_end_at_its_own_pace(here: FileServer, tmp_path: Path) -> None:
    served_playlist(here, tmp_path / "hls")
    begin = time.monotonic()
    found = frames_of(f"{here.base}/i.m3u8")
    assert len({frame.index for frame in found}) >= 10
    assert found[-1].pixels.mean() > 200
    assert time.monotonic() - begin > 1.5
    assert [path for path in here.asked if path.endswith(".ts")][-1] == "/i1.ts"


def test_a_live_playlist_is_asked_again_and_followed(here: FileServer, tmp_path: Path) -> None:
    files = served_playlist(here, tmp_path / "hls")
    head = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n"
    segments = re.findall(rb"#EXTINF.*\ni\d\.ts\n", files["i.m3u8"])
    here.answers["/i.m3u8"] = Answer(head + segments[0], HLS)
    later = Answer(head + b"".join(segments), HLS)
    source = open_source(f"{here.base}/i.m3u8", OPTIONS)
    threading.Timer(0.5, lambda: here.answers.update({"/i.m3u8": later})).start()
    assert any(frame.pixels.mean() > 140 for frame in source), "frames of the second segment come"
    source.close()
    assert here.asked.count("/i.m3u8") >= 2


def test_a_playlist_is_known_by_its_kind_where_its_name_does_not_tell(here: FileServer, tmp_path: Path) -> None:
    served_playlist(here, tmp_path / "hls")
    here.answers["/live"] = here.answers.pop("/i.m3u8")
    assert len(frames_of(f"{here.base}/live?x=1", most=5)) == 5


def test_segments_of_another_host_are_not_asked_for_unless_it_is_allowed(
    here: FileServer, elsewhere: FileServer, tmp_path: Path
) -> None:
    files = served_playlist(here, tmp_path / "hls", f"{elsewhere.base}/")
    for name, body in files.items():
        elsewhere.answers[f"/{name}"] = Answer(body, "video/mp2t")
    with pytest.raises(SourceError, match=r"127\.0\.0\.2:\d+, another host .*`allow_hosts` 127\.0\.0\.2:\d+"):
        frames_of(f"{here.base}/i.m3u8")
    assert not elsewhere.asked
    for allowed in ("127.0.0.2", elsewhere.base.removeprefix("http://")):
        options = SourceOptions(timeout_s=PATIENCE_S, max_reconnects=0, allow_hosts=("cdn", allowed))
        assert frames_of(f"{here.base}/i.m3u8", options, most=3)
    asked = len(elsewhere.asked)
    with pytest.raises(SourceError, match="another host or port"):
        frames_of(f"{here.base}/i.m3u8", SourceOptions(allow_hosts=("127.0.0.2:1",), timeout_s=PATIENCE_S))
    assert len(elsewhere.asked) == asked


def test_another_port_of_the_named_host_is_not_asked_either(here: FileServer, tmp_path: Path) -> None:
    """Behind it is another service: of a camera's host, as of this machine, it may be one that trusts who asks."""
    with serving(FileServer()) as other:
        served_playlist(here, tmp_path / "hls", f"{other.base}/")
        with pytest.raises(SourceError, match="another host or port"):
            frames_of(f"{here.base}/i.m3u8")
        assert not other.asked


def test_a_redirect_to_another_host_is_not_followed_and_gets_no_password(
    here: FileServer, elsewhere: FileServer
) -> None:
    elsewhere.answers["/v.ts"] = Answer(video("mpegts"), "video/mp2t")
    elsewhere.auth = "Basic"
    here.answers["/away"] = Answer(status=302, headers={"Location": f"{elsewhere.base}/v.ts"})
    here.answers["/near"] = Answer(status=307, headers={"Location": "/v.ts"})
    here.answers["/v.ts"] = Answer(video("mpegts"), "video/mp2t")
    here.answers["/round"] = Answer(status=302, headers={"Location": "/round"})
    assert frames_of(f"{here.base}/near", most=3)
    with pytest.raises(SourceError, match="another host"):
        frames_of(f"{here.base}/away")
    assert not elsewhere.asked
    with pytest.raises(SourceError, match="status 302"):
        frames_of(f"{here.base}/round")
    assert here.asked.count("/round") < 10
    address = f"http://{USER}:{quote(PASSWORD, safe='')}@{here.base.removeprefix('http://')}/away"
    with pytest.raises(SourceError, match=r"127\.0\.0\.2:\d+/v\.ts answers with status 401"):
        frames_of(address, SourceOptions(timeout_s=PATIENCE_S, allow_hosts=("127.0.0.2",)))
    assert set(elsewhere.proofs) == {""}


@pytest.mark.parametrize("other", ["file:///etc/hostname", "data:,x", "gopher://127.0.0.1/x", "crypto+http://h/x"])
def test_a_playlist_leads_to_nothing_but_http(here: FileServer, other: str) -> None:
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}.ts\n#EXT-X-ENDLIST\n"
    here.answers["/i.m3u8"] = Answer(text.encode(), HLS)
    with pytest.raises(SourceError, match=r"http://127\.0\.0\.1"):
        frames_of(f"{here.base}/i.m3u8")


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile http://{host}/v.ts\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.2\ns=x\nc=IN IP4 127.0.0.2\nt=0 0\nm=video 5004 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
        "[Reference]\nRef1=http://{host}/v.ts\n",
    ],
)
def test_other_files_that_name_addresses_are_no_video(here: FileServer, elsewhere: FileServer, text: str) -> None:
    here.answers["/x"] = Answer(text.format(host=elsewhere.base.removeprefix("http://")).encode())
    with pytest.raises(SourceError, match="no video"):
        frames_of(f"{here.base}/x")
    assert not elsewhere.asked


@pytest.mark.parametrize("name", ["i.m3u8", "x.ffconcat", "x.sdp"])
def test_files_reach_no_network(here: FileServer, tmp_path: Path, name: str) -> None:
    text = {
        "i.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{here.base}/v.ts\n#EXT-X-ENDLIST\n",
        "x.ffconcat": f"ffconcat version 1.0\nfile {here.base}/v.ts\n",
        "x.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
    }
    here.answers["/v.ts"] = Answer(video("mpegts"), "video/mp2t")
    (tmp_path / name).write_text(text[name])
    with pytest.raises(SourceError, match="expected a video"):
        frames_of(str(tmp_path / name))
    assert not here.asked


@pytest.mark.parametrize("auth", ["Basic", "Digest"])
def test_a_password_is_given_where_it_is_asked_for_however_it_is_written(auth: str) -> None:
    with serving(FileServer(auth=auth)) as server:
        server.answers["/v.ts"] = Answer(video("mpegts"), "video/mp2t")
        place = server.base.removeprefix("http://")
        for written in (quote(PASSWORD, safe=""), PASSWORD.replace("@", "%40")):
            assert frames_of(f"http://{USER}:{written}@{place}/v.ts", most=2)
        assert all(proof == "" or proof.startswith(auth) for proof in server.proofs)
        with pytest.raises(SourceError, match=r"wrong user or password$"):
            frames_of(f"http://{USER}:guess@{place}/v.ts")
        with pytest.raises(SourceError, match="wants a user and a password"):
            frames_of(f"{server.base}/v.ts")


def test_what_a_server_refuses_is_told_apart(here: FileServer) -> None:
    here.answers["/no"] = Answer(status=403)
    here.answers["/busy"] = Answer(status=503)
    for path, said in (("no", "forbidden$"), ("gone", "nothing of that name"), ("busy", "status 503")):
        with pytest.raises(SourceError, match=said):
            frames_of(f"{here.base}/{path}")
    with pytest.raises(SourceError, match=r"forbidden to this user$"):
        frames_of(f"{here.base.replace('://', '://u:p@')}/no")


def test_a_recording_whose_index_comes_last_is_read_in_parts(here: FileServer) -> None:
    here.answers["/v.mp4"] = Answer(video("mp4", 500), "video/mp4", has_ranges=True)
    found = frames_of(f"{here.base}/v.mp4", most=5)
    assert found[0].pixels.shape == (48, 64, 3)
    assert here.ranges


def test_a_recording_that_is_cut_off_is_no_end(here: FileServer) -> None:
    body = video("mpegts")
    here.answers["/v.ts"] = Answer(body[: len(body) // 2], "video/mp2t", headers={"Content-Length": str(len(body))})
    here.answers["/v.ts"].has_length = False
    with pytest.raises(SourceError, match=rf"broke off after \d+ of {len(body)} bytes"):
        frames_of(f"{here.base}/v.ts")


def test_what_does_not_speak_http_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(SourceError, match="does not speak HTTP"):
            frames_of(f"http://127.0.0.1:{listening.getsockname()[1]}/x")


def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        begin = time.monotonic()
        with pytest.raises(SourceError, match=r"nothing came within 0\.5 s"):
            frames_of(f"http://127.0.0.1:{listening.getsockname()[1]}/x", SourceOptions(timeout_s=0.5))
        assert time.monotonic() - begin < PATIENCE_S


def test_a_server_that_gives_a_byte_now_and_then_is_given_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.sources.http_files.OPENING_S", 1.0)
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")
                while not done.wait(0.05):
                    connection.sendall(b"G")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(SourceError, match="nothing came within"):
            frames_of(f"http://127.0.0.1:{listening.getsockname()[1]}/x", SourceOptions(timeout_s=0.5))
        done.set()
        thread.join()


def jpeg(grey: int, width: int = 64, height: int = 48) -> bytes:
    return cv2.imencode(".jpg", np.full((height, width, 3), grey, np.uint8))[1].tobytes()


@pytest.mark.parametrize("kind", ["image/jpeg", "application/octet-stream"])
def test_snapshots_are_a_slow_live_camera(here: FileServer, kind: str) -> None:
    here.answers["/snapshot.jpg"] = Answer(jpeg(50), kind)
    address = here.base.replace("://", "://u:p@") + "/snapshot.jpg?channel=1"
    source = open_source(address, SourceOptions(rate=Fraction(20), timeout_s=PATIENCE_S))
    assert (source.info.size_wh, source.info.rate, source.info.live) == ((64, 48), 20, True)
    assert source.info.name == f"{here.base}/snapshot.jpg?..."
    greys = []
    for frame in source:
        greys.append(round(float(frame.pixels.mean())))
        here.answers["/snapshot.jpg"] = Answer(jpeg(150), kind)
        if len(greys) == 8:
            break
    source.close()
    assert greys[0] == 50
    assert greys[-1] == 150
    assert frames_of(address, most=1)[0].t_capture_s
    assert open_source(f"{here.base}/snapshot.jpg").info.rate == 2


def test_snapshots_come_back_and_damaged_ones_are_counted(here: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.sources.reconnect.FIRST_WAIT_S", 0.1)
    good, cut = Answer(jpeg(50), "image/jpeg"), Answer(jpeg(50)[:-40], "image/jpeg")
    here.answers["/s"] = good
    health, said = SourceHealth(), list[str]()

    def say(line: str) -> None:
        said.append(line)
        here.answers["/s"] = good

    source = open_source(f"{here.base}/s", SourceOptions(rate=Fraction(50), timeout_s=2), health=health, say=say)
    for count, _ in enumerate(source):
        if count == 2:
            here.answers["/s"] = cut
            threading.Timer(0.3, lambda: here.answers.update({"/s": Answer(status=503)})).start()
        if health.reconnects and not health.fault:
            break
    source.close()
    assert health.skipped >= 1
    assert "status 503" in said[0]


@pytest.mark.parametrize("damaged", [b"", b"\xff\xd8 none", b"<html>", "large", "gif"])
def test_a_first_snapshot_that_is_no_picture_is_said(here: FileServer, damaged: bytes | str) -> None:
    body = damaged if isinstance(damaged, bytes) else b"GIF89a" + bytes(20)
    if damaged == "large":
        body = re.sub(rb"(?<=\xff\xc0..\x08)....", lambda _: b"\xff\0\xff\0", jpeg(5), flags=re.DOTALL)  # 65280x65280
    here.answers["/s"] = Answer(body, "image/jpeg")
    with pytest.raises(SourceError, match=r"picture|megapixels"):
        open_source(f"{here.base}/s", OPTIONS)


def test_options_that_snapshots_cannot_follow_are_refused(here: FileServer) -> None:
    here.answers["/s"] = Answer(jpeg(5), "image/jpeg")
    here.answers["/v.ts"] = Answer(video("mpegts"), "video/mp2t")
    with pytest.raises(UsageError, match=r"`timeout_s`: expected more than the 10 s between two snapshots"):
        open_source(f"{here.base}/s", SourceOptions(rate=Fraction(1, 10)))
    with pytest.raises(UsageError, match="`rate`"):
        open_source(f"{here.base}/v.ts", SourceOptions(rate=Fraction(5)))
    for wrong in ("http://x", "a/b", "u@h", ""):
        with pytest.raises(UsageError, match="`allow_hosts`: expected HOST"):
            SourceOptions(allow_hosts=(wrong,))
    for spec in ("rtsp://h/x", "demo", "0", "-"):
        with pytest.raises(UsageError, match="`allow_hosts`: makes no sense here"):
            open_source(spec, SourceOptions(allow_hosts=("h",)))


def test_a_motion_jpeg_stream_of_a_camera_is_read(here: FileServer) -> None:
    body = b"".join(
        b"--edge\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(jpeg(g)), jpeg(g))
        for g in range(0, 250, 5)
    )
    here.answers["/m"] = Answer(body, "multipart/x-mixed-replace; boundary=edge", has_length=False)
    assert frames_of(f"{here.base}/m", most=1)[0].pixels.shape == (48, 64, 3)
