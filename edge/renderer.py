"""Draws what the model saw: class colours over the road, a legend and one line of numbers."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Any, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.classes import ClassSet, Colour
from edge.controls import Controls, View
from edge.data import Ids, LabelMap, Pixels
from edge.errors import UsageError
from edge.shares import class_counts

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CAPITAL_PX = 22  # height of this font's capitals at scale 1
_WHITE = (255, 255, 255)
_COUNTED_ROWS = 180  # of a picture at least, and as many of its columns, for the shares in the legend
_STRIP_BYTES = 1 << 19  # of a picture that is blended at a time: whole pictures take more memory, no less time
_MOST_HIDDEN = 1 / 6  # of the picture, by the legend
_DIM = 0.3  # what is left of the picture behind text
_DRAWS_UNICODE = int(cv2.__version__.split(".")[0]) >= 5  # before, every byte outside ASCII became a question mark


class Renderer:
    """Turns a picture and its label ids into what is shown, as `controls` want it when the picture comes.

    `overlay` blends the class colours over the picture with weight `alpha`; it leaves the picture as it is where the
    colour is black: ignored pixels, and a class like VOC's background, which would only darken the picture;
    `mask` shows the colours alone, ignored pixels black; `side-by-side` puts the picture left of the mask.
    Hidden classes are treated as ignored, and not listed. `boundaries` draws a white line around every area.
    The line of numbers runs along the upper edge and the legend hangs below it, where a road scene has its sky. The
    legend hides a sixth of the picture at most.

    Raises UsageError where the view is unknown or alpha is not within 0 to 1.
    """

    def __init__(self, classes: ClassSet, controls: Controls, *, legend: bool = True, hud: bool = True) -> None:
        if controls.view not in get_args(View):
            raise UsageError(f"unknown view {controls.view!r}: expected one of {', '.join(get_args(View))}")
        if not 0.0 <= controls.alpha <= 1.0:
            raise UsageError(f"expected an alpha from 0 (picture only) to 1 (colours only), got {controls.alpha}")
        self._classes, self._controls = classes, controls
        self._legend, self._hud = legend, hud
        self._table = classes.table()
        self._halves = (self._table >> 1) + (self._table & 1)  # rounded up, since halved pictures are rounded down
        self._bare = _ranges(np.all(self._table == 0, axis=1))  # ids that have nothing to paint
        self._ids = np.arange(len(self._table), dtype=np.uint16 if classes.is_wide else np.uint8)
        self._names = [printable(name) for name in classes.names]

    def __call__(self, pixels: Pixels, ids: Ids, hud_line: str = "") -> Pixels:
        """Returns a new picture, (H, W, 3), or (H, 2 W, 3) side by side; the arguments stay as they are."""
        ids = self._without_hidden(ids)
        shown, labelled = self._paint(pixels, ids)
        text_px = max(8, round(min(ids.shape) / 55))
        strip_px = 0
        if self._hud and hud_line:
            strip_px = 2 * text_px
            _draw_strip(shown[:strip_px], printable(hud_line), text_px)
        if self._legend:
            self._draw_legend(labelled[strip_px : max(strip_px, labelled.shape[0] // 2)], ids, text_px)
        return shown

    def _without_hidden(self, ids: Ids) -> Ids:
        hidden = self._controls.hidden
        if not hidden:
            return ids
        return _looked_up(ids, np.where(np.isin(self._ids, list(hidden)), self._ids[-1], self._ids))

    def _paint(self, pixels: Pixels, ids: Ids) -> tuple[Pixels, Pixels]:
        """The whole picture without text, and the part of it that shows the labels."""
        view, alpha = self._controls.view, self._controls.alpha
        coloured = self._blended(pixels, ids, alpha) if view == "overlay" else self._coloured(ids, self._table)
        if self._controls.boundaries:
            cv2.bitwise_or(coloured, cv2.cvtColor(_outlines(ids), cv2.COLOR_GRAY2RGB), dst=coloured)
        if view == "side-by-side":
            both: Pixels = cv2.hconcat([pixels, coloured])  # type: ignore[assignment]
            return both, both[:, ids.shape[1] :]
        return coloured, coloured

    def _coloured(self, ids: Ids, table: NDArray[np.uint8]) -> Pixels:
        if self._classes.is_wide:  # OpenCV colours no uint16
            return table[ids]
        return cv2.applyColorMap(ids, table[:, None])  # type: ignore[return-value]

    def _blended(self, pixels: Pixels, ids: Ids, alpha: float) -> Pixels:
        """The picture under its colours, within half a grey level of their weighted sum and a rounding."""
        blended = np.empty_like(pixels)
        for rows in strips(pixels.shape[0], pixels[0].nbytes):
            self._blend(pixels[rows], ids[rows], alpha, blended[rows])
        return blended

    def _blend(self, pixels: Pixels, ids: Ids, alpha: float, blended: Pixels) -> None:
        if alpha == 0.5:  # the default: whole numbers take a third of the time
            np.right_shift(pixels, 1, out=blended)
            np.add(blended, self._coloured(ids, self._halves), out=blended)
        else:
            cv2.addWeighted(pixels, 1 - alpha, self._coloured(ids, self._table), alpha, 0, dst=blended)
        for lowest, highest in self._bare:
            cv2.copyTo(pixels, cv2.inRange(ids, lowest, highest), blended)

    def _draw_legend(self, area: Pixels, ids: Ids, text_px: int) -> None:
        """Lists the classes in view in the upper left of `area`, largest share first; those for which there is no room
        are folded into a last line.
        """
        step_y, step_x = (max(1, side // _COUNTED_ROWS) for side in ids.shape)  # counting all takes as long as painting
        seen = ids[::step_y, ::step_x]
        counts = class_counts(seen, self._classes)
        every = (*self._names, _more(len(self._names)))  # so that the panel does not breathe
        name_px = max(_text_width(name, text_px) for name in every)
        share_px = _text_width("100 %", text_px)
        name_px = max(0, min(name_px, area.shape[1] // 2 - share_px - 5 * text_px))
        width, row_px = name_px + share_px + 5 * text_px, round(text_px * 1.7)
        height = min(area.shape[0], int(ids.size * _MOST_HIDDEN) // min(width, area.shape[1]))
        rows = max(0, (height - text_px) // row_px)
        in_view = [class_id for class_id in np.argsort(-counts, kind="stable") if counts[class_id]]
        listed = in_view[:rows] if len(in_view) <= rows or rows < 2 else in_view[: rows - 1]
        if not listed:
            return
        lines: list[tuple[str, float, Colour | None]] = [
            (self._names[i], float(counts[i]) / seen.size, self._classes.colours[i]) for i in listed
        ]
        folded = in_view[len(listed) :]
        if folded and rows > 1:
            lines.append((_more(len(folded)), float(counts[folded].sum()) / seen.size, None))
        panel = area[: len(lines) * row_px + text_px, :width]
        cv2.convertScaleAbs(panel, dst=panel, alpha=_DIM)
        for row, (name, share, colour) in enumerate(lines):
            baseline = text_px // 2 + row * row_px + (row_px + text_px) // 2
            if colour is not None:
                swatch = (text_px, baseline - text_px), (2 * text_px, baseline)
                cv2.rectangle(panel, *swatch, colour, cv2.FILLED)
                cv2.rectangle(panel, *swatch, _WHITE)  # dark colours would drown in the panel
            _stamp(panel, _shorten(name, name_px, text_px), 3 * text_px, baseline, text_px)
            said = _share(share)
            _stamp(panel, said, 4 * text_px + name_px + share_px - _text_width(said, text_px), baseline, text_px)


def render(
    pixels: Pixels,
    labels: LabelMap,
    classes: ClassSet,
    *,
    view: View = "overlay",
    alpha: float = 0.5,
    hidden: Collection[str] = (),
    boundaries: bool = False,
    legend: bool = True,
    line: str = "",
) -> Pixels:
    """Returns what `Renderer` draws of one picture: uint8 (H, W, 3) RGB, (H, 2 W, 3) where `view` is `side-by-side`.

    `pixels` is uint8 (H, W, 3) RGB, `labels` of its size, `alpha` from 0 (picture only) to 1 (colours only). `hidden`
    are names of classes that are not painted, `boundaries` outlines the areas, `line` is a text along the upper edge.

    Raises UsageError where these make no sense, or for labels of another size.
    """
    if pixels.shape[:2] != labels.ids.shape:
        raise UsageError(f"expected labels of the picture's size {pixels.shape[:2]}, got {labels.ids.shape}")
    unknown = [name for name in hidden if name not in classes.names]
    if unknown:
        raise UsageError(f"there is no class {unknown[0]!r}: expected some of {', '.join(classes.names)}")
    controls = Controls(view, alpha, frozenset(map(classes.names.index, hidden)), boundaries)
    return Renderer(classes, controls, legend=legend)(pixels, labels.ids, line)


def _looked_up(ids: Ids, table: NDArray[Any]) -> Ids:
    """What a table has for each id; OpenCV 4 has no tables for uint16."""
    return cv2.LUT(ids, table) if ids.dtype == np.uint8 else table[ids]


def strips(height: int, row_bytes: int) -> Iterator[slice]:
    """Yields the rows of a picture in strips, of which what is made of them takes little memory."""
    rows = max(1, _STRIP_BYTES // max(1, row_bytes))
    return (slice(top, min(height, top + rows)) for top in range(0, height, rows))


def _ranges(wanted: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The first and the last index of each run of what is wanted."""
    edges = np.flatnonzero(np.diff(wanted, prepend=False, append=False))
    return [(int(first), int(end) - 1) for first, end in edges.reshape(-1, 2)]


def printable(text: str) -> str:
    """Returns `text` as the font can draw it: one line, and where the font is ASCII only, accents dropped, the rest as
    `?`.
    """
    line = "".join(" " if char.isspace() else char if char.isprintable() else "?" for char in text)
    if _DRAWS_UNICODE:
        return line
    bare = "".join(char for char in unicodedata.normalize("NFKD", line) if not unicodedata.combining(char))
    return bare.encode("ascii", "replace").decode("ascii")


def _outlines(ids: Ids) -> Ids:
    """255 along the borders between areas, in a width that suits the picture; elsewhere 0."""
    lines = np.zeros(ids.shape, bool)
    np.not_equal(ids[:, 1:], ids[:, :-1], out=lines[:, :-1])
    lines[:-1] |= ids[1:] != ids[:-1]
    width_px = max(1, round(min(ids.shape) / 360))
    return cv2.dilate(lines * np.uint8(255), np.ones((width_px, width_px), np.uint8))


def _more(count: int) -> str:
    return f"{count} more"


def _share(part: float) -> str:
    return "<1 %" if part < 0.01 else f"{part * 100:.0f} %"


def _draw_strip(strip: Pixels, line: str, text_px: int) -> None:
    cv2.convertScaleAbs(strip, dst=strip, alpha=_DIM)
    _write(strip, _shorten(line, strip.shape[1] - 2 * text_px, text_px), text_px, text_px * 3 // 2, text_px)


def _write(area: Pixels, text: str, x: int, baseline: int, text_px: int) -> None:
    cv2.putText(area, text, (x, baseline), _FONT, text_px / _CAPITAL_PX, _WHITE, _thickness(text_px), cv2.LINE_AA)


def _stamp(area: Pixels, text: str, x: int, baseline: int, text_px: int) -> None:
    """Writes a text that will be written again: drawing its letters takes longer than all else of a row."""
    stamp, top = _drawn(text, text_px), baseline - 2 * text_px
    above, left = max(0, -top), max(0, -x)
    place = area[top + above : top + len(stamp), x + left : x + stamp.shape[1]]
    np.maximum(place, stamp[above:, left:][: place.shape[0], : place.shape[1]], out=place)


@lru_cache(maxsize=256)
def _drawn(text: str, text_px: int) -> Pixels:
    """White letters on black, with their baseline two text heights from the top."""
    stamp = np.zeros((3 * text_px, _text_width(text, text_px) + text_px, 3), np.uint8)
    _write(stamp, text, 0, 2 * text_px, text_px)
    return stamp


@lru_cache(maxsize=1024)
def _shorten(text: str, width_px: int, text_px: int) -> str:
    """`text`, cut at its end to fit `width_px`."""
    if _text_width(text, text_px) <= width_px:
        return text
    while text and _text_width(text + "..", text_px) > width_px:
        text = text[:-1]
    return text + ".." if text else ""


@lru_cache(maxsize=1024)
def _text_width(text: str, text_px: int) -> int:
    return cv2.getTextSize(text, _FONT, text_px / _CAPITAL_PX, _thickness(text_px))[0][0]


def _thickness(text_px: int) -> int:
    return max(1, round(text_px / 14))
