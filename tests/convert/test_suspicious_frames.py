from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import nets
import numpy as np
import pytest

from convert.cli.convert_model import main
from convert.job import Job
from convert.preparation import collect_frames
from convert.suspicious_frames import Look, judge, look
from convert.tflite.recipes import RECIPES
from edge.classes import CITYSCAPES
from edge.data import Pixels
from edge.errors import SourceError
from edge.progress import silent
from edge.scene import Scene
from edge.sources.images import read_picture
from edge.sources.open import open_source

HW = (180, 320)


def scene(seed: int, hw: tuple[int, int] = HW) -> Pixels:
    return Scene(seed).draw(1.0, hw)[0]


def mask(seed: int, hw: tuple[int, int] = HW) -> Pixels:
    return CITYSCAPES.table()[Scene(seed).draw(1.0, hw)[1]]


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def darker(pixels: Pixels, times: float, noise: float) -> Pixels:
    """A picture with so many times less light, and the noise of a camera that makes up for it."""
    dark = 255 * ((pixels / 255) ** 2.2 / times) ** (1 / 2.2)
    dark += np.random.default_rng(0).normal(0, noise, pixels.shape)
    return np.clip(dark, 0, 255).astype(np.uint8)


def grey_ids(seed: int) -> Pixels:
    return np.repeat(Scene(seed).draw(1.0, HW)[1][..., None], 3, axis=2).astype(np.uint8)


def fault(pixels: Pixels) -> str:
    return look(pixels, "x").fault


@pytest.mark.parametrize("level", [0, 128, 255])
def test_frames_of_one_colour_are_told(level: int) -> None:
    frame = np.full((*HW, 3), level, np.uint8)
    assert fault(frame) == "black or one colour"
    frame[..., 0] = 90
    assert fault(frame) == "black or one colour"
    noisy = frame + np.random.default_rng(1).normal(0, 1.0, frame.shape)
    assert fault(np.clip(noisy, 0, 255).astype(np.uint8)) == "black or one colour"


@pytest.mark.parametrize("hw", [(33, 49), (96, 160), (513, 1025)])
def test_noise_is_told(hw: tuple[int, int]) -> None:
    noise = nets.noise(*hw)
    for frame in (noise, jpeg(noise, 90), jpeg(noise, 20)):
        assert fault(frame) == "noise"
    grey = np.random.default_rng(2).normal(128, 20, hw).clip(0, 255).astype(np.uint8)
    assert fault(np.repeat(grey[..., None], 3, axis=2)) == "noise"
    if hw[0] > 64:  # smaller frames are averaged less
        assert fault(cv2.GaussianBlur(noise, (0, 0), 1)) == "noise"
        assert fault(cv2.resize(noise, None, fx=2, fy=2)) == "noise"


@pytest.mark.parametrize("bits_per_s", [200_000, 2_000_000])
def test_a_film_of_noise_is_told(bits_per_s: int, tmp_path: Path) -> None:
    import av

    path, random = tmp_path / "noise.mp4", np.random.default_rng(4)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 640, 360, "yuv420p", bits_per_s
        for _ in range(8):
            frame = random.integers(0, 256, (360, 640, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    assert {fault(frame.pixels) for frame in open_source(str(path))} == {"noise"}


@pytest.mark.parametrize("seed", range(3))
def test_label_masks_are_told(seed: int) -> None:
    assert fault(mask(seed)) == "label masks"
    assert fault(mask(seed, (720, 1280))) == "label masks"
    assert fault(grey_ids(seed)) == "label masks"


@pytest.mark.parametrize("quality", [30, 60, 75, 90, 98])
def test_coloured_masks_that_jpeg_has_blurred_are_told(quality: int) -> None:
    for seed in range(6):
        assert fault(jpeg(mask(seed, (540, 960)), quality)) == "label masks"
        assert fault(jpeg(scene(seed, (540, 960)), quality)) == ""


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("hw", [(33, 65), HW, (720, 1280)])
def test_drawn_scenes_are_pictures_at_any_size(seed: int, hw: tuple[int, int]) -> None:
    assert fault(scene(seed, hw)) == ""
    assert fault(jpeg(scene(seed, hw), 20)) == ""


@pytest.mark.parametrize(("times", "noise"), [(16, 8), (64, 0), (64, 8), (64, 15), (256, 15)])
def test_night_is_a_picture(times: float, noise: float) -> None:
    for seed in range(3):
        assert fault(darker(scene(seed), times, noise)) == ""
        assert fault(jpeg(darker(scene(seed), times, noise), 60)) == ""


def test_the_demo_is_made_of_pictures_that_differ() -> None:
    looks = [look(frame.pixels, "demo") for frame in open_source("demo", limit=20)]
    assert judge(looks[::4], go_on=False) == []


def test_real_pictures_and_drives_are_not_accused(shared: Callable[[str], Path]) -> None:
    picture = read_picture(shared("images/cityscapes_segmentation.bmp"))
    for frame in (picture, jpeg(picture, 20), darker(picture, 64, 15), cv2.resize(picture, (65, 33))):
        assert fault(frame) == ""
    assert fault(read_picture(shared("images/cityscapes_segmentation_mask.bmp"))) == "label masks"
    drive = open_source(str(shared("video/solidWhiteRight.mp4")))
    assert judge([look(f.pixels, "drive") for f in drive if f.index % 30 == 0], go_on=False) == []


def test_a_picture_in_few_colours_is_no_mask(shared: Callable[[str], Path]) -> None:
    picture = read_picture(shared("images/cityscapes_segmentation.bmp"))
    assert fault(picture // 64 * 64) == ""


def test_a_picture_of_large_pixels_is_no_mask() -> None:
    coarse = scene(0, (36, 64))
    assert fault(cv2.resize(coarse, None, fx=40, fy=40, interpolation=cv2.INTER_NEAREST)) == ""


@pytest.mark.parametrize("hw", [(1, 1), (1, 500), (500, 1), (2, 2)])
def test_frames_of_hardly_any_pixels_can_be_looked_at(hw: tuple[int, int]) -> None:
    assert fault(np.zeros((*hw, 3), np.uint8)) == "black or one colour"
    look(nets.noise(*hw), "x")


def looks(*faults: str, source: str = "drive.mp4") -> list[Look]:
    """Looks at frames that differ, of which these faults are told."""
    return [Look(source, fault, np.full((32, 32), 9.0 * n, np.float32), HW) for n, fault in enumerate(faults)]


def test_more_than_half_that_cannot_be_right_are_an_error() -> None:
    with pytest.raises(SourceError) as refused:
        judge([*looks(*["label masks"] * 3), *looks("", "", source="other")], go_on=False)
    assert str(refused.value) == (
        "drive.mp4: 3 of 5 frames look like label masks, on which nothing can be calibrated or verified; "
        "name pictures as the camera sees them with `calibrate`, or go on with `any_frames`"
    )
    with pytest.raises(SourceError, match=r"a, b: 3 of 4 frames look like noise \(2\) and black or one colour \(1\)"):
        judge([*looks("noise", "", source="a"), *looks("black or one colour", "noise", source="b")], go_on=False)
    with pytest.raises(SourceError, match="1 of 1 frame looks like noise"):
        judge(looks("noise"), go_on=False)


def test_up_to_half_are_a_line_and_so_are_all_for_who_goes_on() -> None:
    line = "drive.mp4: 1 of 2 frames looks like noise; frames as the camera sees them would serve better"
    assert judge(looks("noise", ""), go_on=False) == [line]
    assert judge(looks("noise", "noise"), go_on=True)[0].startswith("drive.mp4: 2 of 2 frames look like noise; ")
    assert judge(looks("", ""), go_on=False) == []
    assert judge([], go_on=False) == []


def test_frames_of_a_standing_camera_are_a_line() -> None:
    random = np.random.default_rng(3)
    still = [np.clip(scene(0) + random.normal(0, 8, (*HW, 3)), 0, 255).astype(np.uint8) for _ in range(5)]
    found = [look(frame, "still.mp4") for frame in still]
    line = "still.mp4: all 5 frames show the same; a model needs different ones to be calibrated and verified"
    assert judge(found, go_on=False) == [line]
    assert judge(found[:1], go_on=False) == []
    assert judge([*found, look(scene(1), "still.mp4")], go_on=False) == []


@pytest.mark.tensorflow
def test_label_masks_end_the_command_before_the_graph_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "gtFine"
    folder.mkdir()
    for seed in range(4):
        cv2.imwrite(str(folder / f"{seed}.png"), mask(seed)[..., ::-1])
    arguments = ["demo", "--quantize", "float32", "--input-size", "33x65", "--min-agreement", "0"]
    arguments += ["--calibrate", str(folder), "--output", str(tmp_path / "out")]
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert "convert-model: gtFine: 4 of 4 frames look like label masks, on which nothing" in said
    assert "with --calibrate, or go on with --any-frames" in said
    assert "asking the frozen graph" not in said
    assert list((tmp_path / "out").iterdir()) == []
    job = Job([RECIPES["float32"]], (33, 65), "auto", tmp_path, [str(folder)], 4, 4, None, None, any_frames=True)
    assert told(job) == [
        "gtFine: 4 of 4 frames look like label masks; frames as the camera sees them would serve better",
        "4 frames to verify with tell little of others",
    ]
    cv2.imwrite(str(folder / "0.png"), scene(0))
    cv2.imwrite(str(folder / "1.png"), scene(1))
    assert told(replace(job, any_frames=False))[0].startswith("gtFine: 2 of 4 frames look like label masks; frames as")


def told(job: Job) -> list[str]:
    said: list[str] = []
    collect_frames(job, (33, 65), CITYSCAPES, silent, said.append)
    return said
