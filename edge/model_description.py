"""Describes a model by its tensors and its card, and tells what of that is only assumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge.card import Card
from edge.classes import CITYSCAPES, ClassSet, guess
from edge.data import TensorSpec, picture_hw
from edge.errors import ModelError
from edge.model_outputs import Reading, choose_output, interpret
from edge.preprocess import DEEPLAB, Normalisation

RAW = Normalisation(0.0, 1.0)  # grey levels as they are


@dataclass(frozen=True, slots=True)
class Told:
    """What the user says of a model, which overrides what its card says; None for what is not said."""

    norm: Normalisation | None = None
    classes: ClassSet | None = None
    output_tensor: str | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """What a model is."""

    card: Card
    input: TensorSpec  # as pixels are stored in it
    reading: Reading
    names_known: bool  # whether somebody named the classes; where nobody did, their names are a guess
    assumed: tuple[str, ...]  # what else is taken for granted and may be wrong, a sentence each
    guess: str  # a sentence about names that are a guess; empty where they are not, or are but numbers


class Chooser:
    """Chooses the output to read while a model is loaded: `edge.engine.base.ChooseOutput`."""

    def __init__(self, card: Card | None, where: str, told: Told) -> None:
        named = told.classes or (card.classes if card else None)
        self._classes = None if named is None else len(named)
        self._where, self._wanted = where, told.output_tensor

    def __call__(self, spec_in: TensorSpec, outputs: Sequence[TensorSpec]) -> int:
        """Raises what `edge.model_outputs.choose_output` does, and ModelError for an input that is no picture."""
        check_input(spec_in, self._where)
        return choose_output(outputs, picture_hw(spec_in.shape), self._where, self._wanted, self._classes)


def describe(
    spec_in: TensorSpec, outputs: Sequence[TensorSpec], place: int, card: Card | None, where: str, told: Told
) -> Description:
    """Returns what a model is whose output at `place` is read: its card, checked against its tensors; derived from them
    where there is none.

    Raises ModelError where the tensors are not those of a segmentation model, contradict the card, or leave
    open what only the user can say.
    """
    check_input(spec_in, where)
    size_hw = picture_hw(spec_in.shape)
    named = told.classes or (card.classes if card else None)
    spec_out = replace(outputs[place], channels_last=True) if card else outputs[place]  # as the kit writes models
    reading = interpret(spec_out, size_hw, where, None if named is None else len(named))
    if card is not None and (card.input_hw != size_hw or card.output != reading.kind):
        raise ModelError(f"{where}: its card does not fit its tensors; convert it again")
    # A label map does not tell how many classes there are; Cityscapes is what this kit is for.
    classes = named or guess(len(CITYSCAPES) if reading.classes is None else reading.classes)
    if reading.classes not in (None, len(classes)):
        raise ModelError(f"{where}: expected {reading.classes} class names for its output, got {len(classes)}")
    fed = replace(spec_in, scale=1.0) if _takes_pixels(spec_in) else spec_in
    norm = RAW if _takes_pixels(spec_in) else told.norm or (card.norm if card else _norm(fed, where))
    if card is None:
        stride = round((size_hw[0] - 1) / max(reading.size_hw[0] - 1, 1)) if reading.kind == "logits" else 1
        card = Card(Path(where).stem[:64], _recipe(spec_in), size_hw, stride, norm, reading.kind, classes)
    assumed = (
        _chosen(outputs, place) if told.output_tensor is None else "",
        reading.assumed,
        "its uint8 input has no scale: pixels go in as they are" if _takes_pixels(spec_in) else "",
    )
    made, said = replace(card, norm=norm, classes=classes), tuple(filter(None, assumed))
    return Description(made, fed, reading, named is not None, said, "" if named else _guessed(reading, classes))


def check_input(spec: TensorSpec, where: str) -> None:
    """Raises ModelError for an input that is not one RGB picture."""
    shape = spec.shape
    channels = len(shape) == 4 and 3 in (shape[1], shape[3])
    if not channels or shape[0] != 1 or not all(1 <= n <= 8192 for n in picture_hw(shape)):
        raise ModelError(f"{where}: expected one RGB picture (1, H, W, 3) as input, its input is {shape}")
    if spec.dtype not in (np.dtype(np.float32), np.dtype(np.uint8), np.dtype(np.int8)):
        raise ModelError(f"{where}: expected float32, uint8 or int8 input, its input is {spec.dtype}")
    if spec.dtype != np.float32 and not _takes_pixels(spec) and not (np.isfinite(spec.scale) and spec.scale > 0):
        raise ModelError(f"{where}: its {spec.dtype} input has no quantization scale")


def _takes_pixels(spec: TensorSpec) -> bool:
    return spec.dtype == np.uint8 and spec.scale == 0


def _chosen(outputs: Sequence[TensorSpec], place: int) -> str:
    if len(outputs) == 1:
        return ""
    others = ", ".join(spec.name for other, spec in enumerate(outputs) if other != place)
    return f"of its {len(outputs)} outputs {outputs[place].name} is read, not {others}; `output_tensor` names another"


def _guessed(reading: Reading, classes: ClassSet) -> str:
    if reading.classes is None:
        return "labels do not tell what classes they are of: those of Cityscapes are a guess; `classes` names them"
    if classes.names[0] == "class 0":
        return ""
    return (
        f"nothing in it names its {len(classes)} classes: {', '.join(classes.names[:3])} ... are a guess by their "
        "number; `classes` names them"
    )


def _norm(spec: TensorSpec, where: str) -> Normalisation:
    """Returns what a quantized input's scale says; a float input says nothing."""
    if spec.dtype == np.float32:
        raise ModelError(
            f"{where}: has no model card and a float input, which does not tell how pixels are normalised; "
            "pass `normalise` deeplab (x / 127.5 - 1), unit (x / 255) or MEAN,STD"
        )
    limits = np.iinfo(spec.dtype)
    low, high = ((n - spec.zero_point) * spec.scale for n in (limits.min, limits.max))
    for norm in (DEEPLAB, Normalisation(0.0, 255.0), RAW):
        wanted = norm.limits
        if np.allclose((low, high), wanted, atol=0.02 * (wanted[1] - wanted[0])):
            return norm
    raise ModelError(
        f"{where}: has no model card and its input range {low:.3g}..{high:.3g} does not tell how pixels are "
        "normalised; pass `normalise` deeplab, unit or MEAN,STD"
    )


def _recipe(spec: TensorSpec) -> str:
    return "float32" if spec.dtype == np.float32 else str(spec.dtype)
