from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from convert.demo import train
from convert.demo.builder import Architecture, build
from convert.demo.data import CROP_HW, FULL_HW, Batch, Recipe, batch, class_ious, confusion, disturb
from convert.demo.teacher import views, vote
from edge.data import IGNORE

pytestmark = pytest.mark.tensorflow
DEMO = Path(train.__file__).parent


def test_batches_are_fixed_by_recipe_and_step_and_hold_both_scales() -> None:
    recipe = Recipe(seed=5, batch=4)
    pixels, labels = batch(recipe, 2)
    again = batch(recipe, 2)
    np.testing.assert_array_equal(pixels, again[0])
    np.testing.assert_array_equal(labels, again[1])
    assert pixels.shape == (4, *CROP_HW, 3)
    assert labels.shape == (4, 65, 129)
    whole, _ = batch(recipe, 3)
    assert whole.shape == (1, *FULL_HW, 3)
    assert (batch(recipe, 6)[0] != pixels).any()


def test_real_frames_are_mixed_in_with_their_labels(tmp_path: Path) -> None:
    """Left half bright and class 3, right half dark and ignored: pictures and labels must be cut and mirrored alike."""
    frames, labels = np.zeros((1, 90, 160, 3), np.uint8), np.full((1, 90, 160), IGNORE, np.uint8)
    frames[:, :, :80], labels[:, :, :80] = 220, 3
    np.save(tmp_path / "frames.npy", frames)
    np.save(tmp_path / "labels.npy", labels)
    pixels, ids = batch(Recipe(seed=1, batch=4, real=tmp_path, real_share=1.0), 0)
    bright = pixels[:, ::4, ::4].mean(3) > 110
    assert set(np.unique(ids)) == {3, IGNORE}
    assert np.mean(bright == (ids == 3)) > 0.97


def test_colours_are_disturbed_but_never_moved() -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[10:30, 20:50] = (200, 120, 60)
    inside = np.zeros((40, 60), bool)
    inside[12:28, 22:48] = True
    for seed in range(8):
        grey = disturb(picture, np.random.default_rng(seed)).mean(2)
        assert grey[inside].min() > grey[:8].max()


def test_teacher_is_believed_only_where_its_views_agree() -> None:
    picture = np.zeros((6, 8, 3), np.uint8)
    picture[:, :4] = 200
    calls = iter(range(100))

    def shaky(view: np.ndarray) -> np.ndarray:
        ids = np.where(view.mean(2) > 40, 8, 10).astype(np.uint8)
        ids[0] = next(calls) % 4
        ids[1] = 11
        return ids

    winners = vote(shaky, picture)
    assert len(list(views(picture))) == 16
    assert (winners[2:, :4] == 8).all(), "mirrored views are mirrored back"
    assert (winners[2:, 4:] == 10).all()
    assert (winners[:2] == IGNORE).all()


def test_iou_counts_what_it_should() -> None:
    truth = np.array([[0, 0, 1, IGNORE]], np.uint8)
    found = np.array([[0, 1, 1, 2]], np.int64)
    ious = class_ious(confusion(truth, found, 4))
    np.testing.assert_allclose(ious, [0.5, 0.5, np.nan, np.nan])


def test_training_learns_saves_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "ARCHITECTURE", Architecture(width=0.25, crop_hw=FULL_HW))
    rng = np.random.default_rng(0)
    ids = np.repeat(np.repeat(rng.integers(0, 3, (2, 5, 9)), 4, 1), 4, 2).astype(np.uint8)[:, :17, :33]
    pixels = np.repeat(np.repeat(ids, 4, 1), 4, 2)[:, :65, :129, None] * np.array([90, 40, 110], np.uint8)
    asked: list[tuple[int, int]] = []

    def batches(recipe: Recipe, first: int, last: int) -> Iterator[Batch]:
        asked.append((first, last))
        return ((pixels, ids) for _ in range(first, last))

    monkeypatch.setattr(train, "batches", batches)
    monkeypatch.setattr(train, "FROZEN", 0)  # one graph to trace instead of two
    lines: list[str] = []
    path = tmp_path / "deep" / "checkpoint.npz"

    def trainer() -> train.Trainer:
        return train.Trainer(0, np.ones(19, np.float32), 4e-3, path)

    first = trainer()
    assert not first.resume()
    first.history.append("from step 0: a command")
    first.run(Recipe(0, 4), 20, lines.append, save_every=10)
    losses = [float(line.split("loss ")[1].split()[0]) for line in lines]
    assert 0 < losses[1] < 0.7 * losses[0]
    second = trainer()
    assert second.resume()
    assert second.history == ["from step 0: a command"]
    for name, value in first.network.weights().items():
        np.testing.assert_array_equal(value, second.network.weights()[name])
    second.run(Recipe(0, 4), 20, lines.append)
    assert asked == [(0, 20), (20, 20)]


@pytest.mark.skipif(not (DEMO / "demo.pb").exists(), reason="the demo graph is not trained yet")
def test_committed_graph_is_what_its_card_says() -> None:
    card = json.loads((DEMO / "demo.json").read_text())
    data = (DEMO / "demo.pb").read_bytes()
    assert len(data) < 3e6
    graph_def = tf.compat.v1.GraphDef.FromString(data)
    weights = {n.name: tf.make_ndarray(n.attr["value"].tensor) for n in graph_def.node if n.op == "Const"}
    arch = Architecture(**{**card["architecture"], "crop_hw": tuple(card["architecture"]["crop_hw"])})
    assert build(arch, weights) == graph_def
    measured = train.measure(weights, size=6)
    for stride in ("stride_8", "stride_16"):
        assert measured[stride]["pixel_accuracy"] > card["measured"][stride]["pixel_accuracy"] - 0.12
