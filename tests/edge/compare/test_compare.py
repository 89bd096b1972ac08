from __future__ import annotations

import dataclasses
import os
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from films import write_film
from reports import comparison, full, measured

from edge.classes import CITYSCAPES
from edge.compare import monitor, verdict
from edge.compare import pythons as interpreters
from edge.compare.clips import clip_of
from edge.compare.comparison import ROUNDS, Comparison, Settings
from edge.compare.estimates import ratio
from edge.compare.frames import prepare
from edge.compare.monitor import Monitor, doubts, neighbours, slowed, warnings
from edge.compare.report.building import document, names, row_of
from edge.compare.report.document import FailedRow, MeasuredRow
from edge.compare.rows import Accuracy, Candidate, ModelOptions, Row
from edge.compare.worker import Worker
from edge.device import board
from edge.device.energy import Counters, NoMeter, Power, find_meter, rails
from edge.errors import GateFailed, SourceError, UnreadableFile, UsageError
from edge.processors import available_processors

Tiny = Callable[..., bytes]


@pytest.fixture
def model(tiny_model: Tiny, tmp_path: Path) -> Path:
    """Three classes, 9x17, made without TensorFlow; runs in less than a millisecond."""
    path = tmp_path / "tiny.tflite"
    path.write_bytes(tiny_model("int8", scale=1 / 127.5, zero_point=-1))
    return path


@pytest.fixture
def float_tiny(tiny_model: Tiny, tmp_path: Path) -> Path:
    path = tmp_path / "float.tflite"
    path.write_bytes(tiny_model())
    return path


@pytest.fixture
def street(tmp_path: Path) -> Path:
    """Four pictures, 20x36, each a red, a green and a blue third, with labels for three of them."""
    for folder in ("pictures", "labels"):
        (tmp_path / folder).mkdir()
    for index in range(4):
        ids = np.repeat(np.roll(np.arange(3), index), 12)[None].repeat(20, axis=0).astype(np.uint8)
        rgb = np.eye(3, dtype=np.uint8)[ids] * 255
        cv2.imwrite(str(tmp_path / "pictures" / f"{index}.png"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        if index:
            cv2.imwrite(str(tmp_path / "labels" / f"{index}.png"), ids)
    return tmp_path / "pictures"


def quick(source: Path, **options: object) -> Settings:
    return Settings(str(source), seconds=0.05, min_runs=5, cool_down_s=0.0, options=ModelOptions("deeplab"), **options)  # type: ignore[arg-type]


def test_two_models_in_turns(model: Path, float_tiny: Path, street: Path) -> None:
    made = Comparison([Row(Candidate(path, "litert", 1)) for path in (float_tiny, model)], quick(street))
    made.run()
    for row in made.rows:
        assert not row.error
        assert len(row.turns) == 10
        found = row_of(row, "row")
        assert isinstance(found, MeasuredRow)
        assert found.invokes >= 5
        assert 0 < found.invoke_ms.median <= found.invoke_ms.p90 <= found.invoke_ms.max
        assert 20 < found.rss_mb <= found.peak_rss_mb < 400
        assert len(found.warm_up_ms) >= 3
        stages = sum(stage.median for stage in found.stages_ms.values())
        assert stages == pytest.approx(found.frame_ms.median, rel=0.5)
    first, second = made.rows
    starts = [[turn.start_s for turn in row.turns] for row in made.rows]
    assert starts[0][0] < starts[1][0] < starts[1][1] < starts[0][1]  # the order turns from round to round
    assert first.accuracy is not None
    assert second.accuracy is not None
    assert (first.accuracy.agreement, first.accuracy.reference) == (1.0, "float.tflite")
    assert second.accuracy.agreement is not None
    assert 0.9 < second.accuracy.agreement <= 1.0
    written = document(made, ["compare-models"])
    (pair,) = written.pairs
    assert {pair.first, pair.second} == {"float", "tiny"}
    assert pair.frame.ratio >= 1, "how many times as long the slower takes"
    assert written.sample
    assert [shown.rows for shown in written.sample_overlays] in ([("float",), ("tiny",)], [("float", "tiny")])


def test_accuracy_against_label_files(model: Path, street: Path) -> None:
    made = Comparison([Row(Candidate(model, "litert", 1))], quick(street, labels_dir=street.with_name("labels")))
    made.run()
    found = made.rows[0].accuracy
    assert found is not None
    assert found.frames == 3
    assert found.miou is not None
    assert found.miou > 0.85  # the network looks at 5x9 points of 20x36
    assert found.agreement is None
    assert made.sample_truth is not None
    assert made.sample_truth.seen, "classes of the labels"
    (truth,) = (shown for shown in document(made, []).sample_overlays if not shown.rows)
    assert truth.overlay == made.sample_truth


def test_labels_of_another_size_count_and_damaged_ones_are_left_out(model: Path, street: Path) -> None:
    labels = street.with_name("labels")
    small = cv2.imread(str(labels / "1.png"), cv2.IMREAD_UNCHANGED)[::2, ::2]
    cv2.imwrite(str(labels / "1.png"), small)
    (labels / "2.png").write_bytes((labels / "2.png").read_bytes()[:40])
    (labels / "3.png").unlink()
    made = Comparison([Row(Candidate(model, "litert", 1))], quick(street, labels_dir=labels))
    made.run()
    assert made.rows[0].measured
    assert made.rows[0].accuracy is not None
    assert made.rows[0].accuracy.miou is not None
    assert made.rows[0].accuracy.miou > 0.85
    unlabelled, unread = made.monitor.notes
    assert unlabelled == "left out: 2 unlabelled pictures (0.png, 3.png)"
    assert "labels left out" in unread
    assert "2.png" in unread


def test_pictures_that_cannot_be_read_are_left_out_and_noted(model: Path, street: Path) -> None:
    (street / "2.png").write_bytes(b"")
    (street / "film.mp4").touch()
    said = [
        "left out: 1 .mp4 file (film.mp4)",
        "left out: 2.png (expected a picture, found an empty file)",
        "1 of 4 pictures was left out",
    ]
    made = Comparison([Row(Candidate(model, "litert", 1))], quick(street))
    made.run()
    assert made.rows[0].measured
    assert made.monitor.notes == said
    with pytest.raises(UnreadableFile, match=r"2\.png: expected a picture, found an empty file"):
        Comparison([Row(Candidate(model, "litert", 1))], quick(street, strict=True)).run()


def test_labelled_pictures_that_cannot_be_read_are_left_out(street: Path, tmp_path: Path) -> None:
    (street / "2.png").write_bytes(b"")
    labels, folder = street.with_name("labels"), tmp_path / "npy"
    folder.mkdir()
    frames = prepare(str(street), folder, 9, labels)
    assert len(frames.names) == 2
    assert frames.left_out.unreadable == [("2.png", "expected a picture, found an empty file")]
    with pytest.raises(UnreadableFile, match=r"2\.png"):
        prepare(str(street), folder, 9, labels, strict=True)
    (labels / "1.png").write_bytes(b"no label")
    (street / "2.png").unlink()
    with pytest.raises(SourceError, match=r"labels/1\.png"):
        prepare(str(street), folder, 9, labels, strict=True)
    for path in street.iterdir():
        path.write_bytes(b"")
    with pytest.raises(SourceError, match="none of 2 pictures can be taken"):
        prepare(str(street), folder, 9, labels)
    with pytest.raises(SourceError, match="none of 3 pictures can be taken"):
        prepare(str(street), folder, 9)


def test_a_picture_that_is_left_out_gives_its_place_to_the_next(street: Path, tmp_path: Path) -> None:
    for index in (0, 2):
        (street / f"{index}.png").write_bytes(b"")
    frames = prepare(str(street), tmp_path, 2)
    shown = [cv2.cvtColor(np.load(tmp_path / name), cv2.COLOR_RGB2BGR) for name in frames.names]
    assert len(shown) == 2
    for index, picture in zip((1, 3), shown, strict=True):
        assert np.array_equal(picture, cv2.imread(str(street / f"{index}.png")))


@pytest.mark.parametrize(("seconds", "rounds"), [(1e-6, 5), (60.0, 7)])
def test_a_profile_ends_in_time_with_enough_rounds_for_its_noise(
    seconds: float, rounds: int, model: Path, street: Path
) -> None:
    made = Comparison([Row(Candidate(model, "litert", 1))], quick(street, profile_s=seconds))
    made.run()
    found = made.rows[0].profile
    assert found is not None
    assert found.rounds == rounds
    assert all(np.isfinite([one.seconds.low, one.seconds.high]).all() for one in found.layers)
    assert sum(one.operators for one in found.layers) >= 2


@pytest.mark.parametrize("phase", ["accuracy", "finding layers"])
def test_times_stay_where_a_process_dies_after_its_turns(phase: str, model: Path, street: Path) -> None:
    row = Row(Candidate(model, "litert", 1))
    made = Comparison([row], quick(street, profile_s=0.1, labels_dir=street.with_name("labels")))

    def kill(items: object, what: str, total: int | None = None) -> object:
        for item in items:  # type: ignore[attr-defined]
            if what.startswith(phase):
                os.kill(made.monitor._pids[1], signal.SIGKILL)
            yield item

    made.run(kill)  # type: ignore[arg-type]
    assert row.measured
    assert row.profile is None
    assert (row.accuracy is None) == (phase == "accuracy")
    assert any("tiny.tflite: its process died (SIGKILL" in note for note in made.monitor.notes)


def test_accuracy_against_a_reference(model: Path, float_tiny: Path, street: Path, tmp_path: Path) -> None:
    made = Comparison([Row(Candidate(model, "litert", 1))], quick(street, reference=float_tiny))
    made.run()
    assert made.rows[0].accuracy is not None
    assert made.rows[0].accuracy.reference == "float.tflite"
    assert len(made.rows) == 1  # the reference is not measured
    gone = Comparison([Row(Candidate(model, "litert", 1))], quick(street, reference=tmp_path / "no.tflite"))
    gone.run()
    assert gone.rows[0].measured
    assert "no.tflite: no such file" in gone.monitor.notes[0]


def test_pictures_come_evenly_spread_with_their_truth(street: Path, tmp_path: Path) -> None:
    for name in ("demo", "all", "labelled"):
        (tmp_path / name).mkdir()
    drawn = prepare("demo", tmp_path / "demo", 2)
    assert np.load(tmp_path / "demo" / drawn.names[1]).shape == (720, 1280, 3)
    truth = drawn.truth(drawn.names[1], list(CITYSCAPES.names))
    assert truth is not None
    assert truth.shape == (720, 1280)
    assert drawn.truth(drawn.names[1], ["road", "car"]) is None
    found = prepare(str(street), tmp_path / "all", 2)
    assert np.array_equal(np.load(tmp_path / "all" / found.names[1]), cv2.imread(str(street / "2.png"))[:, :, ::-1])
    labelled = prepare(str(street), tmp_path / "labelled", 9, street.with_name("labels"))
    assert len(labelled.names) == 3
    with pytest.raises(UsageError, match="`labels_dir`: expected a folder"):
        prepare("demo", tmp_path, 2, street)
    with pytest.raises(SourceError):
        prepare(str(tmp_path / "nothing.mp4"), tmp_path, 2)


def test_rows_of_every_fourth_frame_labelled_have_their_own_time_and_accuracy(float_tiny: Path, tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mkv", range(50))
    rows = [Row(Candidate(float_tiny, "litert", 1, label_every=every)) for every in (1, 4)]
    Comparison(rows, quick(film)).run()
    assert [row.error for row in rows] == ["", ""]
    assert all(sum(row.turns[0].stages_s["invoke"]) > 0 for row in rows)
    found = [row_of(row, "row") for row in rows]
    assert [one.label_every for one in found if isinstance(one, MeasuredRow)] == [1, 4]
    assert rows[0].accuracy is not None
    assert rows[0].accuracy.agreement == 1
    assert rows[1].accuracy is not None, "against the float32 row that labels every frame"
    assert 0 < (rows[1].accuracy.agreement or 0) <= 1
    assert names(rows) == ["float every 1", "float every 4"]


def test_pictures_have_as_many_frames_before_them_as_their_age_asks_for(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mkv", range(50))
    for place, source in enumerate((str(film), "demo")):
        folder = tmp_path / str(place)
        folder.mkdir()
        found = prepare(source, folder, 4, label_every=[1, 3])
        kept = [sorted(clip_of(folder / name).glob("*.npy")) for name in found.names]
        assert [len(clip) for clip in kept] == [0, 1, 2, 0]
        before, last = np.load(kept[2][1]), np.load(folder / found.names[2])
        assert before.shape == last.shape
        assert (
            np.abs(before.astype(int) - last).mean()
            < np.abs(np.load(folder / found.names[0]).astype(int) - last).mean()
        )


@pytest.mark.parametrize("with_labels", [False, True])
def test_labels_are_not_moved_over_pictures_that_do_not_follow_each_other(
    street: Path, tmp_path: Path, with_labels: bool
) -> None:
    with pytest.raises(UsageError, match="`label_every`: expected a film, whose frames follow each other"):
        prepare(str(street), tmp_path, 4, street.with_name("labels") if with_labels else None, label_every=[4])


def test_a_film_that_is_too_short_to_move_labels_over_is_a_row_with_the_reason(model: Path, tmp_path: Path) -> None:
    row = Row(Candidate(model, "litert", 1, label_every=8))
    Comparison([row], quick(write_film(tmp_path / "a.mkv", range(5)))).run()
    assert row.error == "expected a film of at least 8 frames, to label one of them, got 5"


def test_a_video_that_is_cut_off_is_compared_on_as_far_as_it_goes_and_noted(model: Path, tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mkv", range(50))
    film.write_bytes(film.read_bytes()[: film.stat().st_size * 7 // 10])
    comparison = Comparison([Row(Candidate(model, "litert", 1))], quick(film))
    comparison.run()
    assert comparison.rows[0].measured
    assert "a.mkv: the video is cut off" in comparison.monitor.notes[0]


def test_a_process_that_dies_is_a_row_with_the_reason(model: Path, street: Path) -> None:
    row, other = Row(Candidate(model, "litert", 1)), Row(Candidate(model, "litert", 1))
    made = Comparison([row, other], quick(street))

    def kill(items: object, what: str, total: int | None = None) -> object:
        for index, item in enumerate(items):  # type: ignore[arg-type, var-annotated]
            if what == "measuring" and index == 4:
                os.kill(made.monitor._pids[1], signal.SIGSEGV)
            yield item

    made.run(kill)  # type: ignore[arg-type]
    assert row.error == "its process died (SIGSEGV)"
    assert other.measured
    assert isinstance(document(made, []).rows[0], FailedRow)


def test_a_process_that_hangs_is_a_row(model: Path) -> None:
    row = Row(Candidate(model, "litert", 1))
    with Worker(row) as hung:
        hung.ready()
        os.kill(hung.pid or 0, signal.SIGSTOP)
        hung.answer_s = 0.3
        assert hung.memory() is None
    assert "no answer" in row.error


def test_an_interpreter_that_cannot_run_the_kit_is_a_row(model: Path, tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'cv2'\" >&2\nexit 1\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    for python, said in ((str(fake), "No module named 'cv2'"), (str(tmp_path / "none"), "cannot be started")):
        row = Row(Candidate(model, "litert", 1, python))
        with Worker(row) as asked:
            asked.ready()
            assert asked.memory() is None
        assert said in row.error


def test_another_interpreter_gets_this_package_and_nothing_else_of_ours(model: Path, street: Path) -> None:
    """The same Python by its own name: what it imports must come from its own libraries."""
    row = Row(Candidate(model, "litert", 1, sys.executable))
    Comparison([row], quick(street)).run()
    assert not row.error
    assert row.turns


def test_interpreters_are_asked_for_or_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert interpreters.parse([f"tflite-runtime={sys.executable}"]) == {"tflite-runtime": sys.executable}
    for wrong in ("tflite-runtime", "tflite-runtime=/no/such/python", f"openvino={sys.executable}"):
        with pytest.raises(UsageError, match="`python`: expected RUNTIME=PATH"):
            interpreters.parse([wrong])
    assert interpreters.interpreter_for("litert", {}) == ""
    for name, code in (("python3.11", 1), ("python3.12", 0)):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\nexit {code}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = dataclasses.replace(interpreters.INTERPRETERS["tflite-runtime"], module="no_such_runtime.interpreter")
    monkeypatch.setitem(interpreters.INTERPRETERS, "tflite-runtime", missing)
    assert interpreters.interpreter_for("tflite-runtime", {}) == str(tmp_path / "python3.12")
    (tmp_path / "python3.12").unlink()
    assert interpreters.interpreter_for("tflite-runtime", {}) == ""


def load(busy: float, stolen: float, own: float, at: float) -> monitor._Load:
    return monitor._Load(busy, stolen, own, at)


def test_neighbours_are_noticed() -> None:
    before = load(100.0, 5.0, 50.0, 0.0)
    assert neighbours(before, load(102.0, 5.0, 52.0, 1.0), cores=4) == []
    assert "other processes" in neighbours(before, load(103.0, 5.0, 52.0, 1.0), cores=4)[0]
    assert "hypervisor" in neighbours(before, load(101.0, 5.2, 51.0, 1.0), cores=4)[0]


def test_a_run_is_doubtful_where_a_fifth_of_its_rounds_was_disturbed_or_any_was_throttled() -> None:
    assert doubts([["x"], *[[]] * 9]) == []
    assert doubts([["x"], ["x"], *[[]] * 8]) == ["x in 2 of 10 rounds"]
    assert doubts([["the board reported: throttled"], *[[]] * 9]) == ["the board reported: throttled in 1 of 10 rounds"]
    assert slowed([1500.0, 1499.0, 1200.0, None]) == [False, False, True, False]


def test_throttling_during_a_turn_marks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [board.Throttle((), ()), board.Throttle(("undervoltage",), ("undervoltage",))]
    watched = Monitor(NoMeter(), lambda: now.pop(0) if len(now) > 1 else now[0])
    begun = watched.begin()
    monkeypatch.setattr(watched, "_asked_s", -10.0)
    assert "the board reported: undervoltage" in watched.end(begun).reasons
    assert watched.samples[-1].throttled == ("undervoltage",)


def test_a_busy_machine_is_noticed_for_real(model: Path, street: Path) -> None:
    watched = Monitor(NoMeter())
    watched.follow([])
    begun = watched.begin()
    with Worker(Row(Candidate(model, "litert", 1))) as stranger:  # imports NumPy and OpenCV: a second of work
        stranger.ready()
        assert any("other processes" in reason for reason in watched.end(begun).reasons) or (os.cpu_count() or 1) > 8


def test_what_makes_times_unsteady_is_said_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = available_processors()
    monkeypatch.setattr(os, "cpu_count", lambda: allowed + 1)
    assert warnings([1], tmp_path)[0].startswith(f"pinned to {allowed} of {allowed + 1} cores")
    monkeypatch.setattr(os, "cpu_count", lambda: allowed)

    def write(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    assert warnings([1], tmp_path) == []
    write("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand\n")
    write("sys/fs/cgroup/cpu.max", "50000 100000\n")
    governor, quota = warnings([1], tmp_path)
    assert "governor is ondemand" in governor
    assert "tee" in governor
    assert "0.5 cores" in quota
    assert any("share" in text for text in warnings([64], tmp_path))


def test_energy_from_counters_that_start_again(tmp_path: Path) -> None:
    for zone, energy in (("intel-rapl:0", 900_000), ("intel-rapl:0:0", 5), ("intel-rapl:1", 100_000)):
        folder = tmp_path / "sys/class/powercap" / zone
        folder.mkdir(parents=True)
        (folder / "energy_uj").write_text(f"{energy}\n")
        (folder / "max_energy_range_uj").write_text("1000000\n")
    meter = find_meter(tmp_path)
    assert isinstance(meter, Counters)
    assert meter.source.startswith("RAPL")
    meter.begin()
    (tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj").write_text("400000\n")  # past its range
    (tmp_path / "sys/class/powercap/intel-rapl:1/energy_uj").write_text("300000\n")
    (tmp_path / "sys/class/powercap/intel-rapl:0:0/energy_uj").write_text("90000\n")  # part of intel-rapl:0
    assert meter.end() == pytest.approx(0.5 + 0.2)
    (tmp_path / "sys/class/powercap/intel-rapl:1/energy_uj").unlink()
    assert meter.end() is None


def test_energy_from_sensors_of_the_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chip = tmp_path / "sys/class/hwmon/hwmon0"
    chip.mkdir(parents=True)
    (chip / "name").write_text("ina226\n")
    (chip / "power1_input").write_text("4000000\n")
    meter = find_meter(tmp_path)
    assert meter.source == "hwmon ina226"
    clock = iter([10.0, 12.0, 13.0])
    monkeypatch.setattr("edge.device.energy.time.perf_counter", lambda: next(clock))
    meter.begin()
    assert meter.end() == pytest.approx(8.0)  # 4 W for 2 s
    assert isinstance(find_meter(tmp_path / "nothing"), NoMeter)
    assert Power("x", lambda: None).end() is None
    assert find_meter(tmp_path / "nothing").end() is None


def test_watts_of_a_raspberry_pi_5() -> None:
    text = """ 3V7_WL_SW_A current(0)=0.10000000A
   3V3_SYS_A current(1)=0.50000000A
   3V7_WL_SW_V volt(8)=3.70000000V
     3V3_SYS_V volt(9)=3.30000000V
      EXT5V_V volt(24)=5.15000000V
"""
    assert rails(text) == pytest.approx(0.37 + 1.65)
    assert rails("error") is None


def test_front_and_budget() -> None:
    rows = full().rows
    assert verdict.front(rows) == [0, 1]
    assert verdict.choose(rows, 100.0, str).best == 0  # the most accurate
    assert verdict.choose(rows, 30.0, str).best == 1
    none = verdict.choose(rows, 3.0, str)
    assert none.best is None
    assert "none is within 3.0 ms" in none.sentence
    unknown = verdict.choose([measured("a", 30.0), measured("b", 20.0)], 50.0, str)
    assert unknown.best == 1
    assert "accuracy is not known" in unknown.sentence
    mixed = full().rows
    mixed[1].accuracy = Accuracy(16, None, None, 0.99, "float32.tflite")  # classes that the truth does not know
    assert verdict.front(mixed) == [0], "agreement is no mIoU"
    assert "accuracy is not known" in verdict.choose(mixed, 30.0, str).sentence
    rows[0].invalid = ["x"]
    assert "doubtful" in verdict.choose(rows, 100.0, str).sentence


def test_a_difference_inside_the_noise_is_a_tie() -> None:
    same = verdict.pairs([measured("a", 20.0), measured("b", 20.0, seed=1)])[0]
    assert verdict.tie(same.invoke)
    other = verdict.pairs([measured("a", 20.0), measured("b", 22.0, seed=1)])[0]
    assert not verdict.tie(other.invoke)
    few = verdict.pairs([measured("a", 20.0, rounds=3), measured("b", 40.0, rounds=3)])[0]
    assert verdict.tie(few.invoke)
    interrupted = verdict.pairs([measured("a", 20.0, rounds=6), measured("b", 40.0, rounds=5)])[0]
    assert interrupted.invoke.value == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize("rounds", [ROUNDS[0], Settings().rounds])
def test_copies_tie_and_five_percent_are_seen_in_spite_of_neighbours(rounds: int) -> None:
    """Both drift together; every fifth turn something else wants the processor."""
    chance, trials = np.random.default_rng(0), 150
    ties = seen = 0
    for _ in range(trials):
        drift = np.cumsum(chance.normal(0, 0.01, rounds))
        busy = [(chance.random(rounds) < 0.2) * chance.exponential(0.4, rounds) for _ in range(2)]
        first, second = (np.exp(drift + part + chance.normal(0, 0.02, rounds)).tolist() for part in busy)
        ties += verdict.tie(ratio(second, first))
        seen += not verdict.tie(ratio([1.05 * value for value in second], first))
    assert ties / trials >= 0.9
    assert seen / trials >= (0.4 if rounds == ROUNDS[0] else 0.8)


def test_the_gate() -> None:
    earlier = document(comparison([measured("a", 20.0), measured("b", 20.0)]), [])
    verdict.gate([measured("a", 21.0), measured("b", 20.0)], earlier, 1.10, str)
    with pytest.raises(GateFailed, match=r"0: invoke 1\.2\d times as long.*0: frame 1\.1\d"):
        verdict.gate([measured("a", 24.6), measured("b", 20.0)], earlier, 1.10, str)
    gone = Row(Candidate(Path("b.tflite"), "auto", None), error="its process died")
    with pytest.raises(GateFailed, match="measured before, now not: its process died"):
        verdict.gate([measured("a", 20.0), gone], earlier, 1.10, str)
    with pytest.raises(UsageError, match="nothing to compare"):
        verdict.gate([measured("c", 20.0)], earlier, 1.10, str)


def test_peak_memory_is_the_childs_own(int8_model: Path, pictures: Path) -> None:
    """Not that of the process which started it."""
    ballast = np.ones(600 << 20, np.uint8)
    row = Row(Candidate(int8_model, "auto", 1))
    Comparison([row], quick(pictures)).run()
    assert row.memory is not None
    assert row.memory.peak_rss_mb < 400
    assert ballast.all()
