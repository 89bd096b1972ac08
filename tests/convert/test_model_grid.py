from __future__ import annotations

from pathlib import Path

import pytest

from convert import model_grid as grid
from convert.conversion import Outcome
from convert.job import Job
from convert.model_grid import convert_missing
from convert.models.load import FrozenGraph
from convert.verify import Verdict
from edge.errors import ConversionError, UsageError
from edge.segmenter import Segmenter

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROADLITE_CACHE", str(tmp_path))
    return tmp_path / "converted"


def test_a_model_is_converted_and_verified(cache: Path) -> None:
    (path, error), *others = convert_missing("demo", [(33, 65)], ["16"], ["float32"])
    assert (path.name, error, others) == ("demo-33x65-os16-float32.tflite", "", [])
    card = Segmenter(path).card
    assert card.input_hw == (33, 65)
    assert card.provenance["verification"]["fidelity"] >= 0.99
    assert not list(cache.glob(".making-*"))


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """What is asked of the converter, which here writes files at once and finds int8 bad, and stride 8 impossible."""
    asked: list[Job] = []

    def run(frozen: FrozenGraph, job: Job) -> list[Outcome]:
        asked.append(job)
        if job.output_stride == "8":
            raise ConversionError("too large for this machine")
        made = []
        for recipe in job.recipes:
            path = job.output_dir / f"{frozen.name}-{job.input_hw[0]}x{job.input_hw[1]}-os16-{recipe.name}.tflite"
            verdict = Verdict(8, fidelity=0.5 if recipe.name == "int8" else 1.0)
            made.append(Outcome(recipe, path, 1, 1.0, verdict, 0.97, None))
            if made[-1].passed:
                path.write_bytes(b"model")
        return made

    monkeypatch.setattr("convert.conversion.run", run)
    return asked


def test_the_grid_is_converted_once(cache: Path, jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    made = convert_missing("demo", [(65, 129), (33, 65)], ["16", "keep"], ["float32"])
    assert [path.name.split("-")[1] for path, _ in made] == ["65x129", "65x129", "33x65", "33x65"]
    assert all(path.is_file() and path.parent.parent == cache and not error for path, error in made)
    assert len({path for path, _ in made}) == len(jobs) == 4
    assert convert_missing("demo", [(65, 129), (33, 65)], ["16", "keep"], ["float32"]) == made
    assert len(jobs) == 4
    convert_missing("demo", [(33, 65)], ["16"], ["float32", "float16"])
    assert [recipe.name for recipe in jobs[4].recipes] == ["float16"]  # the other one is there
    monkeypatch.setattr(grid, "converter_hash", lambda: "another")
    convert_missing("demo", [(33, 65)], ["16"], ["float32"])
    assert len(jobs) == 6  # a converter that has changed converts again


def test_what_cannot_be_made_is_a_reason(cache: Path, jobs: list[Job]) -> None:
    made = convert_missing("demo", [(33, 65)], ["16"], ["int8", "float32"])
    assert made[0] == (Path("demo-33x65-os16-int8.tflite"), "not good enough: int8 0.5000 < 0.97")
    assert made[1][0].is_file()
    large = convert_missing("demo", [(33, 65)], ["8"], ["float32"])
    assert large[0][1] == "too large for this machine"


@pytest.mark.parametrize(
    ("size", "stride", "recipe"),
    [((33, 65), "7", "int8"), ((33, 65), "16", "int4"), ((34, 65), "16", "int8")],
)
def test_bad_lists(cache: Path, size: tuple[int, int], stride: str, recipe: str) -> None:
    with pytest.raises(UsageError):
        convert_missing("demo", [size], [stride], [recipe])
