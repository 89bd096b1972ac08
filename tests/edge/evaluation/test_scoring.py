from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, jaccard_score

from edge.card import Card, attach
from edge.classes import ClassSet
from edge.data import Ids, Pixels
from edge.errors import SourceError, UnreadableFile, UsageError
from edge.evaluation.datasets import KNOWN
from edge.evaluation.labelling import Labelling, LabelPicture
from edge.evaluation.pictures import confusion_picture
from edge.evaluation.report import as_csv, as_dict, write_folder
from edge.evaluation.samples import Sample, SampleSet
from edge.evaluation.scoring import KEPT_PX, Evaluation, Reference, evaluate
from edge.preprocess import DEEPLAB
from edge.progress import Track
from edge.segmenter import Segmenter

CLASSES = ClassSet(("road", "car", "sky"), ((128, 64, 128), (0, 0, 142), (70, 130, 180)))
HW = (36, 68)


@pytest.fixture
def load(tiny_model: Callable[..., bytes], tmp_path: Path) -> Callable[..., Segmenter]:
    """A model that calls a pixel by its strongest colour, red first, with class names of one's own."""

    def make(name: str = "tiny", classes: ClassSet = CLASSES, hw: tuple[int, int] = (9, 17)) -> Segmenter:
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(attach(tiny_model(), Card(name, "float32", hw, 2, DEEPLAB, "logits", classes)))
        return Segmenter(path)

    return make


def street(seed: int, hw: tuple[int, int] = HW) -> Pixels:
    """Areas of red, green and blue."""
    random = np.random.default_rng(seed)
    owner = cv2.resize(random.integers(0, 3, (3, 5)).astype(np.uint8), hw[::-1], interpolation=cv2.INTER_NEAREST)
    return (np.eye(3) * 200 + 20).astype(np.uint8)[owner]


def spoilt(ids: Ids, seed: int) -> Ids:
    """A truth that differs here and there, with ignored pixels."""
    random = np.random.default_rng(seed)
    truth = np.where(random.random(ids.shape) < 0.1 * (seed + 1), random.integers(0, 3, ids.shape), ids)
    return np.where(random.random(ids.shape) < 0.05, 255, truth).astype(np.uint8)


def samples(truths: list[Ids], pictures: list[Pixels], labelling: Labelling = KNOWN["ids"]) -> SampleSet:
    def read(pixels: Pixels, truth: Ids) -> tuple[Pixels, LabelPicture]:
        return pixels, LabelPicture(truth, None)

    made = [Sample(f"street {i}", partial(read, p, t)) for i, (p, t) in enumerate(zip(pictures, truths, strict=True))]
    return SampleSet("streets", labelling, len(made), lambda: iter(made))


@pytest.fixture
def scored(load: Callable[..., Segmenter]) -> Evaluation:
    """Six pictures, the later the worse."""
    segmenter = load()
    pictures = [street(seed) for seed in range(6)]
    truths = [spoilt(segmenter.label(pixels, HW), seed) for seed, pixels in enumerate(pictures)]
    made = evaluate([segmenter], samples(truths, pictures), keep_worst=2)
    made.run()
    return made


def test_figures_equal_those_of_scikit_learn_over_all_pixels(scored: Evaluation) -> None:
    truth, predicted = [], []
    for example in scored.samples.each():
        pixels, raw = example.read()
        known = raw.ids < 3
        truth.append(raw.ids[known])
        predicted.append(scored.tallies[0].segmenter.label(pixels, HW)[known])
    true, guess = np.concatenate(truth), np.concatenate(predicted)
    found = as_dict(scored)
    model = found["models"][0]
    assert (found["pictures"], found["left_out"], model["pixels"]) == (6, [], len(true))
    assert model["pixel_accuracy"] == pytest.approx(accuracy_score(true, guess), abs=1e-6)
    assert model["mean_iou"] == pytest.approx(jaccard_score(true, guess, average="macro"), abs=1e-6)
    assert model["frequency_weighted_iou"] == pytest.approx(jaccard_score(true, guess, average="weighted"), abs=1e-6)
    assert [c["iou"] for c in model["classes"]] == pytest.approx(jaccard_score(true, guess, average=None), abs=1e-6)
    for index, entry in enumerate(model["classes"]):
        assert entry["truth_pixels"] == (true == index).sum()
        assert entry["predicted_pixels"] == (guess == index).sum()
        assert entry["right_pixels"] == ((true == index) & (guess == index)).sum()
        assert 0 < entry["boundary_f"] < 1
    assert np.sum(model["confusion"]) == len(true)
    json.dumps(found, allow_nan=False)


def test_a_row_per_picture_in_order_and_the_worst_are_the_worst(scored: Evaluation) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(scored))))
    assert [row["picture"] for row in rows] == [f"street {i}" for i in range(6)]
    accuracies = [float(row["pixel_accuracy"]) for row in rows]
    lowest = sorted(range(6), key=accuracies.__getitem__)[:2]
    assert [w.name for w in scored.tallies[0].worst()] == [f"street {i}" for i in lowest]
    assert [w.accuracy for w in scored.tallies[0].worst()] == pytest.approx([accuracies[i] for i in lowest], abs=1e-6)
    assert sum(int(row["pixels"]) for row in rows) == scored.tallies[0].confusion.counts.sum()
    for row in rows:
        own = [float(row[name]) for name in CLASSES.names]
        assert float(row["mean_iou"]) == pytest.approx(np.mean(own), abs=1e-5)


def test_labels_of_another_size_than_the_picture(load: Callable[..., Segmenter]) -> None:
    segmenter, pixels = load(), street(1)
    truth = segmenter.label(pixels, (72, 136))
    made = evaluate([segmenter], samples([truth], [pixels]))
    made.run()
    assert made.tallies[0].confusion.counts.sum() == 72 * 136
    assert as_dict(made)["models"][0]["mean_iou"] == 1


def test_padded_pictures_with_small_labels(load: Callable[..., Segmenter]) -> None:
    """Which part of a padded input is the picture depends on the picture's size, not on that of its labels."""
    segmenter = Segmenter(load().path, fit="pad")
    halves = np.zeros((68, 36, 3), np.uint8)
    halves[:34, :, 0], halves[34:, :, 2] = 200, 200
    assert segmenter.label(halves, (6, 4)).tolist() == [[0] * 4] * 3 + [[2] * 4] * 3


def test_models_side_by_side_by_the_names_of_their_classes(load: Callable[..., Segmenter]) -> None:
    """The same network with classes in another order, one of which the truth does not know."""
    other = ClassSet(("Sky", "moon", "ROAD"), CLASSES.colours)
    models = [load("one"), load("two", other)]
    pixels = street(2)
    truth = models[0].label(pixels, HW)
    labelling = Labelling("by name", values={0: "road", 1: "car", 2: "sky", 255: None})
    made = evaluate(models, samples([truth], [pixels], labelling))
    made.run()
    one, two = as_dict(made)["models"]
    assert (one["mean_iou"], one["ignored_classes"]) == (1, [])
    assert two["ignored_classes"] == ["car"]
    assert [entry["name"] for entry in two["classes"]] == ["Sky", "ROAD"], "what cannot be true is not counted"
    assert two["mean_iou"] == 0
    assert two["pixels"] == np.isin(truth, [0, 2]).sum()


def test_a_prediction_that_the_truth_cannot_be_is_wrong(load: Callable[..., Segmenter]) -> None:
    segmenter, pixels = load(), street(4)
    predicted = segmenter.label(pixels, HW)
    labelling = Labelling("two", values={0: "road", 2: "sky"})
    truth = np.where(predicted == 1, 0, predicted).astype(np.uint8)
    made = evaluate([segmenter], samples([truth], [pixels], labelling))
    made.run()
    road, sky = as_dict(made)["models"][0]["classes"]
    assert sky["iou"] == 1
    assert road["iou"] == pytest.approx((predicted == 0).sum() / (truth == 0).sum(), abs=1e-6)
    assert made.tallies[0].confusion.pixel_accuracy() == pytest.approx((predicted != 1).mean())


def test_merged_classes_count_as_one_in_truth_and_prediction(load: Callable[..., Segmenter]) -> None:
    segmenter, pixels = load(), street(3)
    predicted = segmenter.label(pixels, HW)
    swapped = np.array([1, 0, 2], np.uint8)[predicted]
    labelling = Labelling("m", values={0: "road", 1: "car", 2: "sky"}, merge={"car": "road"})
    made = evaluate([segmenter], samples([swapped], [pixels], labelling), keep_worst=1)
    made.run()
    assert (made.tallies[0].worst()[0].predicted != 1).all(), "shown as it is counted"
    model = as_dict(made)["models"][0]
    assert [entry["name"] for entry in model["classes"]] == ["road", "sky"]
    assert (model["mean_iou"], model["pixel_accuracy"]) == (1, 1)


def test_only_some_classes_as_the_driveseg_tutorial_counts(load: Callable[..., Segmenter]) -> None:
    """Accuracy over all pixels; IoU without those where either is another class."""
    segmenter, pixels = load(), street(3)
    predicted = segmenter.label(pixels, HW)
    truth = spoilt(predicted, 3)
    labelling = Labelling("m", values={0: "road", 1: "car", 2: "sky", 255: None}, only=("road", "car"))
    made = evaluate([segmenter], samples([truth], [pixels], labelling))
    made.run()
    known = truth < 3
    inner = known & (truth < 2) & (predicted < 2)
    model = as_dict(made)["models"][0]
    assert model["pixel_accuracy"] == pytest.approx((truth == predicted)[known].mean(), abs=1e-6)
    assert model["mean_iou"] == pytest.approx(jaccard_score(truth[inner], predicted[inner], average="macro"), abs=1e-6)


def test_a_reference_takes_the_place_of_the_truth(load: Callable[..., Segmenter]) -> None:
    segmenter, pictures = load(), [street(7), street(8)]
    nothing = SampleSet(
        "s",
        Labelling("reference"),
        2,
        lambda: iter([Sample(str(i), partial(lambda p: (p, None), p)) for i, p in enumerate(pictures)]),
    )
    same = evaluate(
        [segmenter],
        nothing,
        reference=Reference("r", segmenter.card.classes, lambda p: segmenter.label(p, (50, 60))),
    )
    same.run()
    assert (same.pictures, same.tallies[0].confusion.counts.sum()) == (2, 2 * 50 * 60)
    assert as_dict(same)["models"][0]["pixel_accuracy"] == 1
    unnamed = ClassSet(("class 0", "class 1", "class 2"), CLASSES.colours)
    by_count = evaluate([segmenter], nothing, reference=Reference("r", unnamed, lambda p: segmenter(p).ids))
    by_count.run()
    assert as_dict(by_count)["models"][0]["mean_iou"] == 1
    two = ClassSet(("sky", "car"), CLASSES.colours[:2])  # as ids 0 and 1
    by_name = evaluate(
        [segmenter],
        nothing,
        reference=Reference("r", two, lambda p: np.array([255, 1, 0], np.uint8)[segmenter(p).ids]),
    )
    by_name.run()
    model = as_dict(by_name)["models"][0]
    assert {entry["name"]: entry["iou"] for entry in model["classes"]} == {"car": 1, "sky": 1}


def failing(_: object = None) -> tuple[Pixels, LabelPicture]:
    raise UnreadableFile("x.png", "the picture is damaged")


def test_bad_pictures_are_left_out_and_named(load: Callable[..., Segmenter]) -> None:
    segmenter, pixels = load(), street(1)
    good = samples([segmenter.label(pixels, HW)], [pixels])
    stranger = samples([np.full(HW, 77, np.uint8)], [pixels])
    made = evaluate(
        [segmenter],
        SampleSet("s", KNOWN["ids"], None, lambda: iter([Sample("x.png", failing), *stranger.each(), *good.each()])),
    )
    made.run()
    assert made.pictures == 1
    assert [name for name, _ in made.samples.left_out.unreadable] == ["x.png", "street 0"]
    assert "value 77 stands for no class" in as_dict(made)["left_out"][1]["reason"]
    none = evaluate([segmenter], SampleSet("s", KNOWN["ids"], 1, lambda: iter([Sample("x.png", failing)])))
    with pytest.raises(SourceError, match=r"^s: its only picture cannot be taken; x.png: the picture is damaged"):
        none.run()


def test_truth_without_a_class_of_the_model_is_refused(load: Callable[..., Segmenter]) -> None:
    moon = Labelling("m", values={0: "moon"})
    with pytest.raises(UsageError, match="moon is no class of the model, which has road, car, sky"):
        evaluate([load()], samples([], [], moon))


def test_an_interrupt_keeps_what_was_counted(load: Callable[..., Segmenter]) -> None:
    segmenter = load()
    pictures = [street(seed) for seed in range(12)]
    truths = [segmenter.label(pixels, HW) for pixels in pictures]

    def ctrl_c(items, what, total=None):  # type: ignore[no-untyped-def]
        for index, item in enumerate(items):
            if index == 10:
                raise KeyboardInterrupt
            yield item

    track: Track = ctrl_c
    made = evaluate([segmenter, load("two")], samples(truths, pictures))
    with pytest.raises(KeyboardInterrupt):
        made.run(track)
    assert 0 < made.pictures < 11
    assert [len(tally.pictures) for tally in made.tallies] == [made.pictures] * 2
    assert made.tallies[0].confusion.counts.sum() == made.pictures * HW[0] * HW[1]


def test_a_picture_without_known_pixels_is_no_worst_one(load: Callable[..., Segmenter]) -> None:
    segmenter, pixels = load(), street(1)
    made = evaluate([segmenter], samples([np.full(HW, 255, np.uint8)], [pixels]), keep_worst=3)
    made.run()
    assert made.tallies[0].worst() == []
    model = as_dict(made)["models"][0]
    assert (model["pixels"], model["mean_iou"]) == (0, None)
    row = next(csv.DictReader(io.StringIO(as_csv(made))))
    assert (row["pixels"], row["pixel_accuracy"], row["mean_iou"]) == ("0", "", "")


def test_folder_of_results(scored: Evaluation, tmp_path: Path) -> None:
    written = write_folder(scored, tmp_path)
    worst = [
        f"tiny-worst-{place}-{w.name.replace(' ', '-')}.png" for place, w in enumerate(scored.tallies[0].worst(), 1)
    ]
    assert [path.name for path in written] == ["scores.json", "pictures.csv", "tiny-confusion.png", *worst]
    assert json.loads((tmp_path / "scores.json").read_text()) == json.loads(json.dumps(as_dict(scored)))
    shown = cv2.cvtColor(cv2.imread(str(written[-1])), cv2.COLOR_BGR2RGB)
    kept = scored.tallies[0].worst()[-1]
    table = CLASSES.table()
    for panel in (kept.pixels, table[kept.truth], table[kept.predicted]):
        assert holds(shown, panel), "picture, truth and prediction are shown as they are"
    wrong = int((shown == (225, 30, 45)).all(axis=2).sum())
    ignored = kept.truth == 255
    assert wrong == ((kept.truth != kept.predicted) & ~ignored).sum()


def holds(picture: Pixels, part: Pixels) -> bool:
    found = cv2.matchTemplate(picture, np.ascontiguousarray(part), cv2.TM_SQDIFF)
    return bool(found.min() < 1)


def test_large_pictures_are_kept_small(load: Callable[..., Segmenter]) -> None:
    segmenter, pixels = load(), street(1, (300, 2000))
    made = evaluate([segmenter], samples([segmenter.label(pixels, (150, 1000))], [pixels]), keep_worst=1)
    made.run()
    kept = made.tallies[0].worst()[0]
    assert kept.pixels.shape == (144, KEPT_PX, 3)
    assert kept.truth.shape == kept.predicted.shape == (144, KEPT_PX)


def test_confusion_picture_is_dark_where_the_share_of_the_row_is_high(scored: Evaluation) -> None:
    confusion = scored.tallies[0].counted_part(scored.tallies[0].confusion)
    confusion.counts[:] = [[90, 10, 0, 0], [0, 0, 0, 0], [1000, 0, 3000, 0]]
    picture = confusion_picture(confusion, CLASSES.names)
    side = 44
    left = np.flatnonzero((picture == (8, 48, 107)).all(axis=2).any(axis=0))
    assert left.size == 0, "nothing is 100 %"
    cells = picture[-2 * 30 - 3 * side : -2 * 30, -30 - 3 * side : -30].astype(int)
    corner = cells[4::side, 4::side].sum(axis=2)
    assert corner[0, 0] < corner[2, 2] < corner[2, 0] < corner[0, 1] < corner[0, 2]
    assert (corner[1] == 3 * 255).all(), "a class that is not in the truth has no shares"
    confusion.counts[0, -1] = 5
    assert confusion_picture(confusion, CLASSES.names).shape[1] >= picture.shape[1] + side, "no class, when predicted"
