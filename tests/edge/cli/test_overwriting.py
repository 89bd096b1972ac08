"""No command writes over what it reads, nor says that it wrote what is not there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from edge.cli import compare_models, evaluate_model, run_model


@pytest.fixture
def place(tmp_path: Path, tiny_model: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, pictures, their labels and a film, in which the command is started."""
    (tmp_path / "model.tflite").write_bytes(tiny_model())
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    for folder in ("pictures", "truth"):
        (tmp_path / folder).mkdir()
    for name in ("000000", "a"):
        cv2.imwrite(str(tmp_path / "pictures" / f"{name}.png"), picture)
        cv2.imwrite(str(tmp_path / "truth" / f"{name}.png"), picture[:, :, 0] % 2)
    with av.open(str(tmp_path / "film.mp4"), "w") as film:
        stream = film.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(3):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        film.mux(stream.encode())
    (tmp_path / "names.txt").write_text("".join(f"class {n}\n" for n in range(3)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


RUN = ["model.tflite", "--normalise", "deeplab", "--classes", "names.txt"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--source", "film.mp4", "--output", "film.mp4"],
        ["--source", "film.mp4", "--output", "null", "--output", "./pictures/../film.mp4"],
        ["--source", "film.mp4", "--output", "o.mp4", "--stats", "film.mp4"],
        ["--source", "film.mp4", "--output", "o.mp4", "--stats", "o.mp4"],
        ["--source", "film.mp4", "--output", "o.mp4", "--stats", "model.tflite"],
        ["--source", "film.mp4", "--output", "null", "--stats", "names.txt"],
        ["--source", "pictures", "--output", "pictures"],
        ["--source", "pictures/*.png", "--output", "pictures/"],
        ["--source", "pictures", "--output", "labels:pictures"],
        ["--source", "pictures", "--output", "labels:pictures?ids=trainIds"],
        ["--source", "pictures", "--output", "pictures/%06d.png"],
        ["--source", "pictures/a.png", "--output", "pictures/a.png"],
        ["--source", "film.mp4", "--output", "out/", "--output", "labels:out"],
    ],
)
def test_run_model_keeps_what_it_reads(place: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(place)
    assert run_model.main([*RUN, *arguments]) == 2
    assert contents(place) == before
    [line] = capsys.readouterr().err.splitlines()
    assert "would write over" in line
    assert "choose another name" in line


def test_evaluate_model_keeps_what_it_reads(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(place)
    known = [*RUN, "--source", "pictures", "--labels", "truth", "--output"]
    for folder in ("pictures", "truth"):
        assert evaluate_model.main([*known, folder]) == 2
        assert "would write over" in capsys.readouterr().err
    assert contents(place) == before
    (place / "scores.json").write_text('{"values": {"0": "class 0", "1": "class 1"}}')
    assert evaluate_model.main([*known, ".", "--mapping", "scores.json"]) == 2
    assert "would write over scores.json" in capsys.readouterr().err


def test_compare_models_keeps_the_baseline(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    timed = [*RUN, "--source", "pictures", "--seconds", "0.01", "--min-runs", "2", "--output", "report"]
    assert compare_models.main(timed) == 0
    before = contents(place)
    assert compare_models.main([*timed, "--baseline", "report/report.json"]) == 2
    assert "would write over report/report.json" in capsys.readouterr().err
    assert contents(place) == before


LIMITED = (
    "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500));"
    "from edge.cli.run_model import main; sys.exit(main())"
)


def test_wrote_is_said_of_what_is_there(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Of a film that the full disk took nothing of, nothing is said; of pictures that it took, they are."""
    outputs = ["--output", "o.mp4", "--output", "labels:ids", "--output", "shown.png"]
    command = [sys.executable, "-c", LIMITED, *RUN, "--source", "film.mp4", "--limit", "1", *outputs]
    subprocess.run(command, check=False, cwd=place)
    [said] = [line for line in capfd.readouterr().err.splitlines() if line.startswith("wrote ")]
    assert said == "wrote ids"
    assert (place / "ids" / "000000.png").is_file()
    assert not (place / "o.mp4").exists()


def test_one_output_that_fails_wrote_nothing(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-c", LIMITED, *RUN, "--source", "film.mp4", "--output", "o.mp4"]
    assert subprocess.run(command, check=False, cwd=place).returncode == 1
    assert "wrote" not in capfd.readouterr().err
