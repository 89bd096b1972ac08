from __future__ import annotations

import pytest

from edge.classes import CITYSCAPES, VOC, ClassSet, guess, known, spread_colours
from edge.errors import CardError, UsageError


def test_the_label_sets_are_the_published_ones() -> None:
    assert (len(CITYSCAPES), len(VOC)) == (19, 21)
    assert {name: CITYSCAPES.names.index(name) for name in ("road", "sky", "car", "bicycle")} == {
        "road": 0,
        "sky": 10,
        "car": 13,
        "bicycle": 18,
    }
    assert CITYSCAPES.colours[13] == (0, 0, 142)
    # The first colours of the PASCAL VOC devkit's VOCcolormap, and its void.
    assert VOC.colours[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert spread_colours(256)[255] == (224, 224, 192)
    assert (VOC.names[15], VOC.colours[15]) == ("person", (192, 128, 128))


def test_colours_of_any_number_of_classes_differ() -> None:
    assert len(set(spread_colours(65535))) == 65535


def test_the_table_is_black_where_there_is_no_class() -> None:
    table = CITYSCAPES.table()
    assert (table.shape, table.dtype) == ((256, 3), "uint8")
    assert table[0].tolist() == [128, 64, 128]
    assert not table[19:].any()


@pytest.mark.parametrize(("count", "first"), [(19, "road"), (21, "background"), (5, "class 0"), (255, "class 0")])
def test_labels_are_guessed_from_their_number(count: int, first: str) -> None:
    assert (len(guess(count)), guess(count).names[0]) == (count, first)


def test_an_unknown_label_set_names_the_known_ones() -> None:
    assert known("voc") is VOC
    with pytest.raises(UsageError, match="`classes`: expected one of cityscapes, voc or a file of names, got 'coco'"):
        known("coco")


@pytest.mark.parametrize(("names", "colours"), [(("a",), ()), ((), ()), (("a",) * 65536, ((0, 0, 0),) * 65536)])
def test_a_set_needs_a_colour_for_each_of_1_to_65535_classes(names: tuple[str, ...], colours: tuple[()]) -> None:
    with pytest.raises(CardError, match="expected"):
        ClassSet(names, colours)
