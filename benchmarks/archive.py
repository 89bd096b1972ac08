"""What a cluster costs and gains: `label-archive` on films of the demo's scene, against the same work without Dask.

Each worker is held on one core, and so is the way without Dask, since reading, inference and drawing have threads of
their own. The ways take turns in one run on clusters that are up, with models that are loaded. `run-model` in a loop
over 20 short clips and `label-archive` on them are whole commands, from nothing to the end. The overhead of Dask is
that of pieces that do nothing, in the loop that hands out real ones; 100 000 of them take twelve minutes:

    python benchmarks/archive.py --pieces 100000
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import av
import psutil
from networks import MOBILENET, files
from scoreboard import Row, aimed, benchmark, row, say

from edge.archive import archive as coordinator
from edge.archive import tasks
from edge.archive.answers import Done, Planned
from edge.archive.archive import Archive
from edge.archive.cutting import Piece, Plan, plan
from edge.archive.films import Film, Outputs, films_of
from edge.archive.job import LabelJob
from edge.archive.joining import Join, join_film
from edge.archive.manifest import Manifest
from edge.cluster.models import sent
from edge.cluster.opening import open_cluster
from edge.cluster.segmenters import SentModel
from edge.scene import DEMO_SEED, Scene
from edge.versions import installed

SIZE_HW, FRAME_HW, CLIP_S, CLIPS = (129, 257), (288, 512), 2, 20
FILM_S, FILMS, PIECE_S = 40, 4, 4.0
PIECES_A_FILM = 1000
Work = Callable[[], float]


def clip(path: Path, seconds: int) -> Path:
    """A film of the demo's scene, 25 frames a second with a key frame each second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scene = Scene(DEMO_SEED)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"g": "25", "preset": "ultrafast"})
        stream.height, stream.width = FRAME_HW
        stream.pix_fmt = "yuv420p"
        for index in range(25 * seconds):
            frame = av.VideoFrame.from_ndarray(scene.draw(index / 25 % 10, FRAME_HW)[0])
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def job(model: Path) -> LabelJob:
    data = model.read_bytes()
    file = SentModel(model.name, sha256(data).hexdigest(), "litert", 1)
    return LabelJob(installed("roadlite"), file, labels=True, overlay=True, piece_s=PIECE_S)


def outputs(folder: Path) -> Outputs:
    return Outputs(str(folder / "labels"), str(folder / "films"), False, str(folder / "labels"))


@contextmanager
def fresh() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def without_dask(films: Path, model: Path) -> float:
    """Seconds of the same tasks, one after the other in this process, held on one core."""
    cores = os.sched_getaffinity(0)
    with fresh() as folder:
        start_s = time.perf_counter()
        os.sched_setaffinity(0, {min(cores)})
        try:
            for film in films_of([str(films)])[0]:
                planned, parts = plan(film.address, PIECE_S), folder / "parts" / film.name
                names = tuple(str(piece.number) for piece in planned.pieces)
                for piece, part in zip(planned.pieces, names, strict=True):
                    done = tasks.label_piece(job(model), film, piece, str(parts / part), model)
                    assert isinstance(done, Done)
                joined = join_film(film, Join(str(parts), names, planned.frames, outputs(folder).of(film)))
                assert isinstance(joined, Done)
        finally:
            os.sched_setaffinity(0, cores)
        return time.perf_counter() - start_s


def on_cluster(client: Any, films: Path, model: Path) -> float:
    """Seconds of the work on a cluster that is up."""
    with fresh() as folder:
        wanted = outputs(folder)
        archive = Archive(client, job(model), films_of([str(films)])[0], wanted, Manifest(wanted.root))
        start_s = time.perf_counter()
        archive.run()
        assert not archive.failures
        return time.perf_counter() - start_s


def hold(core: int) -> None:
    """Runs on a worker. All its threads stay on the core."""
    import psutil as on_worker

    for thread in on_worker.Process().threads():
        os.sched_setaffinity(thread.id, {core})


def command(name: str, *arguments: str) -> None:
    code = f"import sys; from edge.cli.start import {name}; sys.exit({name}())"
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


def loop_of_run_model(clips: Path, model: Path) -> float:
    with fresh() as folder:
        start_s = time.perf_counter()
        for path in sorted(clips.iterdir()):
            to = ["--output", f"labels:{folder / path.stem}", "--output", str(folder / path.name), "--no-hud"]
            command("run_model", str(model), "--source", str(path), *to)
        return time.perf_counter() - start_s


def label_archive(clips: Path, model: Path) -> float:
    with fresh() as folder:
        start_s = time.perf_counter()
        to = ["--output", f"labels:{folder / 'labels'}", "--output", f"overlay:{folder / 'films'}"]
        command("label_archive", str(model), str(clips), *to)
        return time.perf_counter() - start_s


def plan_nothing(*arguments: Any) -> Any:
    pieces = tuple(Piece(number, number or None, number + 1) for number in range(PIECES_A_FILM))
    return Planned({"size": 0, "version": ""}, Plan(pieces, PIECES_A_FILM), frozenset())


def do_nothing(*arguments: Any) -> Any:
    return Done(1, 0.0, "worker")


def nothing(model: Path, count: int) -> tuple[float, float]:
    """Seconds and MB that so many pieces take which do nothing: the loop, Dask's client and its scheduler."""
    real = coordinator.plan_film, coordinator.label_piece, coordinator.join_film
    coordinator.plan_film, coordinator.label_piece, coordinator.join_film = plan_nothing, do_nothing, do_nothing
    try:
        with fresh() as folder, open_cluster("local", 2) as client:
            films = [Film(f"/film/{number}", str(number)) for number in range(max(1, count // PIECES_A_FILM))]
            archive = Archive(client, job(model), films, outputs(folder), Manifest(outputs(folder).root))
            process = psutil.Process()
            before, start_s = process.memory_info().rss, time.perf_counter()
            archive.run()
            return time.perf_counter() - start_s, (process.memory_info().rss - before) / 1e6
    finally:
        coordinator.plan_film, coordinator.label_piece, coordinator.join_film = real


def turns(ways: dict[str, Work], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way, the ways in turns, after one turn that does not count."""
    for work in ways.values():
        work()
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for name, work in ways.items():
            found[name].append(work())
    return found


PLAIN, ONE, TWO = "without Dask, one core", "one worker, one core", "two workers, a core each"
LOOP, ARCHIVE = f"run-model, once for each of {CLIPS} clips", f"label-archive on the {CLIPS} clips"


def pieces(films: Path, model: Path, rounds: int) -> list[Row]:
    with ExitStack() as stack:
        clients = {count: stack.enter_context(open_cluster("local", count)) for count in (1, 2)}
        for client in clients.values():
            stack.enter_context(sent(client, model.read_bytes(), sha256(model.read_bytes()).hexdigest()))
            for core, worker in enumerate(client.scheduler_info()["workers"]):
                client.run(hold, sorted(os.sched_getaffinity(0))[core], workers=[worker])
        ways: dict[str, Work] = {
            PLAIN: lambda: without_dask(films, model),
            ONE: lambda: on_cluster(clients[1], films, model),
            TWO: lambda: on_cluster(clients[2], films, model),
        }
        found = turns(ways, rounds)
    return [
        row(PLAIN, found[PLAIN], "s", base=found[PLAIN]),
        aimed(row(ONE, found[ONE], "s", base=found[PLAIN]), at_least=1 / 1.05, of="ratio"),
        aimed(row(TWO, found[TWO], "s", base=found[ONE], against="one worker"), at_least=1.8, of="ratio"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pieces", type=int, default=5_000)
    options = parser.parse_args()
    with benchmark("archive", "Archives of films on a cluster", "times as fast") as entry, fresh() as folder:
        entry.about = (
            f"MobileNetV2 int8 {SIZE_HW[0]}x{SIZE_HW[1]} on {FILMS} films of {FILM_S} s, in pieces of {PIECE_S:g} s, "
            "labels and overlay. The ratio of one worker is to the way without Dask, that of two to one worker, that "
            "of label-archive to the loop."
        )
        model = folder / "model.tflite"
        shutil.copy(files(MOBILENET, SIZE_HW, 16, "int8")["int8"], model)
        for number in range(FILMS):
            clip(folder / "films" / f"{number}.mp4", FILM_S)
        first = clip(folder / "clips" / "00.mp4", CLIP_S)
        for number in range(1, CLIPS):
            shutil.copy(first, first.with_name(f"{number:02d}.mp4"))
        entry.rows += pieces(folder / "films", model, options.rounds)
        ways: dict[str, Work] = {
            LOOP: lambda: loop_of_run_model(folder / "clips", model),
            ARCHIVE: lambda: label_archive(folder / "clips", model),
        }
        found = turns(ways, max(1, options.rounds // 2))
        entry.rows += [row(LOOP, found[LOOP], "s"), row(ARCHIVE, found[ARCHIVE], "s", base=found[LOOP])]
        seconds, megabytes = nothing(model, options.pieces)
        more = {"memory": f"{megabytes:.0f} MB more", "a_piece": f"{seconds / options.pieces * 1e3:.2f} ms"}
        entry.rows.append(row(f"{options.pieces:,} pieces that do nothing", [seconds], "s", **more))


if __name__ == "__main__":
    main()
