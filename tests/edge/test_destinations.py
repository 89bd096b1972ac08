from __future__ import annotations

from pathlib import Path

import pytest

from edge.destinations import Destination, keep_apart, numbered_files, one_file, some_files
from edge.errors import UsageError


def png(folder: Path) -> Destination:
    return Destination("out", folder, "000000.png", lambda name: name.endswith((".png", ".jpg")))


def a_file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"precious")
    return path


def test_an_input_under_any_name_is_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = a_file(tmp_path / "films" / "a.mp4")
    (tmp_path / "link").symlink_to(tmp_path / "films")
    (tmp_path / "alias.mp4").symlink_to(source)
    (tmp_path / "films" / "twin.MP4").hardlink_to(source)
    monkeypatch.chdir(tmp_path / "films")
    for name in (source, "a.mp4", "../films/./a.mp4", tmp_path / "link" / "a.mp4", tmp_path / "alias.mp4"):
        with pytest.raises(UsageError, match=r"would write over .*a\.mp4, which is read"):
            keep_apart([one_file(str(name), Path(name))], [source])
    keep_apart([one_file("b.mp4", Path("b.mp4"))], [source])
    keep_apart([one_file("twin.MP4", Path("twin.MP4"))], [source])  # replacing one name leaves the other


def test_a_source_that_is_a_link_keeps_what_it_leads_to(tmp_path: Path) -> None:
    real = a_file(tmp_path / "real" / "a.png")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "b.png").symlink_to(real)
    with pytest.raises(UsageError, match=r"b\.png"):
        keep_apart([png(tmp_path / "real")], [tmp_path / "linked" / "b.png"])


def test_a_name_in_other_letters_is_the_input_where_the_file_system_says_so(tmp_path: Path) -> None:
    """As on the memory cards of cameras; a hard link stands for such a file system."""
    source = a_file(tmp_path / "DRIVE.MP4")
    (tmp_path / "drive.mp4").hardlink_to(source)
    with pytest.raises(UsageError, match=r"DRIVE\.MP4"):
        keep_apart([one_file("drive.mp4", tmp_path / "drive.mp4")], [source])


def test_a_folder_of_sources_is_none_for_outputs_of_their_kind(tmp_path: Path) -> None:
    source = a_file(tmp_path / "a.jpg")
    with pytest.raises(UsageError, match=r"a\.jpg"):
        keep_apart([png(tmp_path)], [source])
    keep_apart([png(tmp_path), png(tmp_path / "below")], [a_file(tmp_path / "model.tflite")])


def test_numbers_take_only_names_of_their_shape(tmp_path: Path) -> None:
    output = numbered_files("o", tmp_path / "overlay-%05d.png")
    keep_apart([output], [tmp_path / "000001.png", tmp_path / "overlay-x.png"])
    with pytest.raises(UsageError, match="overlay-00017"):
        keep_apart([output], [tmp_path / "overlay-00017.png"])


def test_outputs_do_not_take_each_other(tmp_path: Path) -> None:
    folder, film = png(tmp_path), one_file("a", tmp_path / "a.mp4")
    keep_apart([folder, film, some_files("b", tmp_path, ["b.json", "b.csv"])], [])
    for pair in ([folder, png(tmp_path / "x" / "..")], [film, one_file("b", tmp_path / "a.mp4")]):
        with pytest.raises(UsageError, match="one would write over the other"):
            keep_apart(pair, [])
    with pytest.raises(UsageError, match="one would write over the other"):
        keep_apart([numbered_files("n", tmp_path / "%06d.png"), folder], [])
