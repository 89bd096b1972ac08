"""Films are cut where they can be read again, and only there."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import av
import pytest
from archives import moving_film
from films import write_film, write_joined

from edge.archive.cutting import WHOLE, Piece, pieces_of, plan
from edge.archive.piece_source import PieceDiffers, PieceSource
from edge.errors import SourceError
from edge.sources.video import Video


def test_pieces_begin_at_key_frames_and_are_long_enough() -> None:
    keys = [0, 10, 20, 30, 40, 50]
    assert pieces_of(keys, 15) == (Piece(0, None, 20), Piece(1, 20, 40), Piece(2, 40, None))
    assert pieces_of(keys, 1000) == pieces_of([0], 1) == WHOLE


def without_index(film: Path) -> bytes:
    """What a recorder writes that cannot go back in its file, such as into a pipe."""
    with Path(f"{film}.pipe").open("wb") as raw, av.open(str(film)) as source:
        written = type("Pipe", (), {"write": lambda self, data: raw.write(data)})()
        with av.open(written, "w", format="matroska") as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(source.streams.video[0]):
                if packet.size:
                    packet.stream = stream
                    target.mux(packet)
    return Path(f"{film}.pipe").read_bytes()


ENCODINGS = {
    "closed": ("film.mp4", {}),
    "open": ("film.mp4", {"x264-params": "open-gop=1:bframes=3:keyint=12:scenecut=0"}),
    "matroska": ("film.mkv", {}),
    "hevc": ("film.mp4", {"codec": "libx265", "x265-params": "keyint=12:min-keyint=12:scenecut=0:log-level=none"}),
    "mpeg2": ("film.mov", {"codec": "mpeg2video"}),
    "matroska without an index": ("film.mkv", {}),
    "matroska open": ("film.mkv", {"x264-params": "open-gop=1:bframes=3:keyint=12:scenecut=0"}),
}


@pytest.mark.parametrize("kind", ENCODINGS)
def test_pieces_together_have_the_frames_of_the_film(tmp_path: Path, kind: str) -> None:
    name, encoding = ENCODINGS[kind]
    film = moving_film(tmp_path / name, 90, **encoding)
    if kind == "matroska without an index":
        film.write_bytes(without_index(film))
    planned = plan(str(film), 1.0)
    assert len(planned.pieces) == 3
    assert planned.frames == 90
    expected = [(frame.time_s, frame.pixels.tobytes()) for frame in Video(film)]
    found = [
        (frame.time_s, frame.pixels.tobytes()) for piece in planned.pieces for frame in PieceSource(str(film), piece)
    ]
    assert [pixels for _, pixels in found] == [pixels for _, pixels in expected]
    assert [time_s for time_s, _ in found] == pytest.approx([time_s for time_s, _ in expected])


def test_a_film_whose_clock_cannot_be_trusted_stays_whole(tmp_path: Path) -> None:
    assert plan(str(write_joined(tmp_path, (0.0, 900.0))), 0.5).pieces == WHOLE
    times_s = [place / 25 + (100 if place > 20 else 0) for place in range(40)]
    assert plan(str(write_film(tmp_path / "gap.mkv", range(40), times_s=times_s)), 0.5).pieces == WHOLE


def test_a_film_that_was_cut_off_stays_whole(tmp_path: Path) -> None:
    film = moving_film(tmp_path / "film.mkv", 90)
    film.write_bytes(film.read_bytes()[:-500])
    assert plan(str(film), 1.0).pieces == WHOLE


def test_what_is_no_film_is_refused(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"no film" * 100)
    with pytest.raises(SourceError, match="expected a video"):
        plan(str(tmp_path / "film.mp4"))


def test_a_piece_that_does_not_begin_where_it_should_says_so(tmp_path: Path) -> None:
    film = moving_film(tmp_path / "film.mp4", 50)
    begin = plan(str(film), 1.0).pieces[1].begin
    assert begin is not None
    with pytest.raises(PieceDiffers, match="does not begin at its key frame"):
        list(PieceSource(str(film), Piece(1, begin + 7, None)))


def test_damage_within_a_piece_says_so(tmp_path: Path) -> None:
    film = moving_film(tmp_path / "film.mp4", 90)
    planned = plan(str(film), 1.0)
    data = bytearray(film.read_bytes())
    middle = data.find(b"mdat") + 3 * (len(data) - data.find(b"mdat")) // 5
    data[middle : middle + 900] = b"\xff" * 900
    film.write_bytes(bytes(data))
    sources = [PieceSource(str(film), piece) for piece in planned.pieces]
    with pytest.raises(PieceDiffers, match="damaged"):
        list(chain(*sources))
