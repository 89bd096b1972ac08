"""Defines what a model card says of where the model comes from, and reads and writes it as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from convert.verdict import Verdict
from edge.card import Card
from edge.errors import CardError
from edge.typed_json import typed

FrameIndexes = Mapping[str, tuple[int, ...]]
"""Source of frames -> their places in it."""


@dataclass(frozen=True, slots=True)
class SourceGraph:
    """The frozen graph that a model was made from."""

    origin: str
    sha256: str
    input_hw: tuple[int, int]
    output_stride: int
    logits: str  # the name of the tensor


@dataclass(frozen=True, slots=True)
class Calibration:
    """The frames that ranges were measured on."""

    seed: int
    frames: FrameIndexes
    trained_ranges: int = 0  # activations that have the range which the network learned in training instead


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The frames that a verdict looked at."""

    held_out: FrameIndexes


@dataclass(frozen=True, slots=True)
class Rescue:
    """The layers that are left in float."""

    in_float: tuple[str, ...]
    lost_alone: Mapping[str, float]  # share of pixels that each layer costs, quantized alone
    fidelity_before: float
    finished: bool = True  # in the time that it had


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a model comes from, and how it did."""

    source: SourceGraph
    calibration: Calibration | None  # None where the recipe needs none
    verdict: Verdict
    held_out: FrameIndexes
    versions: Mapping[str, str]  # of what made it
    rescue: Rescue | None = None  # None where none was needed
    retargeting: tuple[str, ...] = ()  # what was decided where the graph was re-targeted, a sentence each

    def as_json(self) -> dict[str, object]:
        """Returns the provenance as a card holds it."""
        made: dict[str, object] = {
            "source": asdict(self.source),
            "calibration": None if self.calibration is None else asdict(self.calibration),
            "verification": {"held_out": dict(self.held_out), **self.verdict.as_json()},
            "versions": dict(self.versions),
        }
        if self.rescue is not None:
            made["rescue"] = asdict(self.rescue)
        if self.retargeting:
            made["retargeting"] = list(self.retargeting)
        return made


def read_provenance(card: Card) -> Provenance:
    """Reads the provenance of a card. Raises CardError where it is not one of this kit's converter."""
    parts = dict(card.provenance)
    try:
        verification = parts.pop("verification", {})
        parts |= {
            "verdict": typed(Verdict, verification),
            "held_out": typed(HeldOut, verification).held_out,
        }
        return typed(Provenance, parts)
    except ValueError as exc:
        raise CardError(f"{card.name}: its card does not tell where the model comes from ({exc})") from exc
