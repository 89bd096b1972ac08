"""Time stamps that jump, as in joined recordings, and those that only seem to."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from films import number_in, write_film, write_joined

from edge.errors import SourceError
from edge.sources.clock import Clock
from edge.sources.open import open_source
from edge.sources.options import SourceHealth, SourceOptions

WRAP_S = 2**33 / 90_000  # when the clock of MPEG-TS begins again
RATE = Fraction(25)


def times(stamps_s: list[float | None], begin_s: float | None = 0.0) -> tuple[list[float | None], int]:
    health = SourceHealth()
    clock = Clock(begin_s, RATE, health)
    told = [clock.time_s(stamp) for stamp in stamps_s]
    return [None if time_s is None else round(time_s, 6) for time_s in told], health.jumps


@pytest.mark.parametrize(
    ("stamps_s", "told_s", "jumps"),
    [
        ([0, 0.04, 0.08, 0, 0.04], [0, 0.04, 0.08, 0.12, 0.16], 1),
        ([0, 0.04, 3600, 3600.04], [0, 0.04, 0.08, 0.12], 1),
        ([0, 0.02, 0.04, 3600, 0, 0.02], [0, 0.02, 0.04, 0.06, 0.08, 0.1], 2),  # at the film's own pace, not its rate
        ([0, 0.04, 2.5, 2.54], [0, 0.04, 2.5, 2.54], 0),  # frames were lost
        ([0, 0.013, 0.2, 0.9, 0.93], [0, 0.013, 0.2, 0.9, 0.93], 0),
        ([0, 3, 6, 9, 26, 29], [0, 3, 6, 9, 26, 29], 0),  # a film of a frame in three seconds
        ([0, 10, 20, 30, 75, 85], [0, 10, 20, 30, 75, 85], 0),
        ([0, 3600, 3600.04], [0, 0.04, 0.08], 1),
        ([0, 0.04, 0.04, 0.08], [0, 0.04, 0.04, 0.08], 0),
        ([0, 0.08, 0.04, 0.12, 0.16], [0, 0.08, 0.08, 0.12, 0.16], 0),  # changed places
        ([0, None, None, 0.12], [0, 0.04, 0.08, 0.12], 0),
        ([None, None], [None, None], 0),
        ([-0.52, -0.48, -0.44], [0, 0.04, 0.08], 0),
        ([7000, 7000.04], [0, 0.04], 0),  # nowhere near the beginning that the file tells
        ([0.16, 0.2], [0.16, 0.2], 0),  # frames are missing at the beginning
    ],
)
def test_jumps_are_closed_to_one_period_and_all_else_is_kept(
    stamps_s: list[float | None], told_s: list[float | None], jumps: int
) -> None:
    assert times(stamps_s) == (told_s, jumps)


def test_the_first_frame_is_the_beginning_where_nothing_tells() -> None:
    assert times([3.0, 3.04], None) == ([0, 0.04], 0)


JOINED = [(0.0, 0.0), (0.0, 3600.0), (3600.0, 0.0), (3.0, 0.0), (0.0, 50.0, 1.0)]


@pytest.mark.parametrize("begins_s", JOINED)
def test_joined_recordings_last_as_long_as_their_frames(tmp_path: Path, begins_s: tuple[float, ...]) -> None:
    film, health = write_joined(tmp_path, begins_s), SourceHealth()
    source = open_source(str(film), health=health)
    frames = list(source)
    count = 25 * len(begins_s)
    assert source.info.frame_count == count
    assert [frame.index for frame in frames] == [number_in(frame.pixels) for frame in frames] == list(range(count))
    assert [frame.time_s for frame in frames] == pytest.approx([number / 25 for number in range(count)], abs=1e-4)
    assert health.jumps == len(begins_s) - 1


def test_a_clock_that_wraps_goes_on(tmp_path: Path) -> None:
    film = write_joined(tmp_path, (WRAP_S - 2, WRAP_S - 1, 0.0))
    frames = list(open_source(str(film)))
    assert [number_in(frame.pixels) for frame in frames] == list(range(75))
    told = [frame.time_s or 0.0 for frame in frames]
    assert all(0.03 < later - earlier < 0.13 for earlier, later in pairwise(told)), (
        "0.08 s where the encoder began anew"
    )


@pytest.mark.parametrize("begins_s", JOINED)
def test_seconds_of_joined_recordings_count_from_the_beginning(tmp_path: Path, begins_s: tuple[float, ...]) -> None:
    film = str(write_joined(tmp_path, begins_s))
    source = open_source(film, SourceOptions(start_s=1.2))
    frames = list(source)
    assert source.info.frame_count == len(frames) == 25 * len(begins_s) - 30
    assert [frame.index for frame in frames[:3]] == [number_in(frame.pixels) for frame in frames[:3]] == [30, 31, 32]
    assert frames[0].time_s == pytest.approx(1.2)
    few = open_source(film, SourceOptions(start_s=0.4, limit=20))
    assert few.info.frame_count == 20
    assert [number_in(frame.pixels) for frame in few] == list(range(10, 30))
    with pytest.raises(SourceError, match=rf"has no frame after 9 s; it is {len(begins_s)}\.0 s long"):
        open_source(film, SourceOptions(start_s=9))


def test_joined_recordings_play_in_real_time_and_again(tmp_path: Path) -> None:
    film = str(write_joined(tmp_path, (0.0, 3600.0)))
    frames = list(open_source(film, SourceOptions(realtime=True, loop=True, limit=60, start_s=1.2)))
    assert [frame.index for frame in frames] == list(range(30, 90))
    assert [frame.time_s for frame in frames] == pytest.approx([n / 25 for n in range(30, 90)], abs=1e-4)
    assert frames[-1].t_capture_s - frames[0].t_capture_s == pytest.approx(59 / 25, abs=1.0)


def test_a_jump_ahead_in_other_containers_is_closed_too(tmp_path: Path) -> None:
    times_s = [0.0, 0.04, 0.08, 2.0, 2.04, 900.0, 900.04]
    film = write_film(tmp_path / "v.mkv", range(7), times_s=times_s)
    health = SourceHealth()
    told = [frame.time_s for frame in open_source(str(film), health=health)]
    assert told == pytest.approx([0.0, 0.04, 0.08, 2.0, 2.04, 2.08, 2.12])
    assert health.jumps == 1


def test_a_jump_makes_no_pause_between_the_turns_of_a_loop(tmp_path: Path) -> None:
    """An MP4 tells its rate as its frames over its length."""
    film = write_film(tmp_path / "v.mp4", range(8), times_s=[0.0, 0.04, 0.08, 0.12, 900.0, 900.04, 900.08, 900.12])
    told = [frame.time_s for frame in open_source(str(film), SourceOptions(loop=True, limit=20))]
    assert told == pytest.approx([number / 25 for number in range(20)], abs=1e-3)
