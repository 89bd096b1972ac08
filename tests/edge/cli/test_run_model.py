from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryFile

import av
import cv2
import numpy as np
import pytest
from motion_scenes import scene
from numpy.typing import NDArray
from still_files import encoded
from waiting import PATIENCE_S, wait_for

from edge.classes import CITYSCAPES
from edge.cli import run_model
from edge.cli.run_model import main
from edge.controls import LivePipeline
from edge.data import Frame, SourceInfo
from edge.errors import UsageError
from edge.segmenter import Segmenter
from edge.sinks.open import NullSink

RUN = [sys.executable, "-c", "import sys; from edge.cli.run_model import main; sys.exit(main())"]


def only_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("run-model: ")]
    assert len(lines) == 1
    assert "Traceback" not in text
    return lines[0]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 frames, 160x96 at 12.5 fps, each of a brightness of its own."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for index in range(12):
            picture = np.full((96, 160, 3), 20 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_video_in_video_labels_and_stats_out(int8_model: Path, clip: Path, tmp_path: Path) -> None:
    out, labels, stats = tmp_path / "new" / "o.mp4", tmp_path / "labels", tmp_path / "s.json"
    outputs = ["--output", str(out), "--output", f"labels:{labels}", "--stats", str(stats)]
    assert main([str(int8_model), "--source", str(clip), "--view", "side-by-side", *outputs]) == 0
    with av.open(str(out)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 12
    assert len(frames) == 12
    assert frames[0].shape == (96, 320, 3)
    left = [frame[60:, :160].mean() for frame in frames]
    assert left == sorted(left), "every frame, in order"
    found = sorted(labels.iterdir())
    assert len(found) == 12
    segment = Segmenter(int8_model)
    with av.open(str(clip)) as container:
        first = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert (cv2.imread(str(found[0]), cv2.IMREAD_UNCHANGED) == segment(first).ids).all()
    summary = json.loads(stats.read_text())
    assert summary["frames"] == 12
    assert set(summary["stages_ms"]) == {"decode", "preprocess", "invoke", "postprocess", "render", "encode"}
    assert summary["stages_ms"]["invoke"]["median"] <= summary["stages_ms"]["invoke"]["p90"]


def test_rows_of_numbers_with_regions(int8_model: Path, clip: Path, tmp_path: Path) -> None:
    regions = tmp_path / "regions.json"
    regions.write_text('{"regions": {"left": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}}')
    rows, table = tmp_path / "rows.jsonl", tmp_path / "rows.csv"
    outputs = ["--output", str(rows), "--output", str(table), "--regions", str(regions)]
    assert main([str(int8_model), "--source", str(clip), *outputs]) == 0
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    assert [row["index"] for row in found] == list(range(12))
    assert found[-1]["time_s"] == pytest.approx(11 / 12, abs=1e-3)
    for row in found:
        assert sum(row["shares"].values()) == pytest.approx(1, abs=1e-4)
        assert sum(row["regions"]["left"].values()) == pytest.approx(1, abs=1e-4)
    assert len(table.read_text().splitlines()) == 13


def test_a_file_of_regions_is_not_written_over(
    int8_model: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    regions = tmp_path / "regions.csv"
    regions.write_text("{}")
    assert main([str(int8_model), "--source", str(clip), "--regions", str(regions), "--output", str(regions)]) == 2
    assert "would write over" in only_line(capsys.readouterr().err)
    assert main([str(int8_model), "--source", str(clip), "--regions", str(regions), "--output", "null"]) == 2
    assert "--regions" in only_line(capsys.readouterr().err)


def test_a_file_of_regions_need_not_be_there_where_they_can_be_drawn(
    int8_model: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [str(int8_model), "--source", str(clip), "--regions", str(tmp_path / "new" / "regions.json")]
    assert main([*asked, "--output", "null"]) == 2
    assert "cannot be read" in only_line(capsys.readouterr().err)
    assert main([*asked, "--output", "web://127.0.0.1:0"]) == 0
    assert not list((tmp_path / "new").iterdir()), "it is made with the first region"
    capsys.readouterr()
    assert main([*asked, "--output", "web://127.0.0.1:0", "--rule", "person in path > 1 %"]) == 2
    assert "there is no region 'path'" in only_line(capsys.readouterr().err)
    (tmp_path / "file").write_text("")
    asked[-1] = str(tmp_path / "file" / "regions.json")
    assert main([*asked, "--output", "web://127.0.0.1:0"]) == 1
    assert "cannot be written to" in only_line(capsys.readouterr().err)


def test_a_file_of_regions_that_is_there_needs_no_folder_to_write_to(int8_model: Path, clip: Path) -> None:
    with TemporaryFile("w") as file:  # in /proc nobody can make files, root neither
        file.write('{"regions": {"left": [[0, 0], [0.5, 0], [0.5, 1]]}}')
        file.flush()
        asked = ["--regions", f"/proc/{os.getpid()}/fd/{file.fileno()}", "--output", "web://127.0.0.1:0"]
        assert main([str(int8_model), "--source", str(clip), *asked]) == 0


def test_a_region_that_a_rule_watches_is_not_removed(
    int8_model: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corners, runs = [[0, 0], [0.5, 0], [0.5, 1]], list[LivePipeline]()

    def opened(spec: str, info: SourceInfo, live: LivePipeline, say: object) -> NullSink:
        runs.append(live)
        return NullSink()

    monkeypatch.setattr(run_model, "open_sink", opened)
    file = tmp_path / "regions.json"
    file.write_text(
        json.dumps({"regions": dict.fromkeys(("one", "two", "free"), corners), "rules": ["road in one > 1 %"]})
    )
    asked = ["--regions", str(file), "--rule", "road in two > 1 %", "--output", "null"]
    assert main([str(int8_model), "--source", str(clip), *asked]) == 0
    (live,) = runs
    for name in ("one", "two"):
        with pytest.raises(UsageError, match="no rule watches"):
            live.region_store.remove(name)
    live.region_store.remove("free")
    assert set(json.loads(file.read_text())["regions"]) == {"one", "two"}


def test_rules_make_events_pictures_and_recordings(
    int8_model: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    regions, events, films = tmp_path / "regions.json", tmp_path / "events", tmp_path / "films"
    anything = "+".join(CITYSCAPES.names)
    left = {"left": [[0, 0], [0.5, 0], [0.5, 1]]}
    regions.write_text(json.dumps({"regions": left, "rules": [f"seen: {anything} in left > 99 % for 0.2 s"]}))
    asked = ["--regions", str(regions), "--rule", "crowd: person > 99.9 %", "--record-events", str(films)]
    outputs = ["--events", f"{events}/", "--events", str(tmp_path / "e.jsonl"), "--output", "null"]
    assert main([str(int8_model), "--source", str(clip), *asked, *outputs]) == 0
    found = [json.loads(line) for line in (events / "events.jsonl").read_text().splitlines()]
    assert [(event["rule"], event["state"], event["index"]) for event in found] == [
        ("seen", "begun", 3),
        ("seen", "ended", 11),
    ]
    assert cv2.imread(str(events / found[0]["snapshot"])).shape == (96, 160, 3)
    assert len((tmp_path / "e.jsonl").read_text().splitlines()) == 2
    (film,) = films.iterdir()
    with av.open(str(film)) as container:
        assert len(list(container.decode(video=0))) == 12
    said = capsys.readouterr().err
    assert "seen: begun with 100.0% at 0.2 s (frame 3)" in said
    assert f"recorded {film}" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rule", "person"], "rule 'person': expected CLASS > 2 %"),
        (["--rule", "person in road > 1 %"], "no regions are given (--regions)"),
        (["--rule", "cat > 1 %"], "this model has no class 'cat'"),
        (["--events", "e.jsonl"], "--rule: expected a rule"),
        (["--rule", "person > 1 %", "--before", "-1"], "--before: expected 0 to 60 seconds, got -1"),
        (["--rule", "person > 1 %", "--events", "e.txt"], "events 'e.txt': expected NAME.jsonl, a folder"),
        (
            ["--rule", "person > 1 %", "--events", "mqtt://u:secret@h/+/x"],
            "expected mqtt://HOST[:PORT][/TOPIC], with USER:PASSWORD@ before HOST where the broker wants them; "
            "mqtts:// encrypts, and ?ca=FILE at its end",
        ),
        (["--rule", "person > 1 %", "--events", "e.txt"], "or mqtt://HOST[:PORT][/TOPIC], with USER:PASSWORD@"),
        (["--rule", "person > 1 %", "--events", "r.jsonl", "--output", "r.jsonl"], "one would write over the other"),
    ],
)
def test_rules_that_make_no_sense_are_refused(
    int8_model: Path,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(int8_model), "--source", str(clip), "--output", "null", *options]) == 2
    line = only_line(capsys.readouterr().err)
    assert words in line
    assert "secret" not in line
    assert not list(tmp_path.iterdir())


def test_two_models_and_where_they_disagree(
    int8_model: Path, float_model: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, labels, stats = tmp_path / "both.mp4", tmp_path / "labels", tmp_path / "s.json"
    outputs = ["--output", str(out), "--output", f"labels:{labels}", "--stats", str(stats), "--smooth", "two"]
    assert main([str(int8_model), str(float_model), "--source", str(clip), *outputs]) == 0
    with av.open(str(out)) as container:
        assert [frame.to_ndarray(format="rgb24").shape for frame in container.decode(video=0)] == [(192, 320, 3)] * 12
    assert cv2.imread(str(labels / "000000.png"), cv2.IMREAD_UNCHANGED).shape == (96, 160)
    assert json.loads(stats.read_text())["stages_ms"]["second model"]["median"] > 0
    said = capsys.readouterr().err
    assert "the two models disagree on " in said
    assert main([str(int8_model), str(int8_model), "--source", str(clip), "--view", "compare", "--output", "null"]) == 0
    assert "disagree on 0.0% of the pixels (median of the frames)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--view", "compare"], "--view: expected two models with compare"),
        (["OTHER", "--view", "mask"], "--view: expected two models with compare"),
        (["OTHER", "--label-every", "2"], "--label-every: expected 1"),
        (["none.tflite"], "none.tflite"),
        (["OTHER", "--output", "OTHER"], "output"),
    ],
)
def test_two_models_that_make_no_sense_are_refused(
    int8_model: Path,
    float_model: Path,
    clip: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    words: str,
) -> None:
    before = float_model.read_bytes()
    given = [str(float_model) if option == "OTHER" else option for option in options]
    assert main([str(int8_model), *given, "--source", str(clip), "--output", "null"]) in (1, 2)
    assert words in only_line(capsys.readouterr().err)
    assert float_model.read_bytes() == before


def test_every_fourth_frame_labelled(
    int8_model: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, stats = tmp_path / "labels", tmp_path / "s.json"
    outputs = ["--output", f"labels:{labels}", "--stats", str(stats)]
    assert main([str(int8_model), "--source", str(clip), "--label-every", "4", *outputs]) == 0
    found, segment = sorted(labels.iterdir()), Segmenter(int8_model)
    assert len(found) == 12
    with av.open(str(clip)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % 4 == 0:
                own = segment(frame.to_ndarray(format="rgb24")).ids
                assert (cv2.imread(str(found[index]), cv2.IMREAD_UNCHANGED) == own).all()
    summary = json.loads(stats.read_text())
    assert summary["moved"] + summary["held"] == 0.75
    assert summary["label_age_ms"]["p90"] > summary["frame_age_ms"]["median"]
    assert "age of labels" in (said := capsys.readouterr().out)
    assert "labels of an earlier frame: " in said


def test_a_camera_is_shown_at_its_own_rate(
    int8_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One whose frames come while the model is at work; with smoothing and a highest temperature."""
    stats = tmp_path / "s.json"

    class Camera:
        info = SourceInfo("camera", (160, 96), Fraction(100), None, live=True)

        def __iter__(self) -> Iterator[Frame]:
            for index in range(30):
                time.sleep(0.01)
                yield Frame(scene(20 + index, size_hw=(96, 160))[0], index, time.perf_counter(), time_s=index / 100)

        def close(self) -> None:
            """Holds nothing."""

    monkeypatch.setattr(run_model, "open_source", lambda *_, **__: Camera())
    monkeypatch.setattr(run_model, "temperature_c", lambda: 40.0)
    arguments = [str(int8_model), "--smooth", "two", "--max-temp", "80", "--output", "null", "--stats", str(stats)]
    assert main(arguments) == 0
    summary = json.loads(stats.read_text())
    assert summary["frames"] == 30
    assert summary["moved"] > 0.5
    assert main([*arguments, "--view-rate", "labels"]) == 0
    assert "moved" not in json.loads(stats.read_text())


def test_table_names_every_stage(int8_model: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(int8_model), "--source", str(clip), "--output", "null", "--limit", "3"]) == 0
    text = capsys.readouterr().out
    assert "3 frames in" in text
    for stage in ("decode", "preprocess", "invoke", "postprocess", "render", "encode"):
        assert stage in text


def test_drawing_the_demo_is_not_called_decoding(int8_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(int8_model), "--source", "demo", "--output", "null", "--limit", "2"]) == 0
    text = capsys.readouterr().out
    assert "draw the scene" in text
    assert "decode" not in text


def test_picture_and_folder(int8_model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(int8_model), "--source", str(pictures / "0.png")]) == 0
    assert cv2.imread("0-overlay.png").shape == (96, 160, 3)
    assert main([str(int8_model), "--source", str(pictures), "--output", "all/"]) == 0
    assert len(list(Path("all").iterdir())) == 12


def test_a_picture_that_cannot_be_read_is_left_out_and_told(
    int8_model: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    street, out, stats = tmp_path / "street", tmp_path / "out", tmp_path / "s.json"
    street.mkdir()
    for name in ("1.png", "3.png"):
        (street / name).write_bytes((pictures / "0.png").read_bytes())
    (street / "2.png").touch()
    (street / "film.mp4").touch()
    arguments = [str(int8_model), "--source", str(street), "--output", f"{out}/"]
    assert main([*arguments, "--stats", str(stats)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["1.png", "3.png"]
    said = capsys.readouterr().err.splitlines()
    assert said.index("left out: 1 .mp4 file (film.mp4)") < said.index("labelling ..."), "before the work begins"
    assert "left out: 2.png (expected a picture, found an empty file)" in said
    assert "1 of 3 pictures was left out" in said
    assert json.loads(stats.read_text())["left_out"] == {
        ".mp4 file": 1,
        "expected a picture, found an empty file": 1,
    }
    assert main([*arguments, "--strict"]) == 1
    assert "2.png: expected a picture, found an empty file" in only_line(capsys.readouterr().err)


def test_every_picture_has_an_output_of_its_own_name(int8_model: Path, pictures: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("a.png", "a.bmp", "b.png", "deep/b.png")):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "in" / name), cv2.imread(str(pictures / f"{number}.png")))
    outputs = ["--output", f"{tmp_path}/out/", "--output", f"labels:{tmp_path}/ids"]
    assert main([str(int8_model), "--source", f"{tmp_path}/in/**/*", *outputs]) == 0
    for folder in ("out", "ids"):
        made = {str(path.relative_to(tmp_path / folder)) for path in (tmp_path / folder).rglob("*.*")}
        assert made == {"a.png.png", "a.bmp.png", "b.png", "deep/b.png"}


@pytest.mark.parametrize("suffix", [".heic", ".avif"])
def test_a_photo_of_a_phone_becomes_a_picture(
    suffix: str, int8_model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photo = cv2.cvtColor(cv2.resize(cv2.imread(str(pictures / "0.png")), (640, 384)), cv2.COLOR_BGR2RGB)
    name = f"IMG_0001{suffix.upper()}"
    Path(name).write_bytes(encoded(suffix, photo, **({"tile_size": 256} if suffix == ".heic" else {})))
    assert main([str(int8_model), "--source", name, "--no-legend"]) == 0
    assert cv2.imread("IMG_0001-overlay.png").shape == (384, 640, 3)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["{model}", "--source", "{tmp}/none.mp4"], 1, "none.mp4"),
        (["{tmp}/none.tflite"], 1, "no such file"),
        (["{cut}", "--output", "null"], 1, "cut.tflite"),
        (["{model}", "--source", "{text}", "--output", "null"], 1, "text.mp4"),
        (["{model}", "--source", "{clip}", "--output", "{text}/deeper/o.mp4"], 1, "deeper"),
        (["{model}", "--source", "{clip}", "--output", "o.xyz"], 2, "o.xyz"),
        (["{model}", "--source", "{clip}", "--alpha", "2"], 2, "--alpha"),
        (["{model}", "--source", "{clip}", "--limit", "0"], 2, "--limit"),
        (["{model}", "--runtime", "tpu"], 2, "tpu"),
        (["{model}", "--stats", "{text}/s.json"], 1, "text.mp4"),
        ([], 2, "MODEL"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    code: int,
    words: str,
    int8_model: Path,
    clip: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "text.mp4").write_text("not a video\n" * 50)
    (tmp_path / "cut.tflite").write_bytes(int8_model.read_bytes()[:5000])
    names = {
        "model": int8_model,
        "tmp": tmp_path,
        "clip": clip,
        "text": tmp_path / "text.mp4",
        "cut": tmp_path / "cut.tflite",
    }
    before = set(tmp_path.rglob("*"))
    assert main([a.format(**names) for a in arguments]) == code
    assert words in only_line(capsys.readouterr().err)
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_keeps_what_is_done(sign: signal.Signals, int8_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.mp4"
    process = subprocess.Popen(
        [*RUN, str(int8_model), "--source", "demo", "--output", str(out)], stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: any(part.stat().st_size > 20_000 for part in tmp_path.glob("*.part")))
    start = time.monotonic()
    process.send_signal(sign)
    _, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert time.monotonic() - start < 5
    assert only_line(error) == "run-model: interrupted"
    assert not list(tmp_path.glob("*.part"))
    with av.open(str(out)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 0


def test_native_noise_does_not_reach_the_user(int8_model: Path, clip: Path) -> None:
    done = subprocess.run(
        [*RUN, str(int8_model), "--source", str(clip), "--output", "null"], capture_output=True, text=True, check=True
    )
    assert "XNNPACK" not in done.stderr
    assert "labelling" in done.stderr


def test_real_third_party_model(shared: object, tmp_path: Path) -> None:
    """The Coral model has no card and answers with a label map."""
    model = shared("models/coral_deeplab_slim_cityscapes_uint8.tflite")  # type: ignore[operator]
    picture = shared("images/cityscapes_segmentation.bmp")  # type: ignore[operator]
    truth = cv2.imread(os.fspath(shared("images/cityscapes_segmentation_mask.bmp")), cv2.IMREAD_UNCHANGED)  # type: ignore[operator]
    assert main([str(model), "--source", str(picture), "--output", f"labels:{tmp_path}"]) == 0
    found = cv2.imread(str(next(tmp_path.iterdir())), cv2.IMREAD_UNCHANGED)
    assert (found == truth).mean() >= 0.90


def test_classes_may_be_hidden_or_shown_alone(int8_model: Path, tmp_path: Path) -> None:
    def mask(name: str, *options: str) -> NDArray[np.uint8]:
        out = tmp_path / f"{name}.png"
        plain = ["--view", "mask", "--no-legend", "--no-hud", "--source", "demo", "--limit", "1"]
        assert main([str(int8_model), *plain, *options, "--output", str(out)]) == 0
        return np.asarray(cv2.imread(str(out)), np.uint8)[..., ::-1]

    road = np.array(CITYSCAPES.colours[0])
    everything = mask("all")
    is_road = (everything == road).all(axis=2)
    assert 0.05 < is_road.mean() < 0.95
    hidden, alone = mask("hidden", "--hide", "Road"), mask("alone", "--show", "road")
    assert not hidden[is_road].any()
    np.testing.assert_array_equal(hidden[~is_road], everything[~is_road])
    assert (alone[is_road] == road).all()
    assert not alone[~is_road].any()


def test_a_class_that_the_model_lacks_is_refused(int8_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(int8_model), "--hide", "road,dragon", "--source", "demo"]) == 2
    assert "no class 'dragon': expected some of road, sidewalk" in capsys.readouterr().err
