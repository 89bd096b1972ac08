"""Which files a folder or a pattern names, and what is made of each is called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.errors import SourceError
from edge.sources.folders import files_in, names_of_outputs, picture_files
from edge.sources.left_out import LeftOut


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(spec: Path | str, top: Path, deep: bool = False) -> list[str]:
    return [str(path.relative_to(top)) for path in picture_files(str(spec), deep=deep) or []]


def test_the_pictures_of_phones_count(tmp_path: Path) -> None:
    touch(tmp_path, "IMG_1.HEIC", "IMG_2.heif", "b.avif", "c.jfif", "e.gif", "f.JPG", "g.mp4")
    every = ["IMG_1.HEIC", "IMG_2.heif", "b.avif", "c.jfif", "e.gif", "f.JPG"]
    assert found(tmp_path, tmp_path) == every
    assert found(tmp_path / "*", tmp_path) == every
    assert picture_files(str(tmp_path / "IMG_1.HEIC")) == [tmp_path / "IMG_1.HEIC"]
    assert picture_files(str(tmp_path / "e.gif")) is None, "by itself it is a film"


@pytest.mark.parametrize("pattern", ["", "**/*.png", "**/**/*.png"])
def test_folders_in_circles_are_looked_through_once(pattern: str, tmp_path: Path) -> None:
    touch(tmp_path, "1.png", "a/2.png", "a/b/3.png")
    for link in ("loop", "again", "a/up", "a/b/top"):
        os.symlink(tmp_path, tmp_path / link)
    spec = f"{tmp_path}/{pattern}" if pattern else str(tmp_path)
    assert found(spec, tmp_path, deep=True) == ["1.png", "a/2.png", "a/b/3.png"]


def test_links_to_other_folders_and_files_are_followed(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/1.png", "elsewhere/.hidden/2.png", "drive/3.png")
    os.symlink(tmp_path / "elsewhere", tmp_path / "drive" / "more")
    os.symlink(tmp_path / "elsewhere" / "1.png", tmp_path / "drive" / "4.png")
    os.symlink(tmp_path / "nowhere.png", tmp_path / "drive" / "5.png")
    assert found(tmp_path / "drive", tmp_path, deep=True) == ["drive/3.png", "drive/4.png", "drive/more/1.png"]
    assert files_in(tmp_path / "drive", frozenset({".png"}), "files") == picture_files(
        str(tmp_path / "drive"), deep=True
    )


def test_hidden_files_and_folders_stay_out(tmp_path: Path) -> None:
    touch(tmp_path, "1.png", ".2.png", ".git/3.png", "a/.4.png", "a/.b/5.png")
    for spec in (str(tmp_path), f"{tmp_path}/**/*", f"{tmp_path}/**"):
        assert found(spec, tmp_path, deep=True) == ["1.png"]


def test_a_name_with_signs_of_patterns_in_it(tmp_path: Path) -> None:
    touch(tmp_path, "d[1]/a/1.png", "d[1]/b/2.png")
    pattern = f"{tmp_path}/d[[]1]/**/*.png"
    assert found(pattern, tmp_path) == ["d[1]/a/1.png", "d[1]/b/2.png"]


def test_a_relative_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "1.png", "a/2.png")
    monkeypatch.chdir(tmp_path)
    assert picture_files("**/*.png") == [Path("1.png"), Path("a/2.png")]
    assert picture_files("*.png") == [Path("1.png")]


def test_a_folder_that_cannot_be_looked_into_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "1.png", "lost+found/2.png")
    iterdir = Path.iterdir

    def refuse(folder: Path):  # type: ignore[no-untyped-def]
        if folder.name == "lost+found":  # as for anybody but root, whom no mode keeps out
            raise PermissionError(13, "Permission denied", str(folder))
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    left_out = LeftOut()
    assert picture_files(str(tmp_path), deep=True, left_out=left_out) == [tmp_path / "1.png"]
    assert left_out.lines() == ["left out: 1 unreadable folder (lost+found)"]
    with pytest.raises(SourceError, match=r"lost\+found: cannot be read \(Permission denied\)"):
        picture_files(str(tmp_path / "lost+found"), deep=True)


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["a.jpg", "b.png"], ["a", "b"]),
        (["a.jpg", "a.png", "b.png"], ["a.jpg", "a.png", "b"]),
        (["a.jpg", "a.png", "a.jpg.bmp"], ["a.jpg", "a.png", "a.jpg.bmp"]),
        (["x/a.jpg", "y/a.jpg"], ["x/a", "y/a"]),
        (["x/a.jpg", "x/y/a.jpg", "x/y/a.png"], ["a", "y/a.jpg", "y/a.png"]),
        (["my.photo.jpg"], ["my.photo"]),
        (["x/../../up/a.jpg", "x/../../b.jpg"], ["up/a", "b"]),
        ([], []),
    ],
)
def test_outputs_are_called_like_their_pictures_and_never_alike(files: list[str], names: list[str]) -> None:
    assert names_of_outputs(map(Path, files)) == names
