"""Joins the parts of a film into its outputs."""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.archive import part as parts
from edge.archive.answers import Broken, Done, Fault
from edge.archive.films import Film
from edge.archive.mark import mark
from edge.archive.storage import exists, fetch, is_local, join, put, remove, settle
from edge.cluster.calls import worker_name
from edge.errors import RoadliteError, SinkError
from edge.leftovers import TemporaryFolder
from edge.text import reason


@dataclass(frozen=True, slots=True)
class Join:
    """What is joined into what."""

    folder: str  # the address of the folder of the parts, and of the mark
    parts: tuple[str, ...]  # their names, in the order of the pieces
    frames: int | None  # of the film, where it was cut and its container tells
    outputs: Mapping[str, str]
    begun: frozenset[str] = frozenset()  # outputs of interrupted runs, which stay marked


def join_film(film: Film, joined: Join) -> Done | Broken | Fault:
    """Joins the parts of a film into its outputs, each of which appears at once, and is on the disk by then."""
    start_s = time.perf_counter()
    try:
        with TemporaryFolder() as here:
            folder = Path(here)
            files = [_part(join(joined.folder, name), folder, number) for number, name in enumerate(joined.parts)]
            broken = frozenset(number for number, file in enumerate(files) if not parts.is_sound(file))
            if broken:
                for number in broken:
                    remove(join(joined.folder, joined.parts[number]))
                return Broken(broken)
            frames = sum(map(parts.frames_in, files))
            if len(files) > 1 and frames != joined.frames:
                return Fault(
                    f"{film.address}: expected {joined.frames} frames, its pieces have {frames}", as_whole=True
                )
            mark(joined.folder, joined.begun | set(joined.outputs.values()))
            _put(files, folder, joined.outputs)
    except ValueError as exc:
        return Fault(f"{film.address}: {exc}", as_whole=True)
    except RoadliteError as exc:
        return Fault(str(exc))
    except OSError as exc:
        return Fault(f"{film.address}: its parts cannot be joined ({reason(exc)})")
    return Done(frames, time.perf_counter() - start_s, worker_name())


def _part(address: str, folder: Path, number: int) -> Path:
    if is_local(address):
        return Path(address)
    copy = folder / f"{number}.part"
    fetch(address, copy, SinkError)
    return copy


def _put(files: Sequence[Path], folder: Path, outputs: Mapping[str, str]) -> None:
    if "overlay" in outputs:
        put(parts.join_films(files, folder), outputs["overlay"])
    if "labels" in outputs:
        _put_labels(files, folder, outputs["labels"])


def _put_labels(files: Sequence[Path], folder: Path, address: str) -> None:
    """Puts the label pictures where they belong: in a folder of this machine, or elsewhere in a zip."""
    labels = parts.labels_in(files, single=len(files) == 1)
    if not is_local(address):
        with zipfile.ZipFile(folder / "labels.zip", "w", zipfile.ZIP_STORED) as packed:
            for name, data in labels:
                packed.writestr(zipfile.ZipInfo(name), data)
        put(folder / "labels.zip", address)
        return
    final = Path(address)
    final.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryFolder(final.parent) as beside:
        made = Path(beside, final.name)
        made.mkdir()
        for name, data in labels:
            (made / name).write_bytes(data)
        os.sync()  # all pictures at once: one by one, thousands of them would wait for the disk
        if exists(address):
            os.replace(final, Path(beside, f"{final.name}.before"))  # which goes at once, and not file by file
        os.replace(made, final)
        settle(final.parent)
