"""Says what is made of films, in a form that travels to workers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from edge.archive.cutting import PIECE_S
from edge.cluster.segmenters import SentModel
from edge.controls import View


@dataclass(frozen=True, slots=True)
class Drawing:
    """How the overlay is drawn."""

    view: View = "overlay"
    alpha: float = 0.5
    hidden: frozenset[int] = frozenset()  # class ids
    boundaries: bool = False
    legend: bool = True


@dataclass(frozen=True, slots=True)
class LabelJob:
    """What is made of every film, and with what."""

    roadlite: str  # the version that the workers must have
    model: SentModel
    labels: bool
    overlay: bool
    label_ids: bool = False
    drawing: Drawing = Drawing()
    piece_s: float = PIECE_S

    def options(self) -> dict[str, object]:
        """Returns what changes the outputs, beside model and film, as the manifest has it."""
        model, drawing = asdict(self.model), asdict(self.drawing)
        for name in ("name", "sha256", "threads", "delegate", "delegate_fallback"):
            del model[name]
        model["norm"] = None if self.model.norm is None else str(self.model.norm)
        model["classes"] = None if self.model.classes is None else list(self.model.classes.names)
        drawing["hidden"] = sorted(self.drawing.hidden)
        made = {name: getattr(self, name) for name in ("roadlite", "labels", "overlay", "label_ids", "piece_s")}
        return {**made, **model, **drawing}

    def key(self, film: str, identity: object) -> str:
        """Returns what the parts of a film are kept by: parts of another file, model or option have another."""
        said = json.dumps([film, identity, self.model.sha256, self.options()], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:24]
