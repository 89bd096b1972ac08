"""No command tells the user, the password or the query of an address, wherever it was given and whatever goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from http_server import PASSWORD, USER, Answer, FileServer, playlist, serving, video

from edge.cli import compare_models, evaluate_model, run_model

SECRETS = ("driver", "s3cr", "x7token")
ODD = "driver:s3cr/et#?@nosuch.invalid:554"


@pytest.fixture(scope="module")
def model(tiny_model: Callable[..., bytes], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    path = tmp_path_factory.mktemp("model") / "tiny.tflite"
    path.write_bytes(tiny_model())
    return [str(path), "--normalise", "deeplab"]


@pytest.fixture
def camera() -> Iterator[FileServer]:
    with serving(FileServer(auth="Basic")) as server:
        server.answers["/v.ts"] = Answer(video("mpegts"), "video/mp2t")
        yield server


def assert_nothing_is_told(said: str) -> None:
    assert said
    assert not [secret for secret in SECRETS if secret in said]


@pytest.mark.parametrize("debug", [[], ["--debug"]])
@pytest.mark.parametrize(
    "words",
    [
        ["--source", f"rtsp://{ODD}/live?x7token=1", "--output", "null"],
        ["--source", f"http://{ODD}/live?x7token=1", "--output", "null"],
        ["--source", f"rtmp://{ODD}/live?x7token=1", "--output", "null"],
        ["--source", f"ftp://{ODD}/live?x7token=1"],
        ["--source", f"rtsp:{ODD}/live?x7token=1"],
        ["--source", "demo", "--limit", "3", "--output", f"rtsp://{ODD}/road"],
        ["--source", "demo", "--limit", "3", "--output", f"rtmp://{ODD}/road?x7token=1"],
        ["--source", "demo", "--limit", "3", "--output", f"udp://{ODD}/road?x7token=1"],
        ["--source", "demo", "--allow-hosts", "driver:s3cret@h"],
        [f"rtsp://{ODD}/live?x7token=1"],
        [f"--sauce=rtsp://{ODD}/live?x7token=1"],
        ["--sauce=http://cam/live?x7token=1"],
        ["--view", f"rtsp://{ODD}/live?x7token=1"],
        ["--fps", f"rtsp://{ODD}/live?x7token=1"],
    ],
)
def test_what_goes_wrong_with_an_address_is_said_without_what_opens_it(
    model: list[str], words: list[str], debug: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_model.main([*model, *words, *debug, "--timeout", "5"]) in (1, 2)
    said = capfd.readouterr()
    assert_nothing_is_told(said.out + said.err)


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_an_address_in_place_of_a_model_or_of_pictures_is_said_without_it(
    model: list[str], debug: list[str], capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    address = f"http://{ODD}/live?x7token=1"
    for main, words in (
        (run_model.main, [address, "--source", "demo"]),
        (evaluate_model.main, [*model, "--source", address, "--labels", str(tmp_path)]),
        (compare_models.main, [*model, "--source", address, "--labels", str(tmp_path)]),
        (compare_models.main, [*model, "--source", address, "--seconds", "1"]),
    ):
        assert main([*words, *debug]) in (1, 2)
        said = capfd.readouterr()
        assert_nothing_is_told(said.out + said.err)


def test_a_run_tells_nothing_in_its_statistics_nor_on_its_way(
    model: list[str], camera: FileServer, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    written = PASSWORD.replace("@", "%40")
    address = f"http://{USER}:{written}@{camera.base.removeprefix('http://')}/v.ts?x7token=1"
    stats = tmp_path / "stats.json"
    words = ["--source", address, "--limit", "3", "--output", "null", "--stats", str(stats)]
    assert run_model.main([*model, *words, "--debug"]) == 0
    said = capfd.readouterr()
    assert_nothing_is_told(said.out + said.err + stats.read_text())
    assert f"{camera.base}/v.ts?..." in said.err
    assert json.loads(stats.read_text())
    assert not list(tmp_path.glob("*overlay*"))
    words[1] = address.replace(written, "s3cr%2Fguess")
    assert run_model.main([*model, *words, "--debug"]) == 1
    said = capfd.readouterr()
    assert_nothing_is_told(said.out + said.err)
    assert said.err.endswith("wrong user or password\n")


def test_another_host_is_asked_where_the_command_allows_it(
    model: list[str], capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with serving(FileServer()) as named, serving(FileServer("127.0.0.2")) as other:
        for name, body in playlist(tmp_path / "hls").items():
            other.answers[f"/{name}"] = Answer(body, "video/mp2t")
        text = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\n{other.base}/i0.ts\n#EXT-X-ENDLIST\n"
        named.answers["/i.m3u8"] = Answer(text.encode(), "application/vnd.apple.mpegurl")
        words = [*model, "--source", f"{named.base}/i.m3u8", "--output", "null", "--limit", "2"]
        assert run_model.main(words) == 1
        place = other.base.removeprefix("http://")
        assert f"--allow-hosts {place} lets it be asked" in capfd.readouterr().err
        assert not other.asked
        assert run_model.main([*words, "--allow-hosts", f"cdn.example.com, {place}"]) == 0
        assert other.asked
