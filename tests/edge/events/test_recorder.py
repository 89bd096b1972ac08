from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from event_frames import CLASSES, FILM, frame, play

from edge.data import Frame, LabelMap, Result
from edge.errors import SinkError
from edge.events.event import Event
from edge.events.recorder import EventRecorder
from edge.events.rule import parse_rules
from edge.events.watch import EventWatch
from edge.shares import Shares

RULES = parse_rules(["person > 10 % until 5 % for 0.2 s"], {})


@contextmanager
def recording(folder: Path, before_s: float, after_s: float, said: list[str] | None = None) -> Iterator[EventWatch]:
    say = [].append if said is None else said.append
    recorder = EventRecorder(folder, FILM.rate, before_s, after_s, say)
    with closing(EventWatch(RULES, FILM, Shares(CLASSES, {}), {"recorder": recorder}, say)) as watch:
        yield watch


def brightness(path: Path) -> list[tuple[float, int]]:
    """Of each frame of a film its time, and the index that its grey tells."""
    with av.open(str(path)) as container:
        return [
            (round(float(one.time or 0), 2), round(float(one.to_ndarray(format="rgb24").mean()) / 2))
            for one in container.decode(video=0)
        ]


def test_it_begins_before_the_event_and_ends_after(tmp_path: Path) -> None:
    said: list[str] = []
    with recording(tmp_path, 2.0, 1.5, said) as watch:
        play(watch, 100, [range(45, 50)])
        (film,) = tmp_path.glob("*Z-person.mp4")
    seen = brightness(film)
    assert 20 <= 45 - seen[0][1] <= 30, "two seconds before, a second more at most"
    assert 51 + 15 <= seen[-1][1] <= 52 + 15 + 1, "the event ends with frame 52"
    indices = [index for _, index in seen]
    assert all(abs(index - (indices[0] + place)) <= 1 for place, index in enumerate(indices)), "every frame, in order"
    assert [time for time, _ in seen] == pytest.approx([place / 10 for place in range(len(seen))])
    assert said[-1] == f"recorded {film}"


def test_an_event_soon_after_another_goes_on_in_its_film_and_a_late_one_has_its_own(tmp_path: Path) -> None:
    with recording(tmp_path, 1.0, 2.0) as watch:
        play(watch, 120, [range(10, 15), range(25, 30), range(60, 65), range(115, 120)])
    films = sorted(tmp_path.iterdir())
    assert [film.name.endswith("Z-person.mp4") for film in films] == [True] * 3
    starts = [(brightness(film)[0][1], brightness(film)[-1][1]) for film in films]
    assert [end for _, end in starts] == pytest.approx([52, 87, 119], abs=1.1), "the last is finished with the run"
    assert 30 < starts[1][0] <= 51, "the same seconds can be in two films"


def test_no_event_leaves_no_file_and_memory_is_bounded(tmp_path: Path) -> None:
    recorder = EventRecorder(tmp_path, FILM.rate, 2.0, 1.0, print)
    for index in range(120):
        recorder.follow(frame(index, person=False), met=False)
    assert recorder._encoder is not None
    assert 20 <= len(recorder._encoder[0].packets) <= 31
    recorder.close()
    assert not list(tmp_path.iterdir())


def test_what_was_recorded_is_kept_when_the_disk_is_full(tmp_path: Path) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (120, 48, 64, 3), np.uint8)
    recorder = EventRecorder(tmp_path, Fraction(10), 1.0, 1.0, print)
    before, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    recorder._wanted = "event.mp4"

    def record() -> None:
        for index, picture in enumerate(noise):
            recorder.follow(Result(Frame(picture, index, 0.0), LabelMap(picture[..., 0]), picture), met=True)

    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, before[1]))
        with pytest.raises(SinkError, match=r"what was recorded until then is kept in event\.mp4"):
            record()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    recorder.close()
    assert [path.name for path in tmp_path.iterdir()] == ["event.mp4"]
    assert len(brightness(tmp_path / "event.mp4")) >= 10


def test_an_event_in_the_last_frame_is_recorded(tmp_path: Path) -> None:
    with recording(tmp_path, 5.0, 5.0) as watch:
        play(watch, 1, [range(1)])
    (film,) = tmp_path.iterdir()
    assert len(brightness(film)) == 1


def test_an_encoder_that_fails_as_an_event_begins_is_asked_for_nothing_more(tmp_path: Path) -> None:
    """FFmpeg crashes where it is."""
    recorder = EventRecorder(tmp_path, FILM.rate, 1.0, 1.0, print)
    recorder.follow(frame(0, person=False), met=False)
    assert recorder._encoder is not None
    encoder = recorder._encoder[1]
    encoder.finish = lambda: pytest.fail("it was")  # type: ignore[method-assign]
    shown = frame(1, person=True)
    result = Result(shown.frame, shown.labels, shown.picture.astype(np.float32))  # type: ignore[arg-type]  # no picture
    recorder.take(Event("person", "begun", "2026-11-27T21:30:00.125Z", 1, 0.1, 0.25), "person", result)
    with pytest.raises(SinkError, match="cannot be recorded into"):
        recorder.follow(result, met=True)
    assert not list(tmp_path.iterdir())
    encoder.write = lambda _: pytest.fail("it was")  # type: ignore[method-assign]
    recorder.take(Event("person", "begun", "2026-11-27T21:30:01.125Z", 2, 0.2, 0.25), "person", shown)
    recorder.follow(frame(2, person=True), met=True)
    recorder.close()
    assert [path.name for path in tmp_path.iterdir()] == ["20261127T213001.125Z-person.mp4"], "of another encoder"


def test_a_recording_keeps_the_times_of_a_camera(tmp_path: Path) -> None:
    """Its film begins at 0 with the first frame that is in it, and goes on at the camera's own spacing."""
    times = [100.0, 100.1, 100.35, 100.4, 101.4, 101.5, 102.0, 102.75, 102.8, 103.9, 104.0, 104.25]
    recorder = EventRecorder(tmp_path, None, 1.0, 1.0, print)
    for index, time_s in enumerate(times):
        shown = frame(20 + index, person=index == 8)
        result = Result(replace(shown.frame, time_s=time_s), shown.labels, shown.picture)
        if index == 8:
            recorder.take(Event("person", "begun", "2026-11-27T21:30:00.125Z", 28, time_s, 0.25), "person", result)
        recorder.follow(result, met=index == 8)
    recorder.close()
    (film,) = tmp_path.iterdir()
    seen = brightness(film)
    first = seen[0][1] - 20
    assert 0 < first < 8, "what was long before is not in it"
    assert [index for _, index in seen] == pytest.approx(range(20 + first, 20 + first + len(seen)), abs=1.1)
    assert [time for time, _ in seen] == pytest.approx(
        [time_s - times[first] for time_s in times[first : first + len(seen)]], abs=0.011
    )
    assert len(seen) >= 9 - first + 1, "to after the event"
