"""Tells how a model's output is read, as scores of classes or as labels, and in which layout; and reads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.data import IGNORE, MOST_CLASSES, MOST_NARROW, Logits, OutputKind, TensorSpec
from edge.errors import ModelError, UsageError
from edge.text import counted

HW = tuple[int, int]
Read = Callable[[NDArray[Any]], Logits]
"""Takes an output as the engine gives it. Returns scores (1, h, w, classes), or labels (1, h, w) as `Ids` has them."""

SHOWN_IDS = 5  # of those that stand for no class


@dataclass(frozen=True, slots=True)
class Reading:
    """How an output is read."""

    kind: OutputKind
    size_hw: HW
    classes: int | None  # that it has scores of; None for labels, which do not tell
    channels_first: bool = False
    threshold: float | None = None  # where it has one score per pixel: above it, as stored, is class 1
    assumed: str = ""  # what the file does not say for sure, in a sentence


def choose_output(
    outputs: Sequence[TensorSpec], input_hw: HW, where: str, wanted: str | None = None, classes: int | None = None
) -> int:
    """Returns the place of the output to read: the only one, the only one with scores, or the one that is wanted.

    `wanted` is a name, or a place from 0 where no output has that name.

    Raises UsageError where the wanted one is not there, ModelError where none or several can be read.
    """
    names = [spec.name for spec in outputs]
    if wanted is not None:
        if wanted not in names and not (wanted.isdecimal() and int(wanted) < len(names)):
            raise UsageError(f"{where}: expected one of {', '.join(names)}, got {wanted!r}", "output_tensor")
        return names.index(wanted) if wanted in names else int(wanted)
    if len(outputs) == 1:
        return 0
    found = {place: kind for place, spec in enumerate(outputs) if (kind := _kind(spec, input_hw, where, classes))}
    scores = [place for place, kind in found.items() if kind == "logits"]
    possible = scores or list(found)
    if len(possible) == 1:
        return possible[0]
    listed = ", ".join(f"{spec.name} {spec.dtype} {spec.shape}" for spec in outputs)
    if not possible:
        raise ModelError(f"{where}: not a segmentation model: none of its outputs has scores or labels ({listed})")
    raise ModelError(f"{where}: has {len(outputs)} outputs ({listed}); name one of them: `output_tensor`")


def _kind(spec: TensorSpec, input_hw: HW, where: str, classes: int | None) -> OutputKind | None:
    try:
        return interpret(spec, input_hw, where, classes).kind
    except ModelError:
        return None


def interpret(spec: TensorSpec, input_hw: HW, where: str, classes: int | None = None) -> Reading:
    """Returns how an output is read; `classes` is how many the model is known to have.

    Raises ModelError for what is neither scores nor labels, or has two meanings.
    """
    size_hw = _single_hw(spec, input_hw)
    if size_hw is not None and _holds_ids(spec):
        return Reading("labels", size_hw, None)
    if size_hw is not None and _fits(size_hw, input_hw) and _holds_scores(spec):
        return _one_score(spec, size_hw)
    if size_hw is None and len(spec.shape) == 4 and spec.shape[0] == 1 and min(spec.shape) > 0 and _holds_scores(spec):
        reading = _scores(spec, input_hw, where, classes)
        if reading is not None:
            return reading
    raise ModelError(
        f"{where}: not a segmentation model: expected scores (1, h, w, classes) of 2 to {MOST_NARROW} classes in the "
        "shape of its input, one score (1, h, w, 1) or integer labels (1, h, w), its output is "
        f"{spec.dtype} {spec.shape}"
    )


def _single_hw(spec: TensorSpec, input_hw: HW) -> HW | None:
    """The size of an output with one value per pixel; None for others."""
    match spec.shape:
        case (height, width) if min(height, width) > 1 and _fits((height, width), input_hw):
            return height, width
        case (1, height, width) | (1, height, width, 1) if min(height, width) > 0:
            return height, width
        case (1, 1, height, width) if min(height, width) > 0 and _fits((height, width), input_hw):
            return height, width
    return None


def _fits(size_hw: HW, input_hw: HW) -> bool:
    """Whether a size has the input's ratio, but for a pixel."""
    return abs(size_hw[0] * input_hw[1] - size_hw[1] * input_hw[0]) <= max(input_hw)


def _holds_ids(spec: TensorSpec) -> bool:
    """Whether single values are ids of classes: whole numbers, unless a scale makes them something else."""
    return spec.values == "ids" or spec.dtype.kind == "b" or (spec.dtype.kind in "iu" and spec.scale in (0.0, 1.0))


def _holds_scores(spec: TensorSpec) -> bool:
    return spec.dtype in map(np.dtype, ("float32", "int8", "uint8"))


def _one_score(spec: TensorSpec, size_hw: HW) -> Reading:
    """Two classes by one score: half a probability, or 0 of a logit, lies between them."""
    scale, zero_point, said = 1.0, 0, ""
    if spec.dtype.kind in "iu":
        scale, zero_point, limits = spec.scale, spec.zero_point, np.iinfo(spec.dtype)
        low, high = ((n - zero_point) * scale for n in (limits.min, limits.max))
        said = f"its quantized range is {low:.3g} to {high:.3g}" if -0.01 <= low <= high <= 1.01 else ""
    said = "its last operator makes them" if spec.values == "probabilities" else said
    if said:
        assumed = f"one score per pixel, taken for probabilities ({said}): above 0.5 is class 1"
    else:
        assumed = "one score per pixel, taken for logits (no sigmoid makes them): above 0 is class 1"
    return Reading("logits", size_hw, 2, threshold=(0.5 if said else 0.0) / scale + zero_point, assumed=assumed)


def _scores(spec: TensorSpec, input_hw: HW, where: str, classes: int | None) -> Reading | None:
    """Scores by where the channels are; None where neither place makes sense."""
    _, first, middle, last = spec.shape
    by_last = by_first = None
    if 2 <= last <= MOST_NARROW and (spec.channels_last or _fits((first, middle), input_hw)):
        by_last = Reading("logits", (first, middle), last)
    if 2 <= first <= MOST_NARROW and not spec.channels_last and _fits((middle, last), input_hw):
        assumed = f"its output {spec.shape} is read as {first} classes of {middle}x{last}, which has the input's shape"
        by_first = Reading("logits", (middle, last), first, channels_first=True, assumed=assumed)
    if by_last is None or by_first is None:
        return by_last or by_first
    if first != last and classes in (first, last):
        return by_first if classes == first else by_last
    raise ModelError(
        f"{where}: its output {spec.shape} may be {last} classes of {first}x{middle} or {first} of {middle}x{last}; "
        + ("name its `classes`" if first != last else "convert it with the classes in the last place")
    )


def reader(reading: Reading, spec: TensorSpec, where: str, classes: int, guessed: bool) -> Read:
    """Returns what reads an output; `classes` is how many names there are, `guessed` whether nobody named them."""
    if reading.kind == "labels":
        return Labels(reading, spec, where, classes, guessed)
    if reading.threshold is not None:
        return TwoClasses(reading)
    return _channels_last if reading.channels_first else _as_it_is


def _as_it_is(output: NDArray[Any]) -> Logits:
    return output


def _channels_last(output: NDArray[Any]) -> Logits:
    return np.ascontiguousarray(output.transpose(0, 2, 3, 1))


class TwoClasses:
    """Reads one score per pixel as the scores of two classes, of which the first one's is the threshold."""

    def __init__(self, reading: Reading) -> None:
        self._size_hw, self._threshold = reading.size_hw, reading.threshold

    def __call__(self, output: NDArray[Any]) -> Logits:
        scores = np.full((1, *self._size_hw, 2), self._threshold, np.float32)
        scores[0, :, :, 1] = output.reshape(self._size_hw)
        return scores


class Labels:
    """Reads labels of any dtype as uint8 (1, h, w), uint16 where there are more than 255 classes.

    Negative ones and the largest of that dtype are ignored pixels. Raises ModelError for others that stand for no
    class, and for what are no whole numbers.
    """

    def __init__(self, reading: Reading, spec: TensorSpec, where: str, classes: int, guessed: bool) -> None:
        self._shape, self._where = (1, *reading.size_hw), where
        self._classes, self._guessed = classes, guessed
        self._dtype = np.uint8 if classes <= MOST_NARROW else np.uint16
        self._ignored = IGNORE if classes <= MOST_NARROW else MOST_CLASSES
        is_scaled = spec.dtype.kind in "iu" and spec.scale != 0.0 and (spec.scale, spec.zero_point) != (1.0, 0)
        self._scale, self._zero_point = spec.scale if is_scaled else None, spec.zero_point

    def __call__(self, output: NDArray[Any]) -> Logits:
        labels = output.reshape(self._shape)
        if self._scale is not None:
            labels = np.rint((labels.astype(np.float32) - self._zero_point) * self._scale)
        if labels.dtype.kind == "f":
            self._check_whole(labels)
        if labels.min() >= 0 and labels.max() < self._classes:
            return labels.astype(self._dtype, copy=False)
        known = (labels >= 0) & (labels < self._classes)
        strange = ~known & (labels >= 0) & (labels != self._ignored)
        if strange.any():
            raise ModelError(self._refusal(labels[strange], labels.size))
        return np.where(known, labels, self._ignored).astype(self._dtype)

    def _check_whole(self, labels: NDArray[Any]) -> None:
        odd = labels[~(np.isfinite(labels) & (labels == np.floor(labels)))]
        if odd.size:
            raise ModelError(
                f"{self._where}: expected labels, which are whole numbers, its {labels.dtype} output has {odd[0]:.6g}"
            )

    def _refusal(self, strange: NDArray[Any], pixels: int) -> str:
        ids = [f"{int(one)}" for one in np.unique(strange)]
        shown = ", ".join(ids[:SHOWN_IDS]) + (f" and {len(ids) - SHOWN_IDS} others" if len(ids) > SHOWN_IDS else "")
        named = f"{self._classes} classes " + ("were guessed" if self._guessed else "are named")
        return (
            f"{self._where}: {strange.size} of {counted(pixels, 'pixel')} have {counted(len(ids), 'label')} that "
            f"{'stand' if len(ids) > 1 else 'stands'} for no class ({shown}): {named}, 0 to {self._classes - 1}; "
            "name all of the model's `classes`"
        )
