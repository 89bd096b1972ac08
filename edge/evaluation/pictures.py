"""Pictures that show where a model is wrong: its confusion matrix, and single pictures beside their truth."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from edge.classes import ClassSet
from edge.data import Ids, Pixels
from edge.evaluation.metrics import Confusion
from edge.evaluation.scoring import Worst
from edge.renderer import printable

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SCALE = 0.5
_BLACK, _WHITE, _GREY, _RED = (20, 20, 20), (255, 255, 255), (120, 120, 120), (225, 30, 45)
_CELL_PX, _GAP_PX = 44, 10
_BAR_PX = 30  # a line of text and the room around it


def confusion_picture(confusion: Confusion, names: Sequence[str]) -> Pixels:
    """Returns a heat map, rows the true and columns the predicted classes, in percent of the row.

    The last column, where it is needed, is what was predicted as no class. Rows without pixels stay empty.
    """
    counts = confusion.counts if confusion.counts[:, -1].any() else confusion.counts[:, :-1]
    columns = [*map(printable, names), "no class"][: counts.shape[1]]
    rows = columns[: len(names)]
    totals = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(totals, 1)
    width = max(_text_px(name) for name in columns) + 2 * _GAP_PX
    left, top = width + _BAR_PX, width + _BAR_PX
    picture = np.full(
        (top + len(rows) * _CELL_PX + 2 * _BAR_PX, left + len(columns) * _CELL_PX + _BAR_PX, 3), 255, np.uint8
    )
    _write(picture, "predicted, in % of the true pixels", left, _BAR_PX - _GAP_PX)
    for column, name in enumerate(columns):
        _write_upright(picture, name, left + column * _CELL_PX + _CELL_PX // 2 + 5, top - _GAP_PX)
    for row, name in enumerate(rows):
        y = top + row * _CELL_PX
        _write(picture, name, left - _GAP_PX - _text_px(name), y + _CELL_PX // 2 + 5)
        for column in range(len(columns)):
            _draw_cell(picture, (left + column * _CELL_PX, y), float(share[row, column]), bool(totals[row, 0]))
    _write_upright(picture, "true class", _BAR_PX - _GAP_PX, top + len(rows) * _CELL_PX)
    if not totals.all():
        _write(picture, "empty rows: not in the truth", left, picture.shape[0] - _BAR_PX, _GREY)
    return picture


def _draw_cell(picture: Pixels, corner: tuple[int, int], share: float, known: bool) -> None:
    x, y = corner
    end = x + _CELL_PX - 2, y + _CELL_PX - 2
    if not known:
        cv2.rectangle(picture, corner, end, (238, 238, 238), 1)
        return
    cv2.rectangle(picture, corner, end, _heat(share), cv2.FILLED)
    text = "" if share == 0 else "<1" if share < 0.005 else f"{share * 100:.0f}"
    colour = _WHITE if share > 0.35 else _BLACK
    _write(picture, text, x + (_CELL_PX - 2 - _text_px(text)) // 2, y + _CELL_PX // 2 + 4, colour)


def _heat(share: float) -> tuple[int, int, int]:
    """White to dark blue; the root lifts small shares."""
    low, high = np.array([247, 250, 255]), np.array([8, 48, 107])
    red, green, blue = (low + (high - low) * np.sqrt(share)).astype(int).tolist()
    return red, green, blue


def worst_picture(worst: Worst, classes: ClassSet) -> Pixels:
    """Returns the picture, truth, prediction and where they disagree, two by two, with a line about them."""
    table = classes.table()
    panels = {
        "picture": worst.pixels,
        "truth": table[worst.truth],
        "prediction": table[worst.predicted],
        "wrong in red, ignored black": _disagreement(worst.pixels, worst.truth, worst.predicted, len(classes)),
    }
    titled = [_titled(panel, title) for title, panel in panels.items()]
    grid = np.vstack([np.hstack(titled[:2]), np.hstack(titled[2:])])
    grid = np.vstack([grid, _legend(classes, np.union1d(worst.truth, worst.predicted), grid.shape[1])])
    return _titled(grid, printable(f"{worst.name}: {worst.accuracy:.1%} of the pixels right"))


def _disagreement(pixels: Pixels, truth: Ids, predicted: Ids, classes: int) -> Pixels:
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) // 3 + 130
    shown = np.repeat(grey[:, :, None], 3, axis=2)
    shown[truth != predicted] = _RED
    shown[truth >= classes] = 0
    return np.asarray(shown, np.uint8)


def _legend(classes: ClassSet, ids: Ids, width: int) -> Pixels:
    """The colours of the classes `ids`, in as many lines as they need."""
    rows, x = [np.full((_BAR_PX, width, 3), 255, np.uint8)], 4
    for index in ids[ids < len(classes)].tolist():
        name = printable(classes.names[index])
        if x + _BAR_PX + _text_px(name) > width and x > 4:
            rows, x = [*rows, np.full((_BAR_PX, width, 3), 255, np.uint8)], 4
        cv2.rectangle(rows[-1], (x, 8), (x + 14, 22), classes.colours[index], cv2.FILLED)
        _write(rows[-1], name, x + 20, 20)
        x += _text_px(name) + 20 + 2 * _GAP_PX
    return np.vstack(rows)


def _titled(panel: Pixels, title: str) -> Pixels:
    """With a line of text above and a gap beside it."""
    framed = np.full((panel.shape[0] + _BAR_PX, panel.shape[1] + _GAP_PX, 3), 255, np.uint8)
    framed[_BAR_PX:, : panel.shape[1]] = panel
    _write(framed, title, 4, _BAR_PX - _GAP_PX)
    return framed


def _write(picture: Pixels, text: str, x: int, y: int, colour: tuple[int, int, int] = _BLACK) -> None:
    cv2.putText(picture, text, (x, y), _FONT, _SCALE, colour, 1, cv2.LINE_AA)


def _write_upright(picture: Pixels, text: str, x: int, bottom: int) -> None:
    """Reads upwards; `x` is where the letters stand, `bottom` where they begin."""
    strip = np.full((_BAR_PX, _text_px(text) + 4, 3), 255, np.uint8)
    _write(strip, text, 2, _BAR_PX - _GAP_PX)
    turned = cv2.rotate(strip, cv2.ROTATE_90_COUNTERCLOCKWISE)
    left, top = max(x - (_BAR_PX - _GAP_PX), 0), max(bottom - turned.shape[0], 0)
    picture[top : top + turned.shape[0], left : left + turned.shape[1]] = turned


def _text_px(text: str) -> int:
    return cv2.getTextSize(text, _FONT, _SCALE, 1)[0][0]
