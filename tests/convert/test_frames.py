from __future__ import annotations

import resource
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from films import write_film, write_joined

from convert import frames as calibration
from convert.frames import CalibrationTensors, Samples, Truths, collect, places_in_sources
from edge.classes import CITYSCAPES
from edge.data import Frame, SourceInfo, TensorSpec
from edge.errors import SinkError, SourceError, UnreadableFile, UsageError
from edge.evaluation.samples import evenly
from edge.preprocess import DEEPLAB, Preprocess, resize

pytestmark = pytest.mark.tensorflow
HW = (33, 49)


class Drive:
    """Frames without end or of a known number, each of its own colour."""

    def __init__(self, length: int, known: bool = True, size_hw: tuple[int, int] = (20, 30), bad: int = -1) -> None:
        self.info = SourceInfo("some/where/drive.mp4", size_hw[::-1], None, length if known else None)
        self.length, self.size_hw, self.bad, self.read = length, size_hw, bad, 0

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.length):
            if index != self.bad:
                self.read = index + 1
                pixels = np.full((*self.size_hw, 3), index % 256, np.uint8)
                pixels[0, 0] = index // 256
                yield Frame(pixels, index, 0.0)

    def close(self) -> None:
        pass


@pytest.fixture
def drives(monkeypatch: pytest.MonkeyPatch) -> dict[str, Drive]:
    opened: dict[str, Drive] = {}
    monkeypatch.setattr(calibration, "open_source", lambda spec, say=None: opened[spec])
    return opened


def indexes(samples: Samples) -> tuple[list[int], list[int]]:
    return [s.index for s in samples.calibration], [s.index for s in samples.held_out]


def test_evenly_reaches_from_the_first_frame_to_the_last() -> None:
    assert evenly(221, 5) == [0, 55, 110, 165, 220]
    assert evenly(3, 10) == [0, 1, 2]
    assert evenly(10, 1) == [0]
    assert evenly(0, 4) == []
    steps = np.diff(evenly(100_000, 120))
    assert steps.max() - steps.min() <= 1


def test_frames_are_spread_over_the_drive_and_serve_once(drives: dict[str, Drive]) -> None:
    drives["a"] = Drive(1000)
    used, held_out = indexes(collect(["a"], HW, calibrate=80, verify=20))
    assert (len(used), len(held_out)) == (80, 20)
    assert sorted(used + held_out) == evenly(1000, 100)
    assert used == sorted(used)
    assert min(held_out) < 250, "held-out frames come from all over the drive"
    assert max(held_out) > 750


def test_choice_is_the_same_every_time(drives: dict[str, Drive]) -> None:
    drives["a"] = Drive(300)
    first, second = (collect(["a"], HW, calibrate=20, verify=10) for _ in range(2))
    for part in ("calibration", "held_out"):
        assert places_in_sources(getattr(first, part)) == places_in_sources(getattr(second, part))
    assert list(places_in_sources(first.calibration)) == ["drive.mp4"], "a card tells no one's folders"


def test_several_sources_share_evenly(drives: dict[str, Drive]) -> None:
    for name in "abc":
        drives[name] = Drive(500, size_hw=(20, 30 + ord(name)))
        drives[name].info = SourceInfo(f"{name}.mp4", None, None, 500)
    samples = collect(["a", "b", "c"], HW, calibrate=60, verify=30)
    by_source = [[s.source for s in (*samples.calibration, *samples.held_out)].count(f"{n}.mp4") for n in "abc"]
    assert by_source == [30, 30, 30]
    assert len(samples.held_out) == 30
    assert {s.source for s in samples.held_out} == {"a.mp4", "b.mp4", "c.mp4"}


@pytest.mark.parametrize(
    ("count", "used", "held_out"), [(2, 1, 1), (3, 2, 1), (12, 8, 4), (60, 40, 20), (110, 90, 20), (500, 100, 20)]
)
def test_a_third_is_held_out_where_frames_are_few(
    drives: dict[str, Drive], count: int, used: int, held_out: int
) -> None:
    drives["a"] = Drive(count)
    samples = collect(["a"], HW, calibrate=100, verify=20)
    assert (len(samples.calibration), len(samples.held_out)) == (used, held_out)


def test_as_many_are_held_out_as_asked_where_there_are_enough(drives: dict[str, Drive]) -> None:
    drives["a"] = Drive(500)
    samples = collect(["a"], HW, calibrate=10, verify=30)
    assert (len(samples.calibration), len(samples.held_out)) == (10, 30)


def test_frames_nobody_calibrates_with_are_all_there_to_verify(drives: dict[str, Drive]) -> None:
    drives["a"] = Drive(1)
    assert indexes(collect(["a"], HW, calibrate=0, verify=20)) == ([], [0])


def test_too_few_frames_are_refused(drives: dict[str, Drive]) -> None:
    drives["one"], drives["none"] = Drive(1), Drive(0, known=False)
    with pytest.raises(SourceError, match="one: expected a frame to calibrate and another one to verify, found 1"):
        collect(["one"], HW, calibrate=10, verify=5)
    with pytest.raises(SourceError, match=r"none: .* found 0"):
        collect(["none"], HW, calibrate=10, verify=5)


def test_a_picture_given_twice_serves_for_one_purpose(drives: dict[str, Drive]) -> None:
    drives["a"], drives["copy"] = Drive(40), Drive(40)
    samples = collect(["a", "a", "copy"], HW, calibrate=30, verify=10)
    used = {resize(s.pixels, HW).tobytes() for s in samples.calibration}
    assert used
    assert not used & {resize(s.pixels, HW).tobytes() for s in samples.held_out}
    drives["still"], drives["again"] = Drive(1), Drive(1)
    with pytest.raises(SourceError, match=r"verify, found 1 and 1 duplicate, which cannot serve for both$"):
        collect(["still", "again"], HW, calibrate=1, verify=1)


def test_length_that_no_one_knows_is_counted(drives: dict[str, Drive]) -> None:
    drives["a"] = Drive(400, known=False)
    used, held_out = indexes(collect(["a"], HW, calibrate=8, verify=2))
    assert sorted(used + held_out) == evenly(400, 10)


def test_frame_that_cannot_be_decoded_is_replaced_by_the_next(drives: dict[str, Drive]) -> None:
    drives["a"] = Drive(100, bad=evenly(100, 10)[4])
    used, held_out = indexes(collect(["a"], HW, calibrate=8, verify=2))
    assert len(used) + len(held_out) == 10
    assert drives["a"].bad + 1 in used + held_out


def test_pixels_are_those_of_the_runtime_and_verification_keeps_its_size(drives: dict[str, Drive]) -> None:
    drives["a"] = Drive(20, size_hw=(40, 60))
    samples = collect(["a"], HW, calibrate=10, verify=5)
    assert {s.pixels.shape for s in samples.held_out} == {(40, 60, 3)}
    sample = samples.calibration[-1]
    frame = list(drives["a"])[sample.index].pixels
    np.testing.assert_array_equal(sample.pixels, resize(frame, HW))
    runtime = Preprocess(TensorSpec("image", (1, *HW, 3), np.dtype(np.float32), 0.0, 0), DEEPLAB)
    np.testing.assert_array_equal(list(CalibrationTensors(samples.calibration, DEEPLAB))[-1], runtime(frame))


def test_memory_does_not_grow_with_the_number_of_calibration_frames(drives: dict[str, Drive]) -> None:
    drives["a"] = Drive(5000)
    tracemalloc.start()
    try:
        samples = collect(["a"], (257, 513), calibrate=300, verify=10)  # 119 MB of pixels
        total = sum(float(x.sum()) for x in CalibrationTensors(samples.calibration, DEEPLAB))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.isfinite(total)
    assert peak < 20e6


def test_full_disk_is_one_clear_line(drives: dict[str, Drive]) -> None:
    drives["a"] = Drive(100)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (90 * 33 * 49 * 3 - 10, hard))
    try:
        with pytest.raises(SinkError, match=r"cannot hold the calibration frames \([^\n]*\); free some space"):
            collect(["a"], HW, calibrate=90, verify=5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def stills(folder: Path, count: int) -> Path:
    folder.mkdir()
    for index in range(count):
        cv2.imwrite(str(folder / f"{index}.png"), np.full((20, 30, 3), index, np.uint8))
    return folder


def test_pictures_that_cannot_be_read_are_left_out_and_told(tmp_path: Path) -> None:
    folder = stills(tmp_path / "drive", 6)
    assert collect([str(folder)], HW, calibrate=10, verify=2).left_out.lines() == []
    for index in (1, 4):
        (folder / f"{index}.png").write_text("no picture")
    samples = collect([str(folder)], HW, calibrate=10, verify=2)
    used, held_out = indexes(samples)
    assert sorted(used + held_out) == [0, 2, 3, 5]
    assert samples.left_out.lines() == [
        "left out: 1.png, 4.png (expected a picture, found something else)",
        "2 of 6 pictures were left out",
    ]
    with pytest.raises(UnreadableFile, match=r"[14]\.png: expected a picture"):
        collect([str(folder)], HW, calibrate=10, verify=2, strict=True)
    with pytest.raises(UnreadableFile, match=r"1\.png: expected a picture"):  # it is named by itself
        collect([str(folder / "0.png"), str(folder / "1.png"), str(folder / "2.png")], HW, calibrate=10, verify=2)
    for index in (0, 2, 3, 5):
        (folder / f"{index}.png").write_text("no picture")
    with pytest.raises(SourceError, match=r"found 0; 6 could not be read, the first: .*0\.png"):
        collect([str(folder)], HW, calibrate=10, verify=2)
    with pytest.raises(SourceError, match="nowhere: not found"):
        collect([str(tmp_path / "nowhere")], HW, calibrate=10, verify=5)


def test_label_files_that_cannot_be_read_leave_their_picture_out(tmp_path: Path) -> None:
    folder, labels = stills(tmp_path / "drive", 6), tmp_path / "labels"
    (folder / "film.mp4").touch()
    labels.mkdir()
    for index in range(6):
        cv2.imwrite(str(labels / f"{index}.png"), np.full((20, 30), index, np.uint8))
    truths = Truths(labels, [str(folder)], CITYSCAPES)
    held_out = {sample.index for sample in collect([str(folder)], HW, calibrate=2, verify=4, truths=truths).held_out}
    bad = min(held_out)
    (labels / f"{bad}.png").write_bytes(b"no label")
    samples = collect([str(folder)], HW, calibrate=2, verify=4, truths=truths)
    assert {sample.index for sample in samples.held_out} == held_out - {bad}
    assert samples.left_out.unreadable[0][0] == f"{bad}.png"
    assert samples.left_out.lines_of_others() == ["left out: 1 .mp4 file (film.mp4)"]


def test_label_files_are_the_truth_of_held_out_pictures(tmp_path: Path) -> None:
    folder, labels = stills(tmp_path / "drive", 6), tmp_path / "labels"
    labels.mkdir()
    for index in range(5):  # the last one has none
        cv2.imwrite(str(labels / f"{index}_labelTrainIds.png"), np.full((20, 30), index, np.uint8))
    truths = Truths(labels, [str(folder)], CITYSCAPES)
    samples = collect([str(folder)], HW, calibrate=2, verify=4, truths=truths)
    assert len(samples.held_out) == 4
    for sample in samples.held_out:
        if sample.index == 5:
            assert sample.truth is None
        else:
            np.testing.assert_array_equal(sample.truth, np.full((20, 30), sample.index))
    with pytest.raises(UsageError, match=r"`labels_dir`: .*need pictures"):
        Truths(labels, ["demo"], CITYSCAPES)


def test_demo_frames_come_with_the_truth_and_are_those_of_the_clip() -> None:
    from edge.sources.open import open_source

    samples = collect(["demo"], HW, calibrate=3, verify=2)
    assert all(s.truth is not None and s.truth.shape == s.pixels.shape[:2] for s in samples.held_out)
    first = next(s for s in (*samples.held_out, *samples.calibration) if s.index == 0)
    clip = next(iter(open_source("demo", limit=1))).pixels
    np.testing.assert_array_equal(first.pixels, clip if first.truth is not None else resize(clip, HW))


def test_a_video_that_is_cut_off_is_said_and_calibrates_as_far_as_it_goes(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mkv", range(50))
    film.write_bytes(film.read_bytes()[: film.stat().st_size * 7 // 10])
    said: list[str] = []
    samples = collect([str(film)], HW, calibrate=30, verify=20, say=said.append)
    assert len(said) == 1
    assert "a.mkv: the video is cut off" in said[0]
    assert 20 < len(samples.calibration) + len(samples.held_out) < 45


def test_joined_recordings_calibrate_to_their_end(tmp_path: Path) -> None:
    used, held_out = indexes(collect([str(write_joined(tmp_path, (3600.0, 0.0)))], HW, calibrate=9, verify=3))
    assert max(used + held_out) == 49


def test_a_camera_is_refused_before_its_frames_are_counted_for_ever(drives: dict[str, Drive]) -> None:
    drives["0"] = Drive(10**9, known=False)
    drives["0"].info = replace(drives["0"].info, name="/dev/video0", live=True)
    with pytest.raises(UsageError, match="/dev/video0: a camera or stream has no end"):
        collect(["0"], HW, calibrate=3, verify=1)


def test_an_address_that_looks_like_a_pattern_is_no_pattern_and_tells_no_password() -> None:
    with pytest.raises(SourceError, match=r"^http://127\.0\.0\.1:9/x\?\.\.\.: expected an answer") as refused:
        collect(["http://driver:s3cret@127.0.0.1:9/x?*"], HW, calibrate=3, verify=1)
    assert "s3cret" not in str(refused.value)
