from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.classes import VOC, ClassSet
from edge.controls import Controls
from edge.data import IGNORE, Frame, LabelMap
from edge.errors import UsageError
from edge.second_model import Disagreement, SecondModel
from edge.segmenter import Segmenter
from edge.sinks.web.feed import _parts
from edge.timing import Timing

GREY = np.full((40, 60, 3), 100, np.uint8)


def both(path: Path, controls: Controls | None = None, *, hud: bool = False) -> SecondModel:
    segmenter = Segmenter(path)
    return SecondModel(segmenter, segmenter, controls or Controls(), Timing(), legend=False, hud=hud)


def halves(left: int, right: int) -> LabelMap:
    ids = np.full((40, 60), left, np.uint8)
    ids[:, 30:] = right
    return LabelMap(ids)


def test_the_four_parts(int8_model: Path) -> None:
    second = both(int8_model)
    colours = second._second.classes.colours
    made = second.result(Frame(GREY, 0, 0.0), halves(0, 11), halves(0, IGNORE), "line")
    assert made.picture.shape == (80, 120, 3)
    assert made.labels.ids[0, 45] == 11, "those of the first"
    blended = [tuple(round(50 + value / 2) for value in colours[class_id]) for class_id in (0, 11)]
    assert np.abs(made.picture[20, 15].astype(int) - blended[0]).max() <= 1
    assert np.abs(made.picture[20, 45].astype(int) - blended[1]).max() <= 1
    assert np.abs(made.picture[20, 75].astype(int) - blended[0]).max() <= 1
    assert tuple(made.picture[20, 105]) == (100, 100, 100), "ignored by the second"
    assert tuple(made.picture[60, 15]) == (45, 45, 45), "they agree"
    assert tuple(made.picture[60, 45]) == (230, 40, 40), "they disagree"
    assert (made.picture[40:, 60:] == GREY).all()
    assert second.summary() == Disagreement(0.5, 0.5, 0)


def test_the_page_paints_both_and_counts_the_first(int8_model: Path) -> None:
    second = both(int8_model)
    made = second.result(Frame(GREY, 0, 0.0), halves(0, 11), halves(13, 13), "")
    assert made.canvas is not None
    canvas = made.canvas()
    assert [canvas.ids[y, x] for y, x in ((0, 0), (0, 45), (0, 60), (40, 0), (40, 60))] == [0, 11, 13, 255, 255]
    assert canvas.pixels.shape == (80, 120, 3)
    assert tuple(canvas.pixels[60, 15]) == (230, 40, 40)
    message = _parts(made, second._second.classes)
    assert b'"width": 120, "height": 80, "shares": [[0, 0.5], [11, 0.5]]' in message


def test_the_page_s_picture_is_made_when_it_is_asked_for(int8_model: Path) -> None:
    """It costs half as much as all that is shown, and few look at the page. Who changes the frame sees it there."""
    pixels = GREY.copy()
    made = both(int8_model).result(Frame(pixels, 0, 0.0), halves(0, 0), halves(0, 0), "")
    pixels[:] = 7
    assert made.canvas is not None
    assert tuple(made.canvas().pixels[10, 10]) == (7, 7, 7)
    assert tuple(made.picture[50, 70]) == (100, 100, 100)


def test_controls_go_for_both_and_captions_are_there(int8_model: Path) -> None:
    controls = Controls("side-by-side", hidden=frozenset({0}))
    second = both(int8_model, controls, hud=True)
    made = second.result(Frame(GREY, 0, 0.0), halves(0, 0), halves(0, 0), "")
    assert made.picture.shape == (80, 120, 3)
    assert tuple(made.picture[30, 15]) == tuple(made.picture[30, 75]) == (100, 100, 100), "hidden"
    assert made.picture[:14, :60].max() > 200, "a caption"
    controls.view, controls.hidden = "mask", frozenset()
    made = second.result(Frame(GREY, 1, 0.0), halves(0, 0), halves(0, 0), "")
    assert tuple(made.picture[30, 15]) == second._second.classes.colours[0]


def test_the_worst_frame_is_named(int8_model: Path) -> None:
    second = both(int8_model)
    assert second.summary() is None
    for index, other in enumerate((halves(0, 0), halves(1, 0), halves(0, 0))):
        second.result(Frame(GREY, index, 0.0), halves(0, 0), other, "")
    assert second.summary() == Disagreement(0.0, 0.5, 1)


def test_models_of_other_classes_are_refused(int8_model: Path) -> None:
    own = Segmenter(int8_model)
    names = (*VOC.names[:-2],)
    other = Segmenter(int8_model, classes=ClassSet(names, VOC.colours[: len(names)]))
    with pytest.raises(UsageError, match="expected the classes of"):
        SecondModel(own, other, Controls(), Timing())
