"""Films that end before their time, as after a loss of power or a copy that broke off, in every container alike."""

from __future__ import annotations

import re
from pathlib import Path

import av
import pytest
from films import number_in, write_film, write_joined

from edge.errors import SourceError
from edge.mp4 import boxes
from edge.sources.open import open_source
from edge.sources.options import SourceHealth, SourceOptions

FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
FRONT = {"movflags": "faststart"}
KINDS = {
    "front.mp4": FRONT,
    "front.mov": FRONT,
    "fragments.mp4": FRAGMENTS,
    "a.mkv": {},
    "a.webm": {"codec": "libvpx-vp9"},
    "a.avi": {"codec": "mpeg4", "qmin": "1", "qmax": "1"},
    "a.ts": {},
}
COUNT = 75


def made(folder: Path, name: str) -> Path:
    return write_film(folder / name, range(COUNT), **KINDS[name])


def cut(path: Path, size: int) -> Path:
    path.write_bytes(path.read_bytes()[:size])
    return path


def opened(path: Path, options: SourceOptions | None = None) -> tuple[list[str], int | None, list[int], SourceHealth]:
    """What is said, how many frames are promised, which come, and the counters."""
    said, health = list[str](), SourceHealth()
    source = open_source(str(path), options, health=health, say=said.append)
    frames = list(source)
    assert [number_in(frame.pixels) for frame in frames] == [frame.index for frame in frames]
    return said, source.info.frame_count, [frame.index for frame in frames], health


@pytest.mark.parametrize("name", KINDS)
def test_a_whole_film_is_not_called_cut_off(tmp_path: Path, name: str) -> None:
    said, count, indices, _ = opened(made(tmp_path, name))
    assert (said, count, indices) == ([], COUNT, list(range(COUNT)))


@pytest.mark.parametrize("part", [0.7, 0.8, 0.9])
@pytest.mark.parametrize("name", KINDS)
def test_what_is_there_of_a_film_comes_and_what_is_missing_is_said(
    tmp_path: Path, name: str, part: float, capfd: pytest.CaptureFixture[str]
) -> None:
    film = made(tmp_path, name)
    with av.open(str(film)) as whole:
        ends = [packet.pos + packet.size for packet in whole.demux(video=0) if packet.size]
    size = film.stat().st_size
    left = int(size * part) | 1  # within a packet of MPEG-TS: nothing tells of a cut between two
    said, count, indices, health = opened(cut(film, left))
    assert count == len(indices)
    assert abs(len(indices) - sum(end <= left for end in ends)) <= 1, "not every container tells where a packet ends"
    assert health.skipped == 0
    assert capfd.readouterr() == ("", "")
    assert len(said) == 1
    assert str(film) in said[0]
    told = re.search(r"cut off: (at least )?([\d,]+) of ([\d,]+) bytes are missing", said[0])
    assert told is not None, said
    missing, promised = (int(number.replace(",", "")) for number in told.groups()[1:])
    assert promised - missing == left
    if told[1] is None:
        assert promised == size
        if len(indices) >= COUNT - 1:  # and only the index behind them is missing
            return
        seconds = re.search(r" ([\d.]+) of 3\.0 s", said[0])
        assert seconds is not None, said
        assert float(seconds[1]) == pytest.approx((COUNT - 1 - indices[-1]) / 25, abs=0.11)


def test_the_head_of_a_fragment_may_be_cut(tmp_path: Path) -> None:
    """FFmpeg opens no such file."""
    film = made(tmp_path, "fragments.mp4")
    heads = [box for box in boxes(film) if box.name == b"moof"]
    cut(film, heads[3].end - 5)
    with pytest.raises(av.error.FFmpegError):
        av.open(str(film))
    said, count, indices, _ = opened(film)
    assert (count, indices) == (36, list(range(36)))  # three groups of 12
    assert "at least" in said[0]


@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_an_mp4_without_its_index_is_refused_by_that_name(
    tmp_path: Path, name: str, part: float, capfd: pytest.CaptureFixture[str]
) -> None:
    film = write_film(tmp_path / name, range(COUNT))
    cut(film, int(film.stat().st_size * part))
    with pytest.raises(SourceError, match=rf"{name}: the video is cut off: its index \(moov\).* missing"):
        open_source(str(film))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["front.mp4", "a.avi"])
def test_a_film_that_is_cut_before_its_first_frame_is_refused_as_such(tmp_path: Path, name: str) -> None:
    film = made(tmp_path, name)
    with av.open(str(film)) as whole:
        first = next(whole.demux(video=0)).pos or 0
    cut(film, first - 20 if name == "a.avi" else first + 2)
    with pytest.raises(SourceError, match=r"cut off.* of [\d,]+ bytes"):
        open_source(str(film))


def test_a_film_can_be_begun_later_where_it_is_still_there(tmp_path: Path) -> None:
    film = made(tmp_path, "a.mkv")
    cut(film, int(film.stat().st_size * 0.7))
    length = len(opened(film)[2])
    said, count, indices, _ = opened(film, SourceOptions(start_s=1.0))
    assert count == len(indices) == length - 25
    assert indices[0] == 25
    assert len(said) == 1
    with pytest.raises(SourceError, match=r"no frame after 2\.5 s; it is 1\.\d s long; it is cut off"):
        open_source(str(film), SourceOptions(start_s=2.5))


def test_joined_recordings_may_be_cut_too(tmp_path: Path) -> None:
    film = write_joined(tmp_path, (3600.0, 0.0))
    cut(film, film.stat().st_size - 200)
    said, count, indices, health = opened(film)
    assert count == len(indices) >= 48
    assert health.jumps == 1
    assert " s;" not in said[0], "no estimate from a clock that jumps"


def test_a_film_that_was_never_finished_promises_nothing(tmp_path: Path) -> None:
    """A recorder that cannot go back leaves the lengths open."""
    film = tmp_path / "live.mkv"
    whole = write_film(tmp_path / "a.mkv", range(COUNT), bf="0")
    with av.open(str(whole)) as read, av.open(str(film), "w", options={"live": "1"}) as written:
        out = written.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(video=0):
            if packet.dts is not None:
                packet.stream = out
                written.mux(packet)
    said, _, indices, _ = opened(film)
    assert (said, len(indices)) == ([], COUNT)


@pytest.mark.parametrize("name", ["front.mp4", "fragments.mp4", "a.mkv", "a.avi"])
@pytest.mark.parametrize("more", [bytes(4096), b"\x7f\xff\xff\xf0\1\2\3\4" * 50])
def test_what_follows_a_film_is_not_taken_for_a_part_of_it(tmp_path: Path, name: str, more: bytes) -> None:
    """Such as the rest of a block on a disk that lost its power."""
    film = made(tmp_path, name)
    film.write_bytes(film.read_bytes() + more)
    assert opened(film)[0] == []


def test_the_projects_own_recording(shared: object) -> None:
    film = shared("cases/own_recording_cut70.mp4")  # type: ignore[operator]
    said: list[str] = []
    source = open_source(str(film), say=said.append)
    assert source.info.frame_count == len(list(source)) == 102
    assert "56,134 of 331,290 bytes are missing, 0.9 of 5.0 s" in said[0]
