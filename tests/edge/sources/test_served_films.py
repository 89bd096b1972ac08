"""Films on a server: those whose clock jumps, whose pixels are oblong, and whose size changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import av
import pytest
from films import write_film, write_joined
from waiting import PATIENCE_S

from edge.cli.run_model import main
from edge.sources.base import Source
from edge.sources.network import check_address, open_stream
from edge.sources.options import SourceHealth, SourceOptions


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The address of the test's own folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path)))
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def served(url: str, health: SourceHealth | None = None) -> Source:
    return open_stream(check_address(url), SourceOptions(timeout_s=PATIENCE_S), health)


def test_a_recording_whose_clock_jumps_keeps_nobody_waiting(tmp_path: Path, address: str) -> None:
    write_film(tmp_path / "v.mkv", range(6), times_s=[0.0, 0.04, 0.08, 40.0, 40.04, 40.08])
    health, begin_s = SourceHealth(), time.monotonic()
    with closing(served(f"{address}/v.mkv", health)) as stream:
        assert len(list(stream)) == 6
    assert health.jumps == 1
    assert time.monotonic() - begin_s < 35


def test_pixels_of_a_stream_are_square(tmp_path: Path, address: str) -> None:
    write_film(tmp_path / "v.mkv", range(3), size_hw=(144, 180), pixel=Fraction(64, 45))
    with closing(served(f"{address}/v.mkv")) as stream:
        assert stream.info.size_wh == (256, 144)
        assert {frame.pixels.shape for frame in stream} == {(144, 256, 3)}


def test_a_stream_that_changes_its_size_goes_on(tmp_path: Path, address: str) -> None:
    write_joined(tmp_path, (0.0, 1.0), ((48, 64), (72, 96)))
    with closing(served(f"{address}/joined.ts")) as stream:
        shapes = [frame.pixels.shape for frame in stream]
    assert shapes == [(48, 64, 3)] * 25 + [(72, 96, 3)] * 25


def test_a_recording_without_one_good_frame_is_an_error(
    tmp_path: Path, address: str, tiny_model: Callable[..., bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    film = write_film(tmp_path / "v.mp4", range(5), movflags="faststart")
    with av.open(str(film)) as container:
        places = [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(film.read_bytes())
    for at, size in places:
        data[at : at + size] = bytes(size)
    film.write_bytes(data)
    (tmp_path / "m.tflite").write_bytes(tiny_model())
    out = tmp_path / "o.mp4"
    options = ["--normalise", "deeplab", "--output", str(out), "--max-reconnects", "0"]
    assert main([str(tmp_path / "m.tflite"), "--source", f"{address}/v.mp4", *options]) == 1
    last = capfd.readouterr().err.splitlines()[-1]
    assert last == f"run-model: {address}/v.mp4: ended before its first frame; expected at least one"
    assert not out.exists()
