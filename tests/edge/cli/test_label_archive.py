"""`label-archive` as a user types it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import trustme

pytest.importorskip("distributed")

from archives import CLASSES, MODEL, labels, moving_film
from waiting import wait_for

from edge.cli.label_archive import main
from edge.cli.run_model import main as run_model
from edge.cluster import opening
from edge.cluster.opening import LocalPlan, local_plan, open_cluster

COMMAND = [sys.executable, "-c", "import sys; from edge.cli.start import label_archive; sys.exit(label_archive())"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, its classes, and a folder of two films."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.tflite").write_bytes(MODEL)
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES.names))
    moving_film(tmp_path / "drives" / "a.mp4", 60)
    moving_film(tmp_path / "drives" / "b.mp4", 30)
    return tmp_path


def arguments(*more: str) -> list[str]:
    reading = ["--classes", "classes.txt", "--normalise", "unit"]
    return ["model.tflite", "drives", "--output", "labels:labels", "--output", "overlay:films", *reading, *more]


def test_films_are_labelled_and_what_cannot_be_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "drives" / "bad.mp4").write_bytes(b"no film")
    assert main(arguments("--cluster", "local:1")) == 3
    said = capsys.readouterr().err
    assert "3 films on 1 worker of" in said
    assert "2 films done; 90 frames in " in said
    assert re.search(r"^frames per second by worker: \d+\.\d \(0\)$", said, re.MULTILINE)
    assert "failed: " in said
    assert "bad.mp4: expected a video" in said
    assert said.splitlines()[-1] == "label-archive: 1 film of 3 could not be labelled"
    assert len(labels(place / "labels" / "a")) == 60
    records = [json.loads(line) for line in (place / "labels" / "manifest.jsonl").read_text().splitlines()]
    assert sorted(record["state"] for record in records) == ["done", "done", "failed"]
    assert main(arguments("--cluster", "local:1", "--max-failures", "1")) == 0
    said = capsys.readouterr().err
    assert f"0 films done, 2 films done before; {place / 'labels' / 'manifest.jsonl'}\n" in said


def test_labels_are_those_of_run_model(place: Path) -> None:
    moving_film(place / "drives" / "minute.mp4", 800)
    assert main(arguments()) == 0
    record = [json.loads(line) for line in (place / "labels" / "manifest.jsonl").read_text().splitlines()][-1]
    assert (Path(record["input"]).name, record["pieces"]) == ("minute.mp4", 2)
    reading = ["--classes", "classes.txt", "--normalise", "unit"]
    assert run_model(["model.tflite", "--source", "drives/minute.mp4", "--output", "labels:run", *reading]) == 0
    assert labels(place / "labels" / "minute") == labels(place / "run")


def test_a_scheduler_elsewhere_is_used(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_cluster("local", 1) as client:
        address = client.scheduler.address
        assert main(arguments("--cluster", address)) == 0
        assert "2 films on 1 worker\n" in capsys.readouterr().err
        assert len(labels(place / "labels" / "b")) == 30
        assert not {line.split()[0] for line in bound() if not line.startswith("127.0.0.1")}


def bound() -> list[str]:
    """What this process and its children listen at."""
    here = psutil.Process()
    found = [c for process in (here, *here.children(recursive=True)) for c in process.net_connections("inet")]
    return [f"{c.laddr.ip} {c.laddr.port}" for c in found if c.status == psutil.CONN_LISTEN]


def test_a_worker_of_another_version_is_refused_with_what_mends_it(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_cluster("local", 1) as client:
        monkeypatch.setattr(opening, "installed", lambda name: "9.9")
        assert main(arguments("--cluster", client.scheduler.address)) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "has Roadlite 0.1.0, this is 9.9; on it, at this version: pip install" in said


@pytest.mark.parametrize(
    ("more", "expected", "code"),
    [
        (["--cluster", "cloud"], "--cluster: expected local, local:N, tcp://HOST:8786", 2),
        (["--cluster", "local:0"], "--cluster: expected 1 to 256 processes, got 0", 2),
        (["--cluster", "tcp://127.0.0.1:1"], "tcp://127.0.0.1:1: no scheduler answers", 1),
        (["--output", "web"], "--output: expected labels:FOLDER", 2),
        (["--output", "labels:other"], "--output: expected one folder for labels, got two", 2),
        (["--max-failures", "-1"], "--max-failures: expected 0 or more", 2),
        (["--alpha", "2"], "expected an alpha from 0", 2),
        (["--show", "sky"], "this model has no class 'sky'", 2),
        (["--delegate", "libedgetpu.so.1"], "unrecognized arguments: --delegate", 2),
        (["--delegate-fallback"], "unrecognized arguments: --delegate-fallback", 2),
        (["sftp://pi:secret@host/x"], "expected an address without a password", 2),
    ],
)
def test_what_makes_no_sense_is_one_line(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    expected: str,
    code: int,
) -> None:
    monkeypatch.setattr(opening, "_PATIENCE_S", 0.5)
    given = arguments(*more) if more[0].startswith("--") else [arguments()[0], *more, *arguments()[1:]]
    assert main(given) == code
    said = capsys.readouterr().err.splitlines()
    assert expected in said[-1]
    assert "secret" not in said[-1]


@pytest.mark.long
def test_an_interrupted_run_ends_soon_and_goes_on(place: Path) -> None:
    moving_film(place / "drives" / "long.mp4", 1600)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen([*COMMAND, *arguments()], stderr=subprocess.PIPE, text=True, env=environment)
    parts, end_s = place / "labels" / ".roadlite-parts", time.monotonic() + 60
    while not list(parts.rglob("long/*.part")) and time.monotonic() < end_s:
        time.sleep(0.02)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 130, said
    assert "run it again to go on" in said
    assert "Traceback" not in said
    psutil.wait_procs(children, timeout=10)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert not (place / "films" / "long.mp4").exists()
    done = subprocess.run([*COMMAND, *arguments()], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "of an interrupted run kept" in done.stderr
    assert len(labels(place / "labels" / "long")) == 1600


@contextmanager
def dask_cluster(
    folder: Path, environment: dict[str, str], protocol: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Yields the address and the process of a scheduler with a worker, started as docs/fleet.md has it."""
    ports = ["--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"]
    scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--protocol", protocol, *ports]
    scheduler += ["--scheduler-file", str(folder / "scheduler.json")]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(folder / "scheduler.json")]
    worker += ["--nthreads", "1", "--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--protocol", protocol]
    logs: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with ExitStack() as stack:
        started = []
        for command in (scheduler, worker):
            started.append(stack.enter_context(subprocess.Popen(command, env=environment, cwd=folder, **logs)))
            stack.callback(started[-1].terminate)
        end_s = time.monotonic() + 30
        while not (folder / "scheduler.json").exists() and time.monotonic() < end_s:
            time.sleep(0.05)
        yield json.loads((folder / "scheduler.json").read_text())["address"], started[0]


@pytest.mark.long
def test_a_scheduler_that_goes_away_is_one_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moving_film(place / "drives" / "long.mp4", 3000)
    with dask_cluster(place, {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}, "tcp") as (
        address,
        scheduler,
    ):
        parts = place / "labels" / ".roadlite-parts"

        def end() -> None:
            wait_for(lambda: list(parts.rglob("*.part")))
            scheduler.kill()

        ending = threading.Thread(target=end)
        ending.start()
        while main(arguments("--cluster", address)) == 1:
            said = capsys.readouterr().err
            if "has no workers" not in said:
                break
        ending.join()
    assert said.splitlines()[-1].startswith("label-archive: the scheduler went away")


def test_tls_is_used_where_it_is_asked_for(place: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(place / "ca.pem"))
    issued.private_key_and_cert_chain_pem.write_to_path(str(place / "me.pem"))
    both = {f"{role}__{kind}": "me.pem" for role in ("SCHEDULER", "WORKER", "CLIENT") for kind in ("CERT", "KEY")}
    tls = {f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(place / file) for name, file in both.items()}
    tls |= {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(place / "ca.pem")}
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), **tls}
    with dask_cluster(place, environment, "tls") as (address, _):
        assert address.startswith("tls://")
        run = [*COMMAND, *arguments("--cluster", address)]
        end_s = time.monotonic() + 30
        while True:  # until the worker is there
            done = subprocess.run(run, capture_output=True, text=True, env=environment, check=False)
            if "has no workers" not in done.stderr or time.monotonic() > end_s:
                break
        without = {**os.environ, "PYTHONPATH": environment["PYTHONPATH"]}
        refused = subprocess.run(run, capture_output=True, text=True, env=without, check=False)
    assert done.returncode == 0, done.stderr
    assert len(labels(place / "labels" / "a")) == 60
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert "tls://127.0.0.1" in refused.stderr


def test_cores_and_memory_say_how_many_processes_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "available_processors", lambda: 4)
    memory = psutil.virtual_memory()._replace(available=64 << 30)
    monkeypatch.setattr(opening.psutil, "virtual_memory", lambda: memory)
    assert local_plan(3 << 20) == LocalPlan(4, 1)
    assert local_plan(3 << 20, 2) == LocalPlan(2, 2)
    memory = memory._replace(available=1 << 30)
    assert local_plan(3 << 20) == LocalPlan(1, 4)
