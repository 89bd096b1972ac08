"""What goes wrong while `run-model` runs, done for real: signals, kills, full disks, lost streams, hangs."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from films import write_film, write_joined
from local_server import LocalServer
from waiting import PATIENCE_S, wait_for

from edge.cli.run_model import main

ROOT = Path(__file__).parents[3]
STDIN = ("--source", "-", "--width", "64", "--height", "48")
COMMAND = "import sys; from edge.cli.run_model import main; sys.exit(main())"
SECONDS = PATIENCE_S / 2  # until a run has ended, its outputs finished, though something hangs for an hour


@pytest.fixture(scope="module")
def model(tiny_model: Callable[..., bytes], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    path = tmp_path_factory.mktemp("model") / "tiny.tflite"
    path.write_bytes(tiny_model())
    return [str(path), "--normalise", "deeplab"]


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames of noise, 160x120 at 25 a second: they grow a video quickly."""
    path = tmp_path_factory.mktemp("noise") / "noise.mp4"
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "10"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for _ in range(40):
            picture = random.integers(0, 256, (120, 160, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    return path


def start(*arguments: str, code: str = COMMAND, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options)


def parts(folder: Path) -> list[Path]:
    """Videos that are being written."""
    return [path for path in folder.glob("*.part") if path.stat().st_size > 20_000]


def ended(process: subprocess.Popen[bytes], sign: int) -> tuple[int, float, str]:
    """Exit code, seconds that it took, and stderr."""
    begin = time.monotonic()
    process.send_signal(sign)
    _, error = process.communicate(timeout=PATIENCE_S)
    return process.returncode, time.monotonic() - begin, error.decode()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_a_run_in_time_with_its_outputs_finished(
    sign: int, model: list[str], noise: Path, tmp_path: Path
) -> None:
    out, stats = tmp_path / "o.mp4", tmp_path / "s.json"
    source = ["--source", str(noise), "--loop", "--realtime"]
    process = start(*model, *source, "--output", str(out), "--output", f"labels:{tmp_path}/l", "--stats", str(stats))
    wait_for(lambda: parts(tmp_path))
    code, seconds, error = ended(process, sign)
    assert (code, error.splitlines()[-1]) == (130, "run-model: interrupted")
    assert seconds < SECONDS
    assert not list(tmp_path.glob("*.part"))
    with av.open(str(out)) as container:
        shown = sum(1 for _ in container.decode(video=0))
    assert shown == json.loads(stats.read_text())["frames"] == len(list((tmp_path / "l").iterdir())) > 5


class Terminal:
    """A terminal on which `run-model` runs, stdin, stdout and stderr all of it, as the first of its session."""

    def __init__(self, *arguments: str, prefix: Sequence[str] = ()) -> None:
        self.screen, inside = os.openpty()
        name = os.ttyname(inside)  # the first of a session to open a terminal gets its signals
        shell = f'exec <{name} >{name} 2>{name}; exec "$@"'
        command = ["sh", "-c", shell, "sh", *prefix, sys.executable, "-c", COMMAND, *arguments]
        self.process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
        os.close(inside)

    def close(self) -> None:
        """Closes it, as a window or a connection is closed."""
        os.close(self.screen)


def frames_in(film: Path) -> int:
    with av.open(str(film)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_closed_terminal_ends_a_run_with_its_outputs_finished(model: list[str], noise: Path, tmp_path: Path) -> None:
    outputs = ["--output", str(tmp_path / "o.mp4"), "--stats", str(tmp_path / "s.json")]
    terminal = Terminal(*model, "--source", str(noise), "--loop", "--realtime", *outputs)
    wait_for(lambda: parts(tmp_path))
    terminal.close()
    assert terminal.process.wait(PATIENCE_S) == 130
    assert frames_in(tmp_path / "o.mp4") == json.loads((tmp_path / "s.json").read_text())["frames"] > 5
    assert not list(tmp_path.glob("*.part"))


def test_under_nohup_a_run_outlives_its_terminal(model: list[str], noise: Path, tmp_path: Path) -> None:
    """Once its terminal is closed, every line that it prints there fails."""
    ignoring = [sys.executable, "-c", "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); "]
    ignoring[-1] += "os.execv(sys.argv[1], sys.argv[1:])"  # nohup itself would take the terminal away
    outputs = ["--output", str(tmp_path / "o.mp4"), "--stats", str(tmp_path / "s.json")]
    source = ["--source", str(noise), "--loop", "--realtime", "--limit", "60"]
    terminal = Terminal(*model, *source, *outputs, prefix=ignoring)
    wait_for(lambda: parts(tmp_path))
    terminal.close()
    assert terminal.process.wait(PATIENCE_S) == 0
    assert frames_in(tmp_path / "o.mp4") == json.loads((tmp_path / "s.json").read_text())["frames"] == 60


def test_times_are_kept_though_nobody_reads_what_is_printed(model: list[str], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    arguments = [*model, "--source", "demo", "--limit", "3", "--output", "null", "--stats", str(tmp_path / "s.json")]
    command = [sys.executable, "-c", COMMAND, *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, check=False, timeout=PATIENCE_S)
    os.close(writing)
    assert done.returncode == 1
    assert json.loads((tmp_path / "s.json").read_text())["frames"] == 3


def test_a_source_that_waits_for_ever_does_not_keep_a_signal_waiting(model: list[str]) -> None:
    process = start(
        *model, "--source", "-", "--width", "64", "--height", "48", "--output", "null", stdin=subprocess.PIPE
    )
    assert process.stderr is not None
    assert b"stdin" in process.stderr.readline()
    code, seconds, _ = ended(process, signal.SIGTERM)
    assert code == 130
    assert seconds < SECONDS


STUCK = """
import sys, time
from edge.cli import run_model
from edge.sinks.base import Sink
class Stuck(Sink):
    def write(self, result):
        print("stuck", file=sys.stderr, flush=True)
        time.sleep(3600)
    def close(self):
        pass
run_model.open_sink = lambda *arguments: Stuck()
sys.exit(run_model.main())
"""


def test_an_output_that_hangs_does_not_keep_a_signal_waiting(model: list[str], noise: Path) -> None:
    process = start(*model, "--source", str(noise), "--output", "null", code=STUCK)
    assert process.stderr is not None
    for line in process.stderr:  # to its end, where the run dies
        if b"stuck" in line:
            break
    code, seconds, _ = ended(process, signal.SIGINT)
    assert code == 130
    assert seconds < SECONDS


def test_after_kill_9_what_was_recorded_plays(model: list[str], noise: Path, tmp_path: Path) -> None:
    source = ["--source", str(noise), "--loop", "--realtime"]
    process = start(*model, *source, "--output", str(tmp_path / "o.mp4"))
    wait_for(lambda: any(path.stat().st_size > 300_000 for path in parts(tmp_path)))
    process.kill()
    process.communicate()
    (part,) = tmp_path.glob("*.part")
    with av.open(str(part)) as container:
        times = [float(frame.time or 0) for frame in container.decode(video=0)]
    assert len(times) >= 25
    assert times == pytest.approx([index / 25 for index in range(len(times))])


LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))\n" + COMMAND


def test_a_full_disk_ends_that_output_and_the_others_go_on(model: list[str], noise: Path, tmp_path: Path) -> None:
    outputs = ["--output", str(tmp_path / "o.mp4"), "--output", f"labels:{tmp_path}/l"]
    process = start(*model, "--source", str(noise), *outputs, code=LIMITED)
    _, error = process.communicate(timeout=2 * PATIENCE_S)
    said = error.decode()
    assert process.returncode == 0, said
    assert said.count("going on without this output") == 1
    assert "o.mp4: cannot be written (File too large)" in said
    assert len(list((tmp_path / "l").iterdir())) == 40
    assert "o.mp4" not in said.splitlines()[-1]


def test_a_full_disk_ends_the_run_when_nothing_else_is_shown(model: list[str], noise: Path, tmp_path: Path) -> None:
    process = start(*model, "--source", str(noise), "--output", str(tmp_path / "o.mp4"), code=LIMITED)
    _, error = process.communicate(timeout=2 * PATIENCE_S)
    assert process.returncode == 1
    last = error.decode().splitlines()[-1]
    assert last.startswith(f"run-model: {tmp_path}/o.mp4: cannot be written (File too large)")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system needs the right to mount one: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_small_disk_that_fills_up(model: list[str], noise: Path, small_disk: Path, tmp_path: Path) -> None:
    outputs = ["--output", str(small_disk / "o.mp4"), "--output", f"labels:{tmp_path}/l"]
    process = start(*model, "--source", str(noise), "--loop", "--limit", "200", *outputs)
    _, error = process.communicate(timeout=2 * PATIENCE_S)
    assert process.returncode == 0, error.decode()
    assert "o.mp4: " in error.decode()
    assert "No space left on device" in error.decode()
    assert len(list((tmp_path / "l").iterdir())) == 200
    with av.open(str(small_disk / "o.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) >= 25, "what was recorded before is kept"


def test_a_model_file_that_is_replaced_changes_nothing(model: list[str], tmp_path: Path) -> None:
    copy = tmp_path / "m.tflite"
    copy.write_bytes(Path(model[0]).read_bytes())
    source = [*STDIN, "--output", f"labels:{tmp_path}/l"]
    process = start(str(copy), *model[1:], *source, stdin=subprocess.PIPE)
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, :, 2] = 250
    assert process.stdin is not None
    for index in range(4):
        process.stdin.write(picture.tobytes())
        process.stdin.flush()
        wait_for((tmp_path / "l" / f"{index:06d}.png").exists)
        copy.write_bytes(b"not a model" * index)
        if index == 2:
            copy.unlink()
    _, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, error.decode()
    for index in range(4):
        found = cv2.imread(f"{tmp_path}/l/{index:06d}.png", cv2.IMREAD_UNCHANGED)
        assert (found == 2).all()


def test_systemd_is_told(model: list[str], noise: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE_S)
        environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        begin = time.monotonic()
        process = start(*model, "--source", str(noise), "--loop", "--realtime", "--output", "null", env=environment)
        assert manager.recv(4096).decode().startswith("READY=1\nWATCHDOG=1\nSTATUS=")
        fed = [manager.recv(4096).decode() for _ in range(20)]
        seconds = time.monotonic() - begin
        ended(process, signal.SIGTERM)
        assert all(message.startswith("WATCHDOG=1\nSTATUS=running, ") for message in fed)
        assert seconds > len(fed) * 0.1, "the watchdog is fed at half its time, not with every frame"
        last = b""
        manager.setblocking(False)
        while last != b"STOPPING=1":
            last = manager.recv(4096)


class Cut(LocalServer):
    """A server whose stream breaks off after some frames, every time."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.served, self._data = 0, data
        self.start()

    def serve(self, connection: socket.socket) -> None:
        connection.recv(4096)
        self.served += 1
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + self._data)
        time.sleep(0.3)


def test_a_lost_stream_is_counted_said_and_given_up(
    model: list[str], noise: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.sources.reconnect.FIRST_WAIT_S", 0.1)
    path = tmp_path / "live.ts"
    with av.open(str(noise)) as whole, av.open(str(path), "w", format="mpegts") as live:
        out = live.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.dts is not None:
                packet.stream = out
                live.mux(packet)
    server, stats = Cut(path.read_bytes()), tmp_path / "s.json"
    address = f"http://driver:s3cret@127.0.0.1:{server.port}/live"
    arguments = ["--source", address, "--output", "null", "--max-reconnects", "2", "--stats", str(stats)]
    assert main([*model, *arguments]) == 1
    server.listening.close()
    said = capfd.readouterr()
    assert stats.exists(), said.err
    assert "s3cret" not in said.err + said.out + stats.read_text()
    assert "given up after 2 reconnects" in said.err.splitlines()[-1]
    assert said.err.count("opening it again") == 2
    assert json.loads(stats.read_text())["reconnects"] == 2
    assert server.served == 3


def test_damaged_frames_of_a_file_are_counted(
    model: list[str], noise: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with av.open(str(noise)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(noise.read_bytes())
    for start_at, size in places[20:23]:
        data[start_at : start_at + size] = bytes(size)
    (tmp_path / "scratched.mp4").write_bytes(data)
    arguments = ["--source", str(tmp_path / "scratched.mp4"), "--output", f"labels:{tmp_path}/l"]
    assert main([*model, *arguments]) == 0
    assert "3 damaged frames" in capsys.readouterr().err
    numbers = sorted(int(path.stem) for path in (tmp_path / "l").iterdir())
    assert numbers[-1] == 39, "those after the damage keep their numbers"
    assert 1 <= 40 - len(numbers) <= 3


def test_films_that_were_joined_and_change_their_size_become_one(
    model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The clock begins again, and the picture grows: with one film, its labels and its statistics."""
    film = write_joined(tmp_path, (3600.0, 0.0), ((48, 64), (72, 96)))
    out, stats = tmp_path / "out.mp4", tmp_path / "s.json"
    outputs = ["--output", str(out), "--output", f"labels:{tmp_path}/l", "--stats", str(stats)]
    assert main([*model, "--source", str(film), *outputs]) == 0
    said = capsys.readouterr().err
    assert "1 jump of the film's clock" in said
    assert said.count("out.mp4: a picture of 96x72 follows; it and all others are scaled to 64x48") == 1
    assert json.loads(stats.read_text())["jumps"] == 1
    with av.open(str(out)) as container:
        frames = [(frame.time, frame.width, frame.height) for frame in container.decode(video=0)]
    assert [time_s for time_s, *_ in frames] == pytest.approx([index / 25 for index in range(50)], abs=1e-4)
    assert {size for _, *size in map(list, frames) for size in [tuple(size)]} == {(64, 48)}
    labels = [cv2.imread(f"{tmp_path}/l/{index:06d}.png", cv2.IMREAD_UNCHANGED).shape for index in range(50)]
    assert labels == [(48, 64)] * 25 + [(72, 96)] * 25


def test_a_film_of_oblong_pixels_is_shown_in_its_shape(model: list[str], tmp_path: Path) -> None:
    film = write_film(tmp_path / "v.mp4", range(3), size_hw=(144, 180), pixel=Fraction(64, 45))
    assert main([*model, "--source", str(film), "--output", str(tmp_path / "o.mp4")]) == 0
    assert main([*model, "--source", str(film), "--output", f"labels:{tmp_path}/l"]) == 0
    with av.open(str(tmp_path / "o.mp4")) as container:
        stream = container.streams.video[0]
        pixel = stream.sample_aspect_ratio  # PyAV 19 has 0/1 where older ones have None: nothing is said, so square
        assert (stream.width, stream.height, not pixel or float(pixel) in (0, 1)) == (256, 144, True)
    assert cv2.imread(f"{tmp_path}/l/000000.png", cv2.IMREAD_UNCHANGED).shape == (144, 256)


def test_a_film_that_is_cut_off_is_labelled_as_far_as_it_goes(
    model: list[str], noise: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The kit's own recordings, too, after a loss of power."""
    assert main([*model, "--source", str(noise), "--output", str(tmp_path / "own.mp4")]) == 0
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "own.mp4").read_bytes()[:-5000])
    capsys.readouterr()
    assert main([*model, "--source", str(tmp_path / "cut.mp4"), "--output", f"labels:{tmp_path}/l"]) == 0
    assert re.search(r"cut\.mp4: the video is cut off: at least 4,\d{3} of [\d,]+ bytes are", capsys.readouterr().err)
    assert len(list((tmp_path / "l").iterdir())) >= 25


def test_nothing_on_standard_input_is_an_error_in_one_line(model: list[str], tmp_path: Path) -> None:
    process = start(*model, *STDIN, "--output", str(tmp_path / "out.mp4"), stdin=subprocess.DEVNULL)
    _, error = process.communicate(timeout=PATIENCE_S)
    lines = [line for line in error.decode().splitlines() if line.startswith("run-model: ")]
    assert process.returncode == 1
    assert len(lines) == 1
    assert "standard input ended without a byte" in lines[0]
    assert "wrote" not in error.decode()
    assert list(tmp_path.iterdir()) == []
