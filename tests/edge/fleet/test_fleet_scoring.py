"""Pictures that are scored on a cluster give the figures of one process, to the last bit."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from deaths import deadly
from films import write_film

from edge.card import Card, attach
from edge.classes import ClassSet
from edge.cli.evaluate_model import main
from edge.cluster import spread as spread_module
from edge.cluster.models import sent
from edge.cluster.segmenters import SentModel
from edge.data import Ids, Pixels
from edge.errors import ClusterError, ModelError, SourceError
from edge.evaluation.report import as_csv, as_dict
from edge.evaluation.samples import Sample, SampleSet, open_samples
from edge.evaluation.scoring import Evaluation, Reference, evaluate
from edge.fleet.scoring import ScoringJob, run
from edge.preprocess import DEEPLAB, Normalisation
from edge.segmenter import Segmenter

CLASSES = ClassSet(("road", "car", "sky"), ((128, 64, 128), (0, 0, 142), (70, 130, 180)))


@pytest.fixture(scope="module")
def model(tiny_model: Callable[..., bytes], tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    path = tmp_path_factory.mktemp("model") / "tiny.tflite"
    path.write_bytes(attach(tiny_model(), Card("tiny", "float32", (9, 17), 2, DEEPLAB, "logits", CLASSES)))
    return Segmenter(path, threads=1)


@pytest.fixture(scope="module")
def other(tiny_model: Callable[..., bytes], tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    """Another model in a file of the same name, which sees more red than there is."""
    path = tmp_path_factory.mktemp("other") / "tiny.tflite"
    reddish = Normalisation((0.0, 127.5, 127.5), (100.0, 127.5, 127.5))
    path.write_bytes(attach(tiny_model(), Card("tiny", "float32", (9, 17), 2, reddish, "logits", CLASSES)))
    return Segmenter(path, threads=1)


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven pictures with labels that fit the worse the higher their number, one of which is cut off."""
    folder = tmp_path_factory.mktemp("streets")
    for number in range(11):
        chance = np.random.default_rng(number)
        ids: Ids = cv2.resize(chance.integers(0, 3, (3, 5)).astype(np.uint8), (68, 36), interpolation=cv2.INTER_NEAREST)
        pixels: Pixels = (np.eye(3) * 200 + 20).astype(np.uint8)[ids]
        ids[chance.random(ids.shape) < 0.03 * number] = 1
        cv2.imwrite(str(folder / f"{number}.bmp"), np.ascontiguousarray(pixels[:, :, ::-1]))
        cv2.imwrite(str(folder / f"{number}_mask.png"), ids)
    cut = folder / "4.bmp"
    cut.write_bytes(cut.read_bytes()[:20])
    return folder


def labelled(folder: Path) -> SampleSet:
    return open_samples(str(folder), folder, "ids")


def with_samples(samples: SampleSet, each: Sequence[Sample]) -> SampleSet:
    return replace(samples, each=lambda: iter(each))


def on_cluster(client: Any, made: Evaluation, batch: int = 3) -> Evaluation:
    models = [tally.segmenter for tally in made.tallies]
    truth = made.reference.segmenter if made.reference else None
    data = {model: model.path.read_bytes() for model in (*models, *([truth] if truth else []))}
    named = {
        model: SentModel("tiny.tflite", hashlib.sha256(content).hexdigest(), "litert", 1)
        for model, content in data.items()
    }
    job = ScoringJob(
        tuple(named[model] for model in models),
        made.labelling,
        named[truth] if truth else None,
        made.keep_worst,
        made.strict,
    )
    with ExitStack() as stack:
        for sha256, content in {named[model].sha256: content for model, content in data.items()}.items():
            stack.enter_context(sent(client, content, sha256))
        run(client, made, job, batch=batch)
    return made


def in_one_process(made: Evaluation) -> Evaluation:
    made.run()
    return made


def assert_same(found: Evaluation, expected: Evaluation) -> None:
    assert as_dict(found) == as_dict(expected)
    assert as_csv(found) == as_csv(expected)
    for mine, theirs in zip(found.tallies, expected.tallies, strict=True):
        for kept, worst in zip(mine.worst(), theirs.worst(), strict=True):
            for part in ("pixels", "truth", "predicted"):
                assert np.array_equal(getattr(kept, part), getattr(worst, part))


@pytest.mark.parametrize("batch", [1, 3, 50])
def test_figures_are_those_of_one_process(
    client: Any, model: Segmenter, other: Segmenter, streets: Path, batch: int
) -> None:
    expected = in_one_process(evaluate([model, other], labelled(streets), keep_worst=3))
    assert len(expected.samples.left_out.unreadable) == 1
    assert {"10.bmp", "9.bmp"} < {worst.name for worst in expected.tallies[0].worst()}
    assert expected.tallies[0].confusion.counts.tolist() != expected.tallies[1].confusion.counts.tolist()
    found = on_cluster(client, evaluate([model, other], labelled(streets), keep_worst=3), batch)
    assert_same(found, expected)


def test_of_equal_pictures_the_first_are_kept(client: Any, model: Segmenter, streets: Path) -> None:
    (sample, *_) = labelled(streets).each()
    same = [replace(sample, name=f"same {number}") for number in range(7)]
    made = [evaluate([model], with_samples(labelled(streets), same), keep_worst=2) for _ in range(2)]
    assert_same(on_cluster(client, made[0], 2), in_one_process(made[1]))


def test_films_the_demo_and_references_give_the_same_figures(
    client: Any, model: Segmenter, other: Segmenter, streets: Path, tmp_path: Path
) -> None:
    film = write_film(tmp_path / "film.mp4", range(12))
    graph = Reference("a graph", CLASSES, lambda pixels: np.asarray(pixels.argmax(axis=2), np.uint8))
    for source, reference in ((str(film), Reference.of(other)), (str(streets / "[0-9].bmp"), graph)):
        made = [evaluate([model], open_samples(source, None), reference=reference, keep_worst=1) for _ in range(2)]
        expected = in_one_process(made[1])
        assert expected.tallies[0].confusion.pixel_accuracy() > 0.5
        assert_same(on_cluster(client, made[0]), expected)
    frames = range(0, 40, 9)
    drawn = [evaluate([model], open_samples("demo", None, indices=frames), keep_worst=1) for _ in range(2)]
    assert_same(on_cluster(client, drawn[0], 1), in_one_process(drawn[1]))


def test_errors_are_those_of_one_process(client: Any, model: Segmenter, streets: Path, tmp_path: Path) -> None:
    said = []
    for way in (in_one_process, lambda made: on_cluster(client, made)):
        with pytest.raises(SourceError) as strict:
            way(evaluate([model], labelled(streets), strict=True))
        damaged = [sample for sample in labelled(streets).each() if sample.name == "4.bmp"]
        with pytest.raises(SourceError) as nothing:
            way(evaluate([model], with_samples(labelled(streets), damaged)))
        said.append((str(strict.value), str(nothing.value)))
    assert said[0] == said[1]
    assert said[0][0].startswith(str(streets / "4.bmp"))


def test_a_worker_that_dies_costs_nothing_but_time(
    client: Any, model: Segmenter, streets: Path, tmp_path: Path
) -> None:
    expected = in_one_process(evaluate([model], labelled(streets), keep_worst=3))
    samples = list(labelled(streets).each())
    samples[5] = deadly(samples[5], tmp_path / "died")
    found = on_cluster(client, evaluate([model], with_samples(labelled(streets), samples), keep_worst=3))
    assert (tmp_path / "died").exists()
    assert_same(found, expected)


def test_pictures_that_kill_every_worker_end_the_run(client: Any, model: Segmenter, streets: Path) -> None:
    samples = [deadly(next(labelled(streets).each()), None)]
    with pytest.raises(ClusterError, match=r"^scoring ended 2 workers, the last was tcp://127\.0\.0\.1:\d+$"):
        on_cluster(client, evaluate([model], with_samples(labelled(streets), samples)))


def test_a_worker_of_another_version_is_refused(
    client: Any, model: Segmenter, streets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread_module, "installed", lambda name: "9.9")
    with pytest.raises(ClusterError, match=r"has Roadlite 0\.1\.0, this is 9\.9; on it, at this version: pip install"):
        on_cluster(client, evaluate([model], labelled(streets)))


def test_a_model_that_did_not_arrive_is_said(client: Any, model: Segmenter, streets: Path) -> None:
    made = evaluate([model], labelled(streets))
    with pytest.raises(ModelError, match=r"^worker [01]: the model 000000000000 did not arrive"):
        run(client, made, ScoringJob((SentModel("tiny.tflite", "0" * 64, "litert", 1),), made.labelling))


def test_the_command_writes_what_it_writes_without_a_cluster(
    client: Any, model: Segmenter, streets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(model.path), "--source", str(streets), "--labels", str(streets), "--mapping", "ids"]
    said = []
    client.wait_for_workers(2)  # another test has killed some
    for name, more in (("here", []), ("there", ["--cluster", client.scheduler.address])):
        assert main([*arguments, "--output", str(tmp_path / name), *more]) == 0
        said.append(capsys.readouterr())
    assert said[0].out == said[1].out
    assert "on 2 workers\n" in said[1].err
    here, there = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("here", "there"))
    assert here == there
    assert json.loads(here["scores.json"])["pictures"] == 10


@pytest.mark.parametrize(
    ("cluster", "expected", "code"),
    [("cloud", "--cluster: expected local, local:N", 2), ("tcp://127.0.0.1:1", "no scheduler answers", 1)],
)
def test_what_is_no_cluster_is_one_line(
    model: Segmenter,
    streets: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    cluster: str,
    expected: str,
    code: int,
) -> None:
    monkeypatch.setattr("edge.cluster.opening._PATIENCE_S", 0.5)
    arguments = [str(model.path), "--source", str(streets), "--labels", str(streets), "--mapping", "ids"]
    assert main([*arguments, "--cluster", cluster]) == code
    assert expected in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.long
def test_an_interrupt_leaves_the_figures_until_then(model: Segmenter, tmp_path: Path) -> None:
    code = "import sys; from edge.cli.start import evaluate_model; sys.exit(evaluate_model())"
    command = [sys.executable, "-c", code, str(model.path), "--source", "demo", "--cluster", "local:2"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, start_new_session=True, **options) as process:
        time.sleep(8.0)
        os.killpg(process.pid, signal.SIGINT)  # as the keyboard does
        said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Traceback" not in said[1]
    assert "interrupted" in said[1].splitlines()[-1]
