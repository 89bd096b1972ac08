"""Pairs pictures with the label files that belong to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from natsort import natsorted

from edge.errors import SourceError
from edge.evaluation.labelling import SUFFIXES as LABEL_SUFFIXES
from edge.sources.folders import files_in, name_in, pictures_in
from edge.sources.left_out import LeftOut

# What the names of label files have behind the name of their picture, lower case; the better ones first.
_TRAIN_IDS = ("_gtfine_labeltrainids", "_gtcoarse_labeltrainids", "_labeltrainids", "_train_id")
_LABEL_IDS = ("_gtfine_labelids", "_gtcoarse_labelids", "_labelids")
_ENDINGS = (*_TRAIN_IDS, *_LABEL_IDS, "_label", "_labels", "_mask", "_gt", "_seg", "_l")
_PICTURE = "_leftimg8bit"


@dataclass(frozen=True, slots=True)
class Pair:
    """A picture and the file of its labels."""

    image: Path
    label: Path


def pair(
    images: Path | Sequence[Path], labels_dir: Path, kind: str = "auto", left_out: LeftOut | None = None
) -> list[Pair]:
    """Finds the label file of each picture by its name, and by its folders where names occur more than once.

    `images` is a folder, looked through to any depth, or a list of files. `x.jpg` belongs to `x.png`, `x_mask.png`,
    `x_labelIds.png` and so on, also to `x.jpg.png`; the trees `leftImg8bit` and `gtFine` of Cityscapes fit. Pictures
    without a label are left out, and `left_out` is told of them and of files in the folder that are no pictures. `kind`
    (one of `edge.evaluation.datasets.KINDS`) chooses between labels of several kinds.

    Raises SourceError where there are no pictures, no label files, or none of them belong together.
    """
    labels = labels_in(labels_dir)
    if isinstance(images, Path):
        pictures = pictures_in(images, left_out)
        mixed = images.resolve() == labels_dir.resolve()
        labels = [path for path in labels if (_ending(path) if mixed else not _inside(images, path, labels_dir))]
        pictures = [path for path in pictures if not (path in labels if mixed else _inside(labels_dir, path, images))]
    else:
        pictures = list(images)
        labels = [path for path in labels if path not in set(pictures)]
    pairs = _match(pictures, labels, _LABEL_IDS if kind == "cityscapes-labelids" else ())
    if not pairs:
        some = [f"{len(paths)} (such as {paths[0].name})" if paths else "0" for paths in (pictures, labels)]
        raise SourceError(
            f"{labels_dir}: expected label files named like their pictures, found none for {some[0]} "
            f"pictures among {some[1]} label files"
        )
    if left_out is not None:
        labelled, where = {one.image for one in pairs}, str(images) if isinstance(images, Path) else ""
        left_out.others += [(name_in(where, path), "unlabelled picture") for path in pictures if path not in labelled]
    return pairs


def labels_in(folder: Path) -> list[Path]:
    """Returns the files in `folder`, to any depth, that may hold labels, ordered. Raises SourceError without any."""
    return files_in(folder, LABEL_SUFFIXES, "label files")


def _inside(inner: Path, path: Path, outer: Path) -> bool:
    """Returns whether `path`, found in `outer`, lies in `inner`, a folder within `outer`."""
    inner, outer = inner.resolve(), outer.resolve()
    return inner.is_relative_to(outer) and path.resolve().is_relative_to(inner)


def _ending(label: Path) -> str:
    stem = label.stem.lower()
    return max((ending for ending in _ENDINGS if stem.endswith(ending)), key=len, default="")


def _match(pictures: Iterable[Path], labels: Iterable[Path], preferred: Sequence[str]) -> list[Pair]:
    """Returns each picture with its best label, each label with its best picture."""
    order = (*preferred, "", *_ENDINGS)
    named: dict[str, list[tuple[int, Path]]] = {}
    for label in labels:
        stem, ending = label.stem.lower(), _ending(label)
        named.setdefault(stem, []).append((order.index(""), label))
        if ending:
            named.setdefault(stem.removesuffix(ending), []).append((order.index(ending), label))
    best: dict[Path, tuple[int, Path]] = {}
    for picture in pictures:
        candidates = named.get(picture.name.lower()) or named.get(picture.stem.lower().removesuffix(_PICTURE), [])
        if not candidates:
            continue
        shared, _, label = max((_shared(picture, label), -rank, label) for rank, label in candidates)
        if label in best and shared == best[label][0]:
            raise SourceError(f"{label}: belongs to {best[label][1]} and to {picture} alike; take one folder at a time")
        if label not in best or shared > best[label][0]:
            best[label] = shared, picture
    return natsorted((Pair(picture, label) for label, (_, picture) in best.items()), key=lambda p: str(p.image))


def _shared(picture: Path, label: Path) -> int:
    """Returns how many folders right above them have the same names."""
    count = 0
    for one, other in zip(reversed(picture.parts[:-1]), reversed(label.parts[:-1]), strict=False):
        if one != other:
            break
        count += 1
    return count
