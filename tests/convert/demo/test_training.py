from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from keras import ops

from convert.demo import network, publish, train
from convert.demo.checkpoint import weights_of
from convert.demo.data import CROP_HW, FULL_HW, Batch, Recipe, batch, batches, disturb
from convert.demo.losses import OVERLAP, SegmentationLoss, overlap_loss, upsample
from convert.demo.teacher import BELIEVED, label_frames, views, vote
from convert.networks.architecture import Architecture
from convert.networks.mobilenet import build
from convert.tensorflow import tf
from edge.data import IGNORE
from edge.errors import SourceError

pytestmark = pytest.mark.tensorflow


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
    frame, labels = np.zeros((90, 160, 3), np.uint8), np.full((90, 160), IGNORE, np.uint8)
    frame[:, :80], labels[:, :80] = (220, 160, 160), 3  # blue in a file of OpenCV's
    cv2.imwrite(str(tmp_path / "a.jpg"), frame)
    cv2.imwrite(str(tmp_path / "a.png"), labels)
    pixels, ids = batch(Recipe(seed=1, batch=4, real=tmp_path, real_share=1.0), 0)
    bright = pixels[:, ::4, ::4].mean(3) > 110
    assert set(np.unique(ids)) == {3, IGNORE}
    assert np.mean(bright == (ids == 3)) > 0.97
    red, _, blue = np.moveaxis(pixels[:, ::4, ::4][ids == 3].astype(int), -1, 0)
    assert np.mean(blue > red) > 0.9


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


def test_batches_of_other_processes_are_the_same_and_begin_anywhere() -> None:
    recipe = Recipe(seed=5, batch=4)
    drawn = list(batches(recipe, 15, 18))
    assert len(drawn) == 3
    for step, (pixels, labels) in enumerate(drawn, 15):
        expected = batch(recipe, step)
        np.testing.assert_array_equal(pixels, expected[0])
        np.testing.assert_array_equal(labels, expected[1])


def test_logits_are_upsampled_as_in_the_graph() -> None:
    logits = np.random.default_rng(0).normal(size=(2, 5, 9, 3)).astype(np.float32)
    expected = tf.raw_ops.ResizeBilinear(images=logits, size=[17, 33], align_corners=True)
    np.testing.assert_allclose(ops.convert_to_numpy(upsample(logits, 17, 33)), expected, atol=1e-5)


def test_loss_ignores_what_has_no_label_and_weighs_classes() -> None:
    labels = np.array([[[0, 1], [1, IGNORE]]], np.uint8)
    logits = np.zeros((1, 2, 2, 2), np.float32)
    logits[0, 1, 1] = (50, -50)
    log_half = float(np.log(2))
    overlap = 1 - (0.5 / (1.5 + 1 - 0.5) + 1 / (1.5 + 2 - 1)) / 2
    even = float(SegmentationLoss(np.ones(2, np.float32))(labels, logits))
    assert even == pytest.approx(log_half + OVERLAP * overlap, abs=1e-5)
    logits[0, 0, 0] = (-1, 1)  # class 0 is found worse
    heavy = float(SegmentationLoss(np.array([9, 1], np.float32))(labels, logits))
    assert heavy > float(SegmentationLoss(np.array([1, 9], np.float32))(labels, logits)) + 1


def test_overlap_loss_is_nothing_where_all_is_found() -> None:
    truth = np.eye(3, dtype=np.float32)[[[[0, 0], [0, 2]]]]
    assert float(overlap_loss(truth * 100, truth)) == pytest.approx(0, abs=1e-5)
    assert float(overlap_loss(np.roll(truth, 1, -1) * 100, truth)) == pytest.approx(1, abs=1e-5)


@pytest.mark.long
def test_training_learns_saves_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "ARCHITECTURE", Architecture(width=0.25, crop_hw=FULL_HW))
    rng = np.random.default_rng(0)
    ids = np.repeat(np.repeat(rng.integers(0, 3, (2, 5, 9)), 4, 1), 4, 2).astype(np.uint8)[:, :17, :33]
    pixels = np.repeat(np.repeat(ids, 4, 1), 4, 2)[:, :65, :129, None] * np.array([90, 40, 110], np.uint8)
    asked: list[tuple[int, int]] = []

    def same(recipe: Recipe, first: int, last: int) -> Iterator[Batch]:
        asked.append((first, last))
        return ((pixels, ids) for _ in range(first, last))

    monkeypatch.setattr(train, "batches", same)
    lines: list[str] = []
    path = tmp_path / "deep" / "demo.weights.h5"

    def trainer() -> train.Trainer:
        return train.Trainer(0, path, np.ones(19, np.float32))

    first = trainer()
    assert not first.resume()
    first.history.append("from step 0: a command")
    first.run(Recipe(0, 4), 20, 4e-3, lines.append, save_every=10)
    losses = [float(line.split("loss ")[1].split()[0]) for line in lines]
    assert 0 < losses[1] < 0.7 * losses[0]
    second = trainer()
    assert second.resume()
    assert second.history == ["from step 0: a command"]
    assert second.step == 20
    for name, value in first.network.arrays().items():
        np.testing.assert_array_equal(value, second.network.arrays()[name])
    for one, other in zip(first.optimizer.variables, second.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one.value, other.value)
    second.run(Recipe(0, 4), 30, 4e-3, lines.append, save_every=10)
    assert asked == [(0, 20), (20, 30)]
    assert float(lines[-1].split("loss ")[1].split()[0]) < losses[1]


@pytest.mark.parametrize(("stride", "rate"), [(1, 1), (2, 1), (1, 2)])
def test_shifted_pictures_add_up_to_the_depthwise_convolution(
    stride: int, rate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(1)
    x = tf.constant(random.normal(size=(2, 9, 17, 5)).astype(np.float32))
    kernel = tf.constant(random.normal(size=(3, 3, 5, 1)).astype(np.float32))
    expected = network._depthwise(x, kernel, stride, rate)
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    np.testing.assert_allclose(network._depthwise(x, kernel, stride, rate), expected, atol=1e-5)


def test_batches_are_normalised_alike_on_all_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    x, gamma, beta = (tf.constant(random.normal(size=size).astype(np.float32)) for size in ((4, 9, 17, 5), (5,), (5,)))
    fused, mean, variance = network._batch_norm(x * 3 + 1, gamma, beta, 1e-3)
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    plain, plain_mean, plain_variance = network._batch_norm(x * 3 + 1, gamma, beta, 1e-3)
    np.testing.assert_allclose(plain, fused, atol=1e-4)
    np.testing.assert_allclose(plain_mean, mean, atol=1e-5)
    np.testing.assert_allclose(plain_variance, variance, rtol=1e-2)  # TensorFlow divides by one less


@pytest.mark.long
def test_training_that_is_interrupted_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train, "ARCHITECTURE", Architecture(width=0.25, crop_hw=FULL_HW))
    monkeypatch.setattr(train, "class_weights", lambda *_: np.ones(19, np.float32))

    def interrupted(*_: object) -> Iterator[Batch]:
        yield np.zeros((1, 65, 129, 3), np.uint8), np.zeros((1, 17, 33), np.uint8)
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "batches", interrupted)
    path = tmp_path / "demo.weights.h5"
    assert train.main(["--checkpoint", str(path), "--steps", "9"]) == 130
    assert "interrupted at step 1; the same command goes on" in capsys.readouterr().err
    again = train.Trainer(1, path, np.ones(19, np.float32))
    assert again.resume()
    assert again.step == 1


def test_training_begins_with_a_graph_and_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "HELD_OUT", 1)
    path = tmp_path / "demo.weights.h5"
    trainer = train.Trainer(7, path, np.ones(19, np.float32))
    trainer.history += train.begin_with(publish.DEMO, trainer.network)
    trainer.save()
    publish.publish(path, tmp_path / "again.pb")
    made, given = weights_of(tmp_path / "again.pb"), weights_of(publish.DEMO)
    assert made.keys() == given.keys()
    for name, value in given.items():
        np.testing.assert_array_equal(made[name], value)
    card = json.loads((tmp_path / "again.json").read_text())
    earlier = json.loads(publish.DEMO.with_suffix(".json").read_text())["commands"]
    assert card["commands"] == [f"earlier: {line}" for line in earlier]
    assert card["measured"]["stride_16"]["miou"] > 0.3


def test_publishing_without_training_says_what_makes_the_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        publish.main(["--checkpoint", str(tmp_path / "no.weights.h5")])
    assert "convert.demo.train makes it" in capsys.readouterr().err


def test_frames_and_their_labels_are_kept_whole_or_not_at_all(
    tmp_path: Path, pictures: Path, float_model: Path
) -> None:
    said: list[str] = []
    label_frames([str(pictures)], float_model, tmp_path / "real", 6, said.append)
    assert sorted(path.name for path in (tmp_path / "real").iterdir()) == [
        "pictures0-000000.jpg",
        "pictures0-000000.png",
        "pictures0-000006.jpg",
        "pictures0-000006.png",
    ]
    labels = cv2.imread(str(tmp_path / "real" / "pictures0-000006.png"), cv2.IMREAD_UNCHANGED)
    assert labels.shape == cv2.imread(str(tmp_path / "real" / "pictures0-000006.jpg")).shape[:2]
    assert set(np.unique(labels)) <= {*BELIEVED.tolist(), IGNORE}
    with pytest.raises(SourceError):
        label_frames([str(pictures), str(tmp_path / "none.mp4")], float_model, tmp_path / "other", 6, said.append)
    assert not (tmp_path / "other").exists()
    label_frames([str(tmp_path / "none.mp4")], float_model, tmp_path / "real", 6, said.append)  # they are there


def test_committed_graph_is_what_its_card_says() -> None:
    card = json.loads(publish.DEMO.with_suffix(".json").read_text())
    data = publish.DEMO.read_bytes()
    assert len(data) < 3e6
    weights = weights_of(publish.DEMO)
    arch = Architecture(**{**card["architecture"], "crop_hw": tuple(card["architecture"]["crop_hw"])})
    assert build(arch, weights).node == tf.compat.v1.GraphDef.FromString(data).node  # its versions are TensorFlow's
    measured = publish.measure(weights, size=6)
    for stride in ("stride_8", "stride_16"):
        assert measured[stride]["pixel_accuracy"] > card["measured"][stride]["pixel_accuracy"] - 0.12
