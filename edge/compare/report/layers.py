"""Makes the costliest layers of a model readable."""

from __future__ import annotations

from edge.compare.report.document import ReportedLayer, ReportedProfile
from edge.text import counted

COSTLIEST = 12  # layers shown of each model

LAYER_COLUMNS = ("layer", "ms", "95 % interval", "share", "GMAC/s", "delegated", "name")


def costliest(profile: ReportedProfile, count: int = COSTLIEST) -> list[ReportedLayer]:
    """Returns the layers that take longest."""
    return sorted(profile.layers, key=lambda layer: -(layer.ms or 0.0))[:count]


def layers_line(profile: ReportedProfile) -> str:
    """Returns how the layers were measured, and whether they add up to the model."""
    low, high = profile.whole_low_ms, profile.whole_high_ms
    whole = f"{profile.whole_ms:.2f} ms" + ("" if low is None or high is None else f" ({low:.2f} to {high:.2f})")
    verdict = "" if profile.adds_up else ": they do not add up, there is too much noise"
    rounds = counted(profile.rounds, "round")
    return f"{profile.way}, {rounds}; all layers take {profile.sum_ms:.2f} ms, the model as it is {whole}{verdict}"


def layer_cells(layer: ReportedLayer) -> list[str]:
    """Returns a layer in the order of LAYER_COLUMNS."""
    low, high = layer.low_ms, layer.high_ms
    last = layer.place + layer.operators - 1
    place = str(last) if layer.operators == 1 else f"{layer.place}-{last}"
    return [
        f"{place} {layer.kind}",
        f"{layer.ms:.3f}",
        "-" if low is None or high is None else f"{low:.3f} to {high:.3f}",
        f"{layer.share:.1%}",
        "-" if layer.gmacs_per_s is None else f"{layer.gmacs_per_s:.1f}",
        {True: "yes", False: "no", None: "-"}[layer.delegated],
        layer.name.rpartition(";")[2],
    ]
