from __future__ import annotations

import json
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from films import write_film, write_joined

from edge.data import Pixels
from edge.errors import SourceError, UsageError
from edge.evaluation.samples import ALL, SampleSet, demo, open_samples, parse_indices
from edge.scene import DEMO_RATE, DEMO_SEED, Scene


def picture(shade: int) -> Pixels:
    return np.full((24, 40, 3), shade, np.uint8)


def ids(value: int) -> np.ndarray:
    return np.full((24, 40), value, np.uint8)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 frames, each of a brightness of its own: 20, 45, 70 ..."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 40, 24, "yuv420p"
        for index in range(8):
            frame = av.VideoFrame.from_ndarray(picture(20 + 25 * index), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for index in range(5):
        for name, pixels in (("images", picture(index)), ("labels", ids(index))):
            (tmp_path / name).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / name / f"{index}.png"), pixels)
    return tmp_path


def read(samples: SampleSet) -> list[tuple[str, int, int | None]]:
    """Name, brightness and label of every picture."""
    found = []
    for example in samples.each():
        pixels, raw = example.read()
        found.append((example.name, int(pixels[12, 20, 0]), None if raw is None else int(raw.ids[12, 20])))
    return found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("3", [3]),
        ("7,2,2", [2, 7]),
        (":", range(10)),
        ("2:5", range(2, 5)),
        ("1::4", range(1, 10, 4)),
        (":3:", range(3)),
    ],
)
def test_frames_are_a_list_or_a_slice(text: str, wanted: list[int]) -> None:
    found = parse_indices(text)
    assert [i for i in range(10) if i in found] == list(wanted)


@pytest.mark.parametrize("text", ["", "x", "1,x", "-1", "-3:", "5:2", "5:5", "1:9:-1", "1:9:0", "1:2:3:4", "1.5"])
def test_other_frames_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="`frames`: expected 10,35,60 or start:stop:step"):
        parse_indices(text)


def test_a_folder_with_labels(folders: Path) -> None:
    samples = open_samples(str(folders / "images"), folders / "labels")
    assert (samples.count, samples.labelling.name) == (5, "ids")
    assert read(samples) == [(f"{i}.png", i, i) for i in range(5)]
    assert read(samples) == read(samples), "it can be gone through again"
    some = open_samples(str(folders / "images"), folders / "labels", indices=parse_indices("1::2"))
    assert [row[1] for row in read(some)] == [1, 3]
    assert some.count == 2


@pytest.mark.parametrize("source", ["images/3.png", "images/[3]*.png"])
def test_a_picture_and_a_pattern_with_labels(source: str, folders: Path) -> None:
    assert read(open_samples(str(folders / source), folders / "labels")) == [("3.png", 3, 3)]


def test_pictures_are_named_by_their_place_in_the_folder(folders: Path) -> None:
    for name in ("images", "labels"):
        (folders / name / "ulm").mkdir()
        (folders / name / "4.png").rename(folders / name / "ulm" / "4.png")
    assert [row[0] for row in read(open_samples(str(folders / "images"), folders / "labels"))][-1] == "ulm/4.png"


def test_the_frames_of_a_video_have_the_label_files_in_the_order_of_their_names(clip: Path, tmp_path: Path) -> None:
    for index in range(6):
        cv2.imwrite(str(tmp_path / f"frame{index + 7}.png"), ids(index))  # frame10 comes behind frame9
    samples = open_samples(str(clip), tmp_path, "driveseg")
    assert (samples.count, samples.labelling.name) == (6, "driveseg")
    found = read(samples)
    assert [(name, label) for name, _, label in found] == [(f"frame{i + 7}.png", i) for i in range(6)]
    assert [shade for _, shade, _ in found] == pytest.approx([20 + 25 * i for i in range(6)], abs=4)
    some = open_samples(str(clip), tmp_path, "driveseg", parse_indices("2,4,7"))
    assert [row[2] for row in read(some)] == [2, 4]
    assert some.count == 2


def test_a_video_that_is_cut_off_is_said_once_and_counted_as_far_as_it_goes(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mkv", range(50))
    film.write_bytes(film.read_bytes()[: film.stat().st_size * 7 // 10])
    said: list[str] = []
    samples = open_samples(str(film), None, say=said.append)
    assert samples.count == len(read(samples)) < 45
    assert len(said) == 1
    assert "a.mkv: the video is cut off" in said[0]
    (tmp_path / "l").mkdir()
    for index in range(3):
        cv2.imwrite(str(tmp_path / "l" / f"{index}.png"), ids(index))
    read(open_samples(str(film), tmp_path / "l", "driveseg", say=said.append))
    assert len(said) == 2


def test_joined_recordings_are_counted_and_chosen_from_to_their_end(tmp_path: Path) -> None:
    film = write_joined(tmp_path, (3600.0, 0.0))
    samples = open_samples(str(film), None, indices=parse_indices("10,40"))
    assert samples.count == 2
    assert [name for name, *_ in read(samples)] == ["joined.ts 10", "joined.ts 40"]


def test_without_labels_the_truth_is_not_known(clip: Path, folders: Path) -> None:
    video = open_samples(str(clip), None, indices=parse_indices("::3"))
    assert video.count == 3
    assert [(name, truth) for name, _, truth in read(video)] == [
        ("clip.mp4 0", None),
        ("clip.mp4 3", None),
        ("clip.mp4 6", None),
    ]
    assert [row[1:] for row in read(open_samples(str(folders / "images"), None))] == [(i, None) for i in range(5)]


def test_the_demo_knows_its_truth() -> None:
    example = next(demo(parse_indices("77")).each())
    pixels, raw = example.read()
    wanted, truth = Scene(DEMO_SEED).draw(float(77 / DEMO_RATE), (720, 1280))
    assert example.name == "demo 77"
    assert (pixels == wanted).all()
    assert (raw.ids == truth).all()
    assert open_samples("demo", None).count == 250


def test_the_mapping_is_guessed_from_the_first_label_that_can_be_read(folders: Path) -> None:
    (folders / "labels" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\ncut off")
    cv2.imwrite(str(folders / "labels" / "1.png"), np.full((4, 4, 3), (128, 64, 128), np.uint8))
    assert open_samples(str(folders / "images"), folders / "labels").labelling.name == "camvid"


def test_a_mapping_file_is_used(folders: Path) -> None:
    (folders / "m.json").write_text(json.dumps({"values": {"1": "car"}, "other": "ignore"}))
    samples = open_samples(str(folders / "images"), folders / "labels", str(folders / "m.json"))
    assert samples.labelling.name == str(folders / "m.json")


@pytest.mark.parametrize(
    ("source", "labels", "error", "words"),
    [
        ("demo", "labels", UsageError, "the demo knows its own truth"),
        ("none", "labels", SourceError, "not found"),
        ("images", "none", SourceError, "expected a folder of label files"),
        ("labels/../text.mp4", "labels", SourceError, "text.mp4: expected a video"),
        ("images/*.jpg", "labels", SourceError, "expected a pattern that matches"),
    ],
)
def test_what_cannot_be_opened_is_said_at_once(
    source: str, labels: str, error: type[Exception], words: str, folders: Path
) -> None:
    (folders / "text.mp4").write_text("no video\n" * 99)
    name = source if source == "demo" else str(folders / source)
    with pytest.raises(error, match=words):
        open_samples(name, folders / labels)


def test_choosing_none_is_said_at_once(folders: Path) -> None:
    with pytest.raises(UsageError, match="none of the 5 pictures with labels is chosen"):
        open_samples(str(folders / "images"), folders / "labels", indices=parse_indices("5:"))
    assert sys.maxsize - 1 in ALL
