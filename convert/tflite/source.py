"""A float .tflite as the source of others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from convert.tflite.float_network import FloatNetwork, float_network
from convert.tflite.recipes import FLOAT, Recipe
from edge import card as cards
from edge.card import Card
from edge.classes import ClassSet
from edge.data import Upsampling
from edge.engine.flatbuffer import readable
from edge.engine.open import open_engine
from edge.errors import ModelError, UsageError
from edge.leftovers import TemporaryFolder
from edge.model_description import Chooser, Told, describe
from edge.preprocess import Normalisation
from edge.segmenter import Segmenter, read_model
from edge.text import reason
from edge.trial import try_out


@dataclass(frozen=True, slots=True)
class TfliteNetwork:
    """The network in a .tflite, and what is known of it."""

    model: bytes  # float32 throughout, from the normalised picture to the scores
    whole: bytes  # the same with what comes after the scores: what others are held against
    logits: str  # the name of the scores' tensor
    input_hw: tuple[int, int]
    output_stride: int
    norm: Normalisation
    classes: ClassSet
    upsampling: Upsampling
    remarks: tuple[str, ...]  # sentences for people


@dataclass(frozen=True, slots=True)
class TfliteSource:
    """A .tflite file that was read, not looked into yet."""

    name: str  # what the files made from it are called
    data: bytes
    sha256: str  # of data, in hexadecimal
    path: Path
    card: Card | None

    def network(self, told: Told) -> TfliteNetwork:
        """Returns its network; `told` is what the user says of it.

        It runs in a process of its own before. Raises ModelError for a file that holds none in float.
        """
        where = self.path.name
        try_out(self.data, where)
        given = open_engine(self.data, where, choose=Chooser(self.card, where, told))
        if given.input.dtype.kind != "f":
            raise ModelError(
                f"{where}: takes {given.input.dtype} pictures; a source for other files takes float32 ones: give the "
                "float .tflite or the frozen graph that it was made from"
            )
        try:
            found = float_network(readable(self.data), given.outputs.index(given.output), where)
        except (ValueError, IndexError, TypeError, AttributeError, KeyError) as exc:  # damaged files
            raise ModelError(f"{where}: cannot be taken apart as a .tflite model ({reason(exc)})") from exc
        try_out(found.model, where)
        return self._described(found, told)

    def _described(self, found: FloatNetwork, told: Told) -> TfliteNetwork:
        """Returns a network with what the user or the card says of it. Raises ModelError where it makes no scores."""
        where, card = self.path.name, self.card
        engine = open_engine(found.model, where)
        if card is not None:  # it describes the file, whose output is another one
            told = Told(told.norm or card.norm, told.classes or card.classes)
        described = describe(engine.input, engine.outputs, 0, None, where, told)
        reading = described.reading
        if reading.kind != "logits" or reading.channels_first or reading.threshold is not None:
            raise ModelError(
                f"{where}: expected scores (1, h, w, classes) before what chooses the classes, it makes "
                f"{engine.output.dtype} {engine.output.shape}; convert the graph it was made from"
            )
        stored = " and ".join(sorted(found.stored))
        remarks = (f"its weights are stored in {stored}, and are taken from there" if stored else "", described.guess)
        return TfliteNetwork(
            found.model,
            found.whole,
            engine.output.name,
            described.card.input_hw,
            card.output_stride if card else found.output_stride or described.card.output_stride,
            described.card.norm,
            described.card.classes,
            found.upsampling or (card.upsampling if card else "align_corners"),
            tuple(filter(None, remarks)),
        )

    def segmenter(self, network: TfliteNetwork, output_tensor: str | None = None) -> Segmenter:
        """Returns what others are held against: the file with its weights in float32.

        Where they are stored in int8, its runtime would round what is between the operators as well.
        """
        with TemporaryFolder() as folder:
            path = Path(folder, self.path.name)
            path.write_bytes(cards.attach(network.whole, self.card) if self.card else network.whole)
            return Segmenter(path, norm=network.norm, classes=network.classes, output_tensor=output_tensor, trial=True)

    def check_asked(
        self, network: TfliteNetwork, recipes: Sequence[Recipe], input_hw: tuple[int, int] | None, output_stride: str
    ) -> None:
        """Raises UsageError for what cannot be made of a .tflite, whose size and stride are fixed."""
        where, size = self.path.name, "x".join(map(str, network.input_hw))
        if input_hw not in (None, network.input_hw):
            raise UsageError(f"{where} has a fixed size of {size}; for another one convert its graph", "input_size")
        if output_stride not in ("auto", "keep", str(network.output_stride)):
            raise UsageError(
                f"{where} has a fixed output stride of {network.output_stride}; for another one convert its graph",
                "output_stride",
            )
        others = [recipe.name for recipe in recipes if not recipe.calibrated and recipe != FLOAT]
        if others:
            raise UsageError(
                f"{where}: of a .tflite only float32 and int8 are made, not {', '.join(others)}; convert its graph"
            )


def load_tflite(path: Path) -> TfliteSource:
    """Reads a .tflite and its card. Raises ModelError (or its kin) for a file that is none."""
    data = read_model(path)
    card = cards.read(data, path.name)
    # A stranger's card does not choose where files are written.
    name = card.name if card and Path(card.name).name == card.name else path.stem
    return TfliteSource(name, data, hashlib.sha256(data).hexdigest(), path, card)
