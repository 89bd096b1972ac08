"""Finds the pictures that a text names: a folder of them, those that match a pattern, or one."""

from __future__ import annotations

import glob
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from natsort import natsorted

from edge.address import public
from edge.errors import SourceError
from edge.sources.left_out import LeftOut

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
    | {".heic", ".heif", ".hif", ".avif"}
)
IN_FOLDERS = SUFFIXES | {".gif"}  # named by itself it is a film


def picture_files(spec: str, *, deep: bool = False, left_out: LeftOut | None = None) -> list[Path] | None:
    """Returns the picture files that a text names: those of a folder, a picture, or those that a pattern matches.

    They are ordered, `2.png` before `10.png`, and hidden ones do not count. `deep` takes the folders within a folder,
    too, each once where links lead in circles. What is none of these, such as a video, gives None. `left_out` is told
    of the files beside them that are no pictures.

    Raises SourceError where a folder or a pattern has no pictures.
    """
    path = Path(spec)
    if "://" in spec:
        return None  # an address may hold what looks like a pattern
    if path.is_dir() and deep:
        return pictures_in(path, left_out)
    if path.is_dir():
        return _pictures(spec, _directly_in(path), f"{spec}: expected pictures in this folder", left_out)
    if path.is_file():
        return [path] if path.suffix.lower() in SUFFIXES else None
    if not any(char in spec for char in "*?["):
        return None
    expected = f"{spec}: expected a pattern that matches pictures"
    return _pictures(spec, (path for path in _matching(spec) if path.is_file()), expected, left_out)


def is_picture(name: str) -> bool:
    """Returns whether a file of this name is taken for a picture."""
    return Path(name).suffix.lower() in IN_FOLDERS


def pictures_or_folder(source: str, left_out: LeftOut | None = None) -> Path | list[Path] | None:
    """Returns a folder as it is, else the picture files that `source` names as in `picture_files`; None for a video.

    Raises SourceError where there is nothing of that name.
    """
    if Path(source).is_dir():
        return Path(source)
    pictures = picture_files(source, left_out=left_out)
    if pictures is None and not Path(source).is_file():
        expected = "a folder, a picture, a pattern like 'd/*.jpg', a video or demo"
        raise SourceError(f"{public(source)}: not found; expected {expected}")
    return pictures


def pictures_in(folder: Path, left_out: LeftOut | None = None) -> list[Path]:
    """Returns the pictures in `folder`, to any depth, as `picture_files` does. Raises SourceError without any."""
    _check_folder(folder, "pictures")
    return _pictures(str(folder), _walk(folder, left_out), f"{folder}: expected pictures in this folder", left_out)


def files_in(folder: Path, suffixes: frozenset[str], what: str) -> list[Path]:
    """Returns the files in `folder`, to any depth, that have one of the suffixes, ordered; hidden ones are left out.

    Raises SourceError, which calls them `what`, where there is none.
    """
    _check_folder(folder, what)
    files = [path for path in _walk(folder) if path.suffix.lower() in suffixes]
    if not files:
        raise SourceError(f"{folder}: expected {what} ({', '.join(sorted(suffixes))}), found none")
    return natsorted(files, key=str)


def name_in(source: str, file: Path) -> str:
    """Returns how to call a file of `source` in few words: its path in that folder, its own name elsewhere."""
    return str(file.relative_to(source)) if file.is_relative_to(source) and file != Path(source) else file.name


def names_of_outputs(files: Iterable[Path]) -> list[str]:
    """Returns a name for what is made of each file: its path below the folder that all are in, without its suffix.

    The suffix stays where the name would be another file's too: `a.jpg` beside `a.png` is `a.jpg`.
    """
    paths = [os.path.abspath(file) for file in files]
    common = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
    whole = [os.path.relpath(path, common) for path in paths]
    bare = [os.path.splitext(name)[0] for name in whole]
    times, taken = Counter(bare), set(whole)
    return [stem if times[stem] == 1 and stem not in taken else name for stem, name in zip(bare, whole, strict=True)]


def _check_folder(folder: Path, what: str) -> None:
    if not folder.is_dir():
        raise SourceError(f"{folder}: expected a folder of {what}, found {'a file' if folder.exists() else 'none'}")


def _pictures(spec: str, candidates: Iterable[Path], expected: str, left_out: LeftOut | None) -> list[Path]:
    files = natsorted((path for path in candidates if not path.name.startswith(".")), key=str)
    pictures = [path for path in files if path.suffix.lower() in IN_FOLDERS]
    if not pictures:
        raise SourceError(f"{expected} ({', '.join(sorted(IN_FOLDERS))}), found none among {len(files)} files")
    if left_out is not None:
        left_out.asked += len(pictures)
        others = (path for path in files if path.suffix.lower() not in IN_FOLDERS)
        left_out.others += [(name_in(spec, path), f"{path.suffix.lower() or 'suffixless'} file") for path in others]
    return pictures


def _directly_in(folder: Path) -> list[Path]:
    """Returns the files in a folder, and those that links in it lead to."""
    try:
        return [path for path in folder.iterdir() if path.is_file()]
    except OSError as exc:
        raise SourceError(f"{exc.filename}: cannot be read ({exc.strerror})") from exc


def _walk(top: Path, left_out: LeftOut | None = None) -> Iterator[Path]:
    """Yields the files in a folder, to any depth."""
    for folder in _folders(top, left_out):
        yield from _directly_in(folder)


def _folders(top: Path, left_out: LeftOut | None = None) -> Iterator[Path]:
    """Yields a folder and those within it, to any depth: hidden ones and those that refuse left out, and each one once
    however many links lead to it.
    """
    seen, todo = set(), deque([top])
    while todo:
        folder = todo.popleft()
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            todo += sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        except OSError as exc:
            if folder == top:
                raise SourceError(f"{exc.filename}: cannot be read ({exc.strerror})") from exc
            if left_out is not None:
                left_out.others.append((name_in(str(top), folder), "unreadable folder"))
            continue
        yield folder


def _matching(pattern: str) -> Iterator[Path]:
    """Yields what a pattern matches; `**` stands for any depth of folders, as `_folders` finds them."""
    parts = Path(pattern).parts
    if "**" not in parts:
        yield from map(Path, glob.iglob(pattern))
        return
    place, seen = parts.index("**"), set()
    rest = parts[place + 1 :] or ("*",)
    for top in glob.iglob(os.path.join(*parts[:place])) if place else ["."]:
        for folder in _folders(Path(top)) if os.path.isdir(top) else ():
            for path in _matching(os.path.join(glob.escape(str(folder)), *rest)):
                real = os.path.realpath(path.parent), path.name
                if real not in seen:  # a second `**` finds it again
                    seen.add(real)
                    yield path
