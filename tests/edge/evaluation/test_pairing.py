from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import SourceError
from edge.evaluation.pairing import Pair, pair
from edge.sources.left_out import LeftOut


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def names(pairs: list[Pair], root: Path) -> list[tuple[str, str]]:
    return [(str(p.image.relative_to(root)), str(p.label.relative_to(root))) for p in pairs]


def test_a_label_is_named_like_its_picture(tmp_path: Path) -> None:
    touch(tmp_path, "i/2.jpg", "i/10.jpg", "i/9.png", "i/notes.txt", "l/2.png", "l/10_mask.png", "l/9_L.bmp", "l/7.png")
    assert names(pair(tmp_path / "i", tmp_path / "l"), tmp_path) == [
        ("i/2.jpg", "l/2.png"),
        ("i/9.png", "l/9_L.bmp"),
        ("i/10.jpg", "l/10_mask.png"),
    ]


def test_cityscapes_trees(tmp_path: Path) -> None:
    """Colours, instances and polygons are no labels; train ids are taken before label ids."""
    for city, number in (("frankfurt", "000000_000294"), ("lindau", "000000_000019")):
        start = f"{city}/{city}_{number}"
        touch(tmp_path / "leftImg8bit" / "val", f"{start}_leftImg8bit.png")
        touch(
            tmp_path / "gtFine" / "val",
            *(f"{start}_gtFine_{kind}" for kind in ("color.png", "instanceIds.png", "labelIds.png", "polygons.json")),
        )
    touch(tmp_path / "gtFine" / "val", "lindau/lindau_000000_000019_gtFine_labelTrainIds.png")
    images, labels = tmp_path / "leftImg8bit" / "val", tmp_path / "gtFine" / "val"
    endings = [p.label.name.rsplit("_", 1)[1] for p in pair(images, labels)]
    assert endings == ["labelIds.png", "labelTrainIds.png"]
    assert [p.label.name.rsplit("_", 1)[1] for p in pair(images, labels, "cityscapes-labelids")] == ["labelIds.png"] * 2
    assert len(pair(tmp_path, tmp_path)) == 2, "the root of both trees will do"


def test_pictures_and_labels_in_one_folder(tmp_path: Path) -> None:
    touch(tmp_path, "street.bmp", "street_mask.bmp", "other.bmp", "labels/lane.png", "lane.png")
    assert names(pair(tmp_path, tmp_path), tmp_path) == [("street.bmp", "street_mask.bmp")]
    assert names(pair(tmp_path, tmp_path / "labels"), tmp_path) == [("lane.png", "labels/lane.png")]


def test_labels_above_the_pictures(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "a_label.png")
    assert names(pair(tmp_path / "images", tmp_path), tmp_path) == [("images/a.png", "a_label.png")]


def test_folders_decide_between_equal_names(tmp_path: Path) -> None:
    touch(tmp_path, "i/train/1.jpg", "i/val/1.jpg", "l/train/1.png", "l/val/1.png")
    assert names(pair(tmp_path / "i", tmp_path / "l"), tmp_path) == [
        ("i/train/1.jpg", "l/train/1.png"),
        ("i/val/1.jpg", "l/val/1.png"),
    ]


def test_a_label_serves_only_the_picture_it_fits_best(tmp_path: Path) -> None:
    touch(tmp_path, "i/train/1.jpg", "i/val/1.jpg", "l/val/1.png", "m/train/1.png")
    assert names(pair(tmp_path / "i", tmp_path / "l"), tmp_path) == [("i/val/1.jpg", "l/val/1.png")]
    assert names(pair(tmp_path / "i", tmp_path / "m"), tmp_path) == [("i/train/1.jpg", "m/train/1.png")]
    touch(tmp_path, "flat/1.png")
    with pytest.raises(SourceError, match=r"1.png: belongs to .*train/1.jpg and to .*val/1.jpg alike"):
        pair(tmp_path / "i", tmp_path / "flat")


def test_a_list_of_pictures(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "l/a.png", "l/b.png")
    assert names(pair([tmp_path / "b.jpg"], tmp_path / "l"), tmp_path) == [("b.jpg", "l/b.png")]


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        ("i", "none", "none: expected a folder of label files, found none"),
        ("none", "l", "none: expected a folder of"),
        ("i", "empty", "empty: expected label files"),
        ("empty", "l", "empty: expected pictures"),
        ("i/a.jpg", "l", "found a file"),
        ("i", "l", r"l: expected label files named like .* found none for 1 .such as a.jpg. pictures among 1 .*b.png"),
    ],
)
def test_nothing_to_pair_is_one_line(images: str, labels: str, words: str, tmp_path: Path) -> None:
    touch(tmp_path, "i/a.jpg", "l/b.png", "i/.hidden.png", "empty/text.txt")
    with pytest.raises(SourceError, match=words):
        pair(tmp_path / images, tmp_path / labels)


def test_labels_of_pictures_that_share_a_name_but_for_the_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "i/a.jpg", "i/a.png", "i/b.jpg", "l/a.jpg.png", "l/a.png.png", "l/b.png")
    assert [(one.image.name, one.label.name) for one in pair(tmp_path / "i", tmp_path / "l")] == [
        ("a.jpg", "a.jpg.png"),
        ("a.png", "a.png.png"),
        ("b.jpg", "b.png"),
    ]


def test_pictures_without_labels_and_files_that_are_none_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "i/a.jpg", "i/b.jpg", "i/deep/c.jpg", "i/notes.txt", "l/b.png")
    left_out = LeftOut()
    assert len(pair(tmp_path / "i", tmp_path / "l", left_out=left_out)) == 1
    assert left_out.lines() == ["left out: 1 .txt file (notes.txt), 2 unlabelled pictures (a.jpg, deep/c.jpg)"]
    assert left_out.unreadable == []
