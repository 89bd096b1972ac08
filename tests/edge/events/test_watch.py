from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import cv2
import pytest
from event_frames import CLASSES, FILM, frame, play

from edge.data import Result, SourceInfo
from edge.errors import SinkError, UsageError
from edge.events.event import Event, Receiver
from edge.events.log import EventLog
from edge.events.rule import parse_rules
from edge.events.watch import EventWatch
from edge.shares import Shares

LEFT = {"left": [(0.0, 0.0), (0.2, 0.0), (0.2, 1.0), (0.0, 1.0)], "right": [(0.8, 0.0), (1.0, 0.0), (1.0, 1.0)]}
RULES = parse_rules(["person in left > 50 % for 0.2 s until 10 % for 0.3 s", "clear: road > 90 % until 80 %"], LEFT)


def watching(receivers: dict[str, Receiver], said: list[str], info: SourceInfo = FILM) -> EventWatch:
    return EventWatch(RULES, info, Shares(CLASSES, LEFT), receivers, said.append)


def test_events_are_lines_and_pictures(tmp_path: Path) -> None:
    said: list[str] = []
    log = tmp_path / "events" / "events.jsonl"
    with closing(watching({"log": EventLog(log, snapshots=True)}, said)) as watch:
        play(watch, 30, [range(10, 22)])
        assert len(log.read_text().splitlines()) == 5, "each line at once"
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(event["rule"], event["state"], event["index"]) for event in events] == [
        ("clear", "begun", 0),
        ("person in left", "begun", 12),
        ("clear", "ended", 20),
        ("clear", "begun", 22),
        ("person in left", "ended", 25),
        ("clear", "ended", 29),
    ], "what is met at the end ends there"
    begun = next(event for event in events if event["rule"] == "person in left")
    assert (begun["share"], begun["time_s"]) == (1.0, 1.2)
    ended = next(event for event in events if event["rule"] == "person in left" and event["state"] == "ended")
    assert (ended["lasted_s"], "snapshot" in ended) == (1.3, False)
    shown = cv2.imread(str(log.parent / begun["snapshot"]))
    assert shown.shape == (48, 64, 3)
    assert abs(int(shown.mean()) - 24) <= 2, "frame 12"
    assert said[1] == "person in left: begun with 100.0% at 1.2 s (frame 12)"


def test_a_log_goes_on_over_runs_and_half_a_line_is_cut_off(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    for _ in range(2):
        with closing(watching({"log": EventLog(log)}, [])) as watch:
            play(watch, 2, [])
        with log.open("a") as file:
            file.write('{"rule": "cl')
    with closing(EventLog(log)):
        lines = log.read_text().splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["begun", "ended"] * 2
    with pytest.raises(SinkError, match="cannot be written"):
        EventLog(tmp_path)


@pytest.mark.parametrize(
    ("held", "kept"),
    [
        ('{"a": 1}\n{"b": 2}', '{"a": 1}\n{"b": 2}\n'),
        ('{"b": 2}', '{"b": 2}\n'),
        ('{"a": 1}\n{"rule": "person in', '{"a": 1}\n'),
        ('{"a": 1}\n{"ru', '{"a": 1}\n'),
        ('{"rule": "per', ""),
        ('{"a": 1}\n\0\0\0', '{"a": 1}\n'),
        ("\n", "\n"),
    ],
)
def test_a_log_begins_with_the_next_line_whatever_it_ended_with(tmp_path: Path, held: str, kept: str) -> None:
    log = tmp_path / "events.jsonl"
    log.write_text(held)
    with closing(EventLog(log)):
        assert log.read_text() == kept


@pytest.mark.parametrize("held", ["keep me", '{"a": 1}\nkeep me', '{"a": 1}\n{"b": ', "12", "a" * (2 << 20)])
def test_what_is_no_log_stays_as_it_is(tmp_path: Path, held: str) -> None:
    (tmp_path / "notes.jsonl").write_text(held)
    with pytest.raises(SinkError, match="no line of events"):
        EventLog(tmp_path / "notes.jsonl")
    assert (tmp_path / "notes.jsonl").read_text() == held


class Failing(Receiver):
    closed = 0

    def take(self, event: Event, slug: str, result: Result) -> None:
        raise SinkError("out of paper")

    def close(self) -> None:
        self.closed += 1


def test_who_fails_is_left_out_and_the_last_failure_is_raised(tmp_path: Path) -> None:
    said: list[str] = []
    failing = Failing()
    with closing(watching({"printer": failing, "log": EventLog(tmp_path / "e.jsonl")}, said)) as watch:
        play(watch, 2, [])
    assert said[1] == "out of paper; going on without printer"
    assert failing.closed == 1
    assert len((tmp_path / "e.jsonl").read_text().splitlines()) == 2
    alone = watching({"printer": Failing()}, [])
    with pytest.raises(SinkError, match="out of paper"):
        alone.write(frame(0, person=False))


def test_pictures_without_a_time_stand_at_thirty_a_second() -> None:
    said: list[str] = []
    with closing(watching({}, said, SourceInfo("pictures", None, None, 20))) as watch:
        play(watch, 20, [range(5, 20)])
    assert "person in left: begun with 100.0% at 0.4 s (frame 11)" in said


def test_a_class_that_the_model_has_not_is_refused() -> None:
    with pytest.raises(UsageError, match="no class 'cat'"):
        EventWatch(parse_rules(["cat > 2 %"], {}), FILM, Shares(CLASSES, {}), {}, print)
