from __future__ import annotations

from pathlib import Path

import pytest

from edge.classes import CITYSCAPES, class_set
from edge.errors import CardError, UsageError
from edge.preprocess import DEEPLAB, Normalisation, parse_normalisation


@pytest.mark.parametrize(
    ("text", "norm"),
    [
        ("deeplab", DEEPLAB),
        ("unit", Normalisation(0.0, 255.0)),
        ("110.5,60", Normalisation(110.5, 60.0)),
        (" -1 , 2", Normalisation(-1.0, 2.0)),
        ("123.15,115.9,103.06,1,1,1", Normalisation((123.15, 115.9, 103.06), 1.0)),
        ("5,5,5,1,2,1", Normalisation(5.0, (1.0, 2.0, 1.0))),
    ],
)
def test_normalisation_is_a_name_or_means_and_deviations(text: str, norm: Normalisation) -> None:
    assert parse_normalisation(text) == norm


@pytest.mark.parametrize(
    "text",
    [
        *("", "imagenet", "1", "1,2,3", "1,2,3,4,5", "1,2,3,1,0,1", "1,2,3,1,1,1,1", "1,2,nan,1,1,1"),
        *("a,b", "1,0", "1,-2", "nan,1", "0,nan", "inf,1", "0,inf"),
    ],
)
def test_other_normalisations_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="`normalise`: expected"):
        parse_normalisation(text)


def test_labels_are_a_known_set_or_a_file(tmp_path: Path) -> None:
    assert class_set("cityscapes") is CITYSCAPES
    path = tmp_path / "labels.txt"
    path.write_bytes("\ufeffstraße\r\ncar\r\n".encode())  # as Windows writes it
    found = class_set(str(path))
    assert found.names == ("straße", "car")


def test_neither_a_set_nor_a_file_names_both_ways_out(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected one of cityscapes, voc or a file"):
        class_set(str(tmp_path / "none.txt"))
    (tmp_path / "model").write_bytes(bytes(range(256)) * 999)
    with pytest.raises(CardError, match="printable class names"):
        class_set(str(tmp_path / "model"))
