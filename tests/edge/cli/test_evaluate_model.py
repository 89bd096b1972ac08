from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import signal
import struct
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from edge import card as cards
from edge.classes import CITYSCAPES, VOC
from edge.cli import evaluate_model, workstation
from edge.cli.evaluate_model import main
from edge.cli.run_model import main as run_model
from edge.errors import RuntimeMissing
from edge.evaluation.datasets import KINDS, parse
from edge.progress import silent
from edge.segmenter import Segmenter

DOCS = (Path(__file__).parents[3] / "docs" / "evaluating.md").read_text()


def only_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("evaluate-model: ")]
    assert len(lines) == 1
    assert "Traceback" not in text
    return lines[0]


@pytest.fixture
def labelled(int8_model: Path, pictures: Path, tmp_path: Path) -> Path:
    """A folder of what the model itself says about the pictures, with one wrong and one ignored row each."""
    segment, folder = Segmenter(int8_model), tmp_path / "truth"
    folder.mkdir()
    for path in sorted(pictures.iterdir()):
        ids = segment(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)).ids
        ids[0], ids[1] = (ids[0] + 1) % 19, 255
        cv2.imwrite(str(folder / f"{path.stem}_labelTrainIds.png"), ids)
    return folder


def figures(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert main([*map(str, arguments), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_two_models_on_a_folder(
    float_model: Path,
    int8_model: Path,
    pictures: Path,
    labelled: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "new" / "scores"
    found = figures(
        capsys, int8_model, float_model, "--source", pictures, "--labels", labelled, "--output", out, "--worst", 2
    )
    assert (found["pictures"], found["labelling"]) == (12, "cityscapes")
    same, other = found["models"]
    assert [m["model"] for m in found["models"]] == [int8_model.name, float_model.name]
    assert same["pixel_accuracy"] == pytest.approx(94 / 95)
    assert same["pixels"] == 12 * 95 * 160
    assert 0.3 < other["pixel_accuracy"] < same["pixel_accuracy"]
    assert json.loads((out / "scores.json").read_text()) == found
    assert len(list(csv.DictReader(io.StringIO((out / "pictures.csv").read_text())))) == 24
    assert len(list(out.glob("*-confusion.png"))) == 2
    assert len(list(out.glob("*-worst-*.png"))) == 4


def test_table_fits_80_columns(
    int8_model: Path, float_model: Path, pictures: Path, labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--source", str(pictures), "--labels", str(labelled)]
    for models in ([int8_model], [int8_model, float_model]):
        assert main([*map(str, models), *arguments]) == 0
        text = capsys.readouterr().out
        assert max(map(len, text.splitlines()[1:])) <= 80
        for name in ("mIoU", "in truth", "acc", "fwIoU", "BF", "road", int8_model.name):
            assert name in text
        assert "0.9895" in text


@pytest.mark.tensorflow  # the model is of this environment: each OpenCV draws the demo a little differently
def test_demo_gives_the_miou_that_conversion_measured(int8_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = cards.read(int8_model.read_bytes(), "x")
    assert card is not None
    verification = card.provenance["verification"]
    if "demo" not in verification["held_out"]:
        pytest.skip("needs the trained demo graph")
    frames = ",".join(map(str, verification["held_out"]["demo"]))
    found = figures(capsys, int8_model, "--source", "demo", "--frames", frames)
    assert found["pictures"] == verification["frames"]
    assert found["models"][0]["mean_iou"] == pytest.approx(verification["mean_iou"], abs=1e-5)


def test_against_another_model_and_itself(
    int8_model: Path, float_model: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = figures(capsys, int8_model, float_model, "--source", pictures, "--reference", float_model)
    assert found["labelling"] == f"labels of {float_model.name}"
    other, itself = found["models"]
    assert (itself["pixel_accuracy"], itself["mean_iou"]) == (1, 1)
    assert other["pixel_accuracy"] < 1


@pytest.mark.tensorflow
def test_against_the_frozen_graph_is_what_conversion_calls_stock(
    int8_model: Path, float_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = cards.read(int8_model.read_bytes(), "x")
    assert card is not None
    verification = card.provenance["verification"]
    if "demo" not in verification["held_out"]:
        pytest.skip("needs the trained demo graph")
    frames = ",".join(map(str, verification["held_out"]["demo"]))
    found = figures(capsys, int8_model, "--source", "demo", "--frames", frames, "--reference", "demo")
    assert found["models"][0]["pixel_accuracy"] == pytest.approx(verification["shrinking"], abs=2e-5)


def test_without_tensorflow_a_graph_as_reference_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "convert.reference", None)
    with pytest.raises(RuntimeMissing, match=r"g.pb: .* pip install .*tensorflow>="):
        workstation.frozen_reference("g.pb", fit="stretch", norm=None, track=silent, notice=print)


def test_labels_that_run_model_wrote_are_the_truth(
    int8_model: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    street = tmp_path / "street"
    street.mkdir()
    for number in range(3):
        cv2.imwrite(str(street / f"{number}.jpg"), cv2.imread(str(pictures / f"{number}.png")))
    cv2.imwrite(str(street / "2.png"), cv2.imread(str(pictures / "3.png")))
    assert run_model([str(int8_model), "--source", str(street), "--output", f"labels:{tmp_path}/ids"]) == 0
    capsys.readouterr()
    found = figures(capsys, int8_model, "--source", street, "--labels", tmp_path / "ids")
    assert (found["pictures"], found["left_out"], found["models"][0]["pixel_accuracy"]) == (4, [], 1.0)
    assert found["models"][0]["mean_iou"] == 1.0


def test_bad_files_are_left_out_and_none_left_is_an_error(
    int8_model: Path, pictures: Path, labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = sorted(labelled.iterdir())
    for path in labels[:2]:
        path.write_bytes(path.read_bytes()[:60])
    arguments = [str(int8_model), "--source", str(pictures), "--labels", str(labelled), "--mapping", "cityscapes"]
    assert main([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["pictures"] == 10
    assert "2 of 12 pictures were left out" in captured.err
    assert labels[0].name in captured.err
    assert main([*arguments, "--strict"]) == 1
    assert labels[0].name in only_line(capsys.readouterr().err)
    for path in labels:
        path.write_bytes(b"nothing")
    assert main(arguments) == 1
    assert "none of 12 pictures can be taken" in only_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["{model}", "--source", "{pictures}"], 2, "--labels DIR or --reference MODEL"),
        (["{model}", "--source", "{pictures}", "--labels", "{truth}", "--reference", "demo"], 2, "one of them"),
        (["{model}", "--labels", "{truth}"], 2, "--source"),
        (["{model}", "--source", "{pictures}", "--labels", "{truth}", "--mapping", "x"], 2, "expected one of auto"),
        (["{model}", "--source", "{pictures}", "--labels", "{tmp}/none"], 1, "none: expected a folder of label files"),
        (["{model}", "--source", "{pictures}", "--labels", "{truth}", "--frames", "x"], 2, "--frames"),
        (["{model}", "--source", "{pictures}", "--labels", "{truth}", "--frames", "99"], 2, "none of the 12 pictures"),
        (["{model}", "--source", "{pictures}", "--labels", "{truth}", "--worst", "-1"], 2, "--worst"),
        (["{model}", "--source", "{pictures}", "--labels", "{truth}", "--output", "/dev/null/x"], 1, "/dev/null/x"),
        (["{tmp}/none.tflite", "--source", "{pictures}", "--labels", "{truth}"], 1, "no such file"),
        (["{model}", "--source", "{pictures}", "--reference", "{tmp}/none.tflite"], 1, "no such file"),
        pytest.param(
            ["{model}", "--source", "{pictures}", "--reference", "nothing"],
            2,
            "unknown model 'nothing'",
            marks=pytest.mark.tensorflow,
        ),
        pytest.param(
            ["{model}", "--source", "{pictures}", "--reference", "{tmp}/text.pb"],
            1,
            "text: not a frozen",
            marks=pytest.mark.tensorflow,
        ),
        (["{model}", "--source", "{tmp}/text.pb", "--labels", "{truth}"], 1, "expected a video"),
        (
            ["{model}", "--source", "{pictures}", "--labels", "{truth}", "--classes", "voc"],
            1,
            "expected 19 class names",
        ),
        (["{model}", "--source", "demo", "--labels", "{truth}"], 2, "the demo knows its own truth"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    code: int,
    words: str,
    int8_model: Path,
    pictures: Path,
    labelled: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "text.pb").write_text("no graph\n" * 50)
    names = {"model": int8_model, "pictures": pictures, "truth": labelled, "tmp": tmp_path}
    assert main([a.format(**names) for a in arguments]) == code
    captured = capsys.readouterr()
    assert words in only_line(captured.err)
    assert captured.out == ""


@pytest.mark.parametrize("after", [0, 7])
def test_ctrl_c_reports_what_was_scored(
    after: int,
    int8_model: Path,
    pictures: Path,
    labelled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(items: Iterable[Any], what: str, total: int | None = None) -> Iterator[Any]:
        for index, item in enumerate(items):
            if index == after:
                os.kill(os.getpid(), signal.SIGINT)
            yield item

    monkeypatch.setattr(evaluate_model, "bars", interrupted)
    out = tmp_path / "out"
    arguments = ["--source", str(pictures), "--labels", str(labelled), "--output", str(out), "--json"]
    assert main([str(int8_model), *arguments]) == 130
    captured = capsys.readouterr()
    assert "interrupted" in only_line(captured.err)
    if after:
        found = json.loads(captured.out)
        assert 0 < found["pictures"] <= after
        assert json.loads((out / "scores.json").read_text()) == found
    else:
        assert captured.out == ""


def test_real_models_on_a_real_picture(shared: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    """The third-party models; what the labels leave out is road in them, which no model says of poles and rails."""
    images = shared("images/cityscapes_segmentation.bmp").parent
    models = [
        shared("models/coral_deeplab_slim_cityscapes_uint8.tflite"),
        shared("models/tfhub_deeplab_mnv3large_cityscapes_1025x2049.tflite"),
    ]
    found = figures(capsys, *models, "--normalise", "deeplab", "--source", images, "--labels", images)
    assert (found["pictures"], found["models"][0]["pixels"]) == (1, 513 * 513)
    coral, hub = found["models"]
    assert coral["pixel_accuracy"] > 0.91
    assert coral["mean_iou"] > 0.55
    assert hub["pixel_accuracy"] > 0.87
    truth = cv2.imread(str(images / "cityscapes_segmentation_mask.bmp"), cv2.IMREAD_UNCHANGED)
    present = {CITYSCAPES.names[i] for i in np.unique(truth)}
    assert {c["name"] for c in coral["classes"] if c["truth_pixels"]} == present


def test_driveseg_is_counted_as_the_tutorial_counts(
    int8_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its definition written out: merged classes, accuracy over known pixels, then for each of ten classes the pixels
    that both call so over those that either does, among pixels which both put into the ten."""
    chance, frames = np.random.default_rng(5), 4
    (tmp_path / "gt").mkdir()
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for _ in range(frames):
            picture = cv2.resize(chance.integers(0, 256, (6, 10, 3), np.uint8), (160, 96))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    segment, right, known = Segmenter(int8_model), 0, 0
    ten, groups = (0, 1, 2, 5, 6, 7, 8, 9, 11, 13), {14: 13, 15: 13, 3: 2, 4: 2, 12: 11}
    both, either = np.zeros(10), np.zeros(10)
    with av.open(str(tmp_path / "v.mp4")) as container:
        for index, frame in enumerate(container.decode(video=0)):
            predicted = segment(frame.to_ndarray(format="rgb24")).ids
            strange = chance.choice([*range(19), 255], predicted.shape)
            truth = np.where(chance.random(predicted.shape) < 0.4, strange, predicted).astype(np.uint8)
            cv2.imwrite(str(tmp_path / "gt" / f"{index}.png"), truth)
            for true, guess in zip(truth.ravel().tolist(), predicted.ravel().tolist(), strict=True):
                if true == 255:
                    continue
                t, p = groups.get(true, true), groups.get(guess, guess)
                known, right = known + 1, right + (t == p)
                if t in ten and p in ten:
                    both[ten.index(t)] += t == p
                    for one in {t, p}:
                        either[ten.index(one)] += 1
    found = figures(
        capsys, int8_model, "--source", tmp_path / "v.mp4", "--labels", tmp_path / "gt", "--mapping", "driveseg"
    )["models"][0]
    assert (index + 1, found["pixels"]) == (frames, known)
    assert found["pixel_accuracy"] == pytest.approx(right / known, abs=1e-6)
    assert [entry["iou"] for entry in found["classes"]] == pytest.approx((both / either).tolist(), abs=1e-6)
    assert found["mean_iou"] == pytest.approx((both / either).mean(), abs=1e-6)


def documented() -> list[Any]:
    """The command lines of the guide; those with a frozen graph need TensorFlow."""
    lines = [line.strip() for line in DOCS.splitlines() if line.startswith("    evaluate-model ")]
    return [pytest.param(line, marks=[pytest.mark.tensorflow] if ".pb" in line else []) for line in lines]


def save(path: str, pixels: np.ndarray) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(path, pixels)


def voc_png(path: str, ids: np.ndarray) -> None:
    """A palette PNG, which OpenCV cannot write."""
    rows = np.hstack([np.zeros((ids.shape[0], 1), np.uint8), ids])
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, body in (
            (b"IHDR", struct.pack(">IIBBBBB", *ids.shape[::-1], 8, 3, 0, 0, 0)),
            (b"PLTE", np.array(VOC.colours, np.uint8).tobytes()),
            (b"IDAT", zlib.compress(rows.tobytes())),
            (b"IEND", b""),
        ):
            file.write(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)))


@pytest.fixture
def data_sets(int8_model: Path, float_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something small under every name that the documentation uses."""
    monkeypatch.chdir(tmp_path)
    for name in ("model", "int8", "voc", "float32"):
        Path(f"{name}.tflite").write_bytes((float_model if name == "float32" else int8_model).read_bytes())
    random = np.random.default_rng(1)
    picture = cv2.resize(random.integers(0, 256, (6, 10, 3), np.uint8), (80, 48), interpolation=cv2.INTER_CUBIC)
    ids = cv2.resize(random.integers(0, 11, (6, 10)).astype(np.uint8), (80, 48), interpolation=cv2.INTER_NEAREST)
    save("cityscapes/leftImg8bit/val/ulm/ulm_000000_000019_leftImg8bit.png", picture)
    save("cityscapes/gtFine/val/ulm/ulm_000000_000019_gtFine_labelIds.png", ids + 20)
    save("CamVid/701_StillsRaw_full/0001TP_006690.png", picture)
    colours = np.array([(128, 64, 128), (64, 0, 128), (128, 128, 0), (0, 0, 0)], np.uint8)
    save("CamVid/LabeledApproved_full/0001TP_006690_L.png", colours[ids % 4][:, :, ::-1])
    save("CamVid/test/0001TP_008550.png", picture)
    save("CamVid/testannot/0001TP_008550.png", ids)
    save("VOC2012/JPEGImages/2007_000032.jpg", picture)
    save("VOC2012/JPEGImages/2007_000027.jpg", picture)
    voc_png("VOC2012/SegmentationClass/2007_000032.png", ids)
    save("drive/7.png", picture)
    save("drive-labels/7.png", ids % 3)
    for index in range(3):
        save(f"mit_driveseg_sample_gt/{index}.png", np.dstack([ids] * 3))
    for name in ("drive.mp4", "mit_driveseg_sample.mp4"):
        with av.open(name, "w") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 80, 48, "yuv420p"
            for _ in range(3):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
    Path("drive.json").write_text(re.findall(r"```json\n(.*?)```", DOCS, re.DOTALL)[0])


@pytest.mark.usefixtures("data_sets")
@pytest.mark.parametrize("command", documented())
def test_documented_command_runs(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = shlex.split(command)[1:]
    for name, kept in (("--reference", "mobilenetv2.pb"), ("--frames", "::10")):
        if kept in arguments:  # the demo graph, and few frames of the clip
            arguments[arguments.index(name) + 1] = {"--reference": "demo", "--frames": "::125"}[name]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["left_out"] == []
    assert found["pictures"] >= 1
    assert found["models"][0]["pixels"] > 0
    if "camvid" in command.lower():
        assert found["labelling"] == ("camvid-ids" if "annot" in command else "camvid")
    if "VOC" in command:
        assert found["labelling"] == "voc"


def test_documentation_names_every_kind_and_figure(int8_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(documented()) == 9
    for kind in KINDS:
        assert f"| `{kind}` |" in DOCS
    found = figures(capsys, int8_model, "--source", "demo", "--frames", "0")
    for key in (*found, *found["models"][0], *found["models"][0]["classes"][0]):
        assert f"`{key}`" in DOCS, key
    mapping = parse(re.findall(r"```json\n(.*?)```", DOCS, re.DOTALL)[0].encode(), "docs")
    assert mapping.check(CITYSCAPES) == []
    assert os.fspath(mapping.name) == "docs"


def test_many_models_get_several_tables_in_which_no_word_is_cut(
    int8_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*[str(int8_model)] * 12, "--source", "demo", "--frames", "0"]) == 0
    said = capsys.readouterr().out
    assert "…" not in said
    assert len(re.findall("^class +pixels", said, re.MULTILINE)) == 2
    assert re.findall(r"IoU (\d+)", said) == [str(number) for number in range(1, 13)]
