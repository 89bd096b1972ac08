"""A comparison as one JSON document; docs/report-schema.md says what its fields mean."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from edge.compare import verdict
from edge.compare.comparison import Comparison
from edge.compare.estimates import Estimate
from edge.compare.layer_times import Profile
from edge.compare.monitor import warnings
from edge.compare.rows import Row
from edge.device import board
from edge.device.environment import environment, sha256
from edge.text import counted, one_line

FORMAT = 1

Document = dict[str, Any]


def document(
    comparison: Comparison,
    command: Sequence[str],
    *,
    interrupted: bool = False,
    budget_ms: float | None = None,
    earlier: Document | None = None,
) -> Document:
    """Everything that was found, as JSON can hold it."""
    rows, monitor = comparison.rows, comparison.monitor
    labels = names(rows)
    made: Document = {
        "format": FORMAT,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": [public(word) for word in command],
        "interrupted": interrupted,
        "environment": {**environment(), "int8_note": _int8_note(rows)},
        "settings": _settings(comparison),
        "warnings": [*warnings([row.about.get("threads", 1) for row in rows]), *monitor.notes],
        "energy_source": monitor.meter.source or None,
        "rows": [_row(row, label) for row, label in zip(rows, labels, strict=True)],
        "pairs": [
            {
                "first": labels[pair.first],
                "second": labels[pair.second],
                "invoke": estimate(pair.invoke),
                "frame": estimate(pair.frame),
            }
            for pair in verdict.pairs(rows)
        ],
        "front": [labels[i] for i in verdict.front(rows)],
        "budget": None,
        "baseline": None,
        "telemetry": [asdict(sample) for sample in monitor.samples],
    }
    if budget_ms is not None:
        choice = verdict.choose(rows, budget_ms, labels.__getitem__)
        best = None if choice.best is None else labels[choice.best]
        made["budget"] = {"limit_ms": round(choice.limit_ms, 3), "best": best, "sentence": choice.sentence}
    if earlier is not None:
        made["baseline"] = _baseline(rows, labels, earlier, made["environment"])
    return made


def names(rows: Sequence[Row]) -> list[str]:
    """A name for each row that no other has, to show: the file's, with runtime and threads where these differ."""
    parts = []
    for row in rows:
        runtime, threads = (row.about.get(what, getattr(row.candidate, what)) for what in ("runtime", "threads"))
        known = None if runtime == "auto" else runtime, threads and counted(threads, "thread")
        parts.append((one_line(row.candidate.path.name).removesuffix(".tflite"), *known))
    varied = [place for place in (1, 2) if len({part[place] for part in parts} - {None}) > 1]
    short = [" ".join(filter(None, (part[0], *(part[place] for place in varied)))) for part in parts]
    return [
        name if short.count(name) == 1 else f"{name} ({short[:place].count(name) + 1})"
        for place, name in enumerate(short)
    ]


def public(text: str) -> str:
    """Without the user and password of an address: reports are passed on."""
    return re.sub(r"://[^/@\s]*@", "://", text)


def estimate(found: Estimate) -> dict[str, Any]:
    """A ratio with its interval; null ends where there were too few rounds to know."""
    ends = {"low": found.low, "high": found.high}
    known = {name: round(value, 4) if 0 < value < math.inf else None for name, value in ends.items()}
    return {"ratio": round(found.value, 4), **known, "tie": verdict.tie(found)}


def _int8_note(rows: Sequence[Row]) -> str | None:
    return board.int8_note(any(row.about.get("reduced_layers") for row in rows))


def _settings(comparison: Comparison) -> dict[str, Any]:
    settings = comparison.settings
    return {
        "source": public(settings.source),
        "seconds": settings.seconds,
        "min_runs": settings.min_runs,
        "rounds": settings.rounds,
        "cool_down_s": settings.cool_down_s,
        "labels_dir": settings.labels_dir.name if settings.labels_dir else None,
        "reference": settings.reference.name if settings.reference else None,
    }


def _row(row: Row, name: str) -> dict[str, Any]:
    made = {"name": name, "sha256": sha256(row.candidate.path), **row.summary()}
    if not row.measured:
        return {**made, "error": one_line(made["error"])}
    turns = [
        {
            "start_s": round(turn.start_s, 3),
            "end_s": round(turn.end_s, 3),
            "invoke_ms": round(invoke * 1e3, 4),
            "frame_ms": round(frame * 1e3, 4),
            "disturbed": turn.disturbed,
        }
        for turn, invoke, frame in zip(row.turns, row.invoke_rounds(), row.frame_rounds(), strict=True)
    ]
    samples = {"invoke": row.invoke_s, "frame": row.frame_s}
    return {
        **made,
        "rounds": turns,
        "samples_ms": {what: [round(s * 1e3, 3) for s in seconds] for what, seconds in samples.items()},
        "profile": _profile(row.profile) if row.profile else None,
    }


def _profile(profile: Profile) -> dict[str, Any]:
    layers = [
        {
            "place": layer.place,
            "operators": layer.operators,
            "kind": layer.kind,
            "name": layer.name,
            "ms": _ms(layer.seconds.value),
            "low_ms": _ms(layer.seconds.low),
            "high_ms": _ms(layer.seconds.high),
            "share": round(profile.share(layer), 4),
            "macs": layer.macs,
            "gmacs_per_s": None if layer.gmacs_per_s is None else round(layer.gmacs_per_s, 2),
            "delegated": layer.delegated,
        }
        for layer in profile.layers
    ]
    whole = {"whole_ms": profile.whole.value, "whole_low_ms": profile.whole.low, "whole_high_ms": profile.whole.high}
    return {
        "way": profile.way,
        "rounds": profile.rounds,
        **{name: _ms(seconds) for name, seconds in whole.items()},
        "sum_ms": _ms(profile.sum_s()),
        "adds_up": profile.adds_up(),
        "layers": layers,
    }


def _ms(seconds: float) -> float | None:
    return round(seconds * 1e3, 4) if math.isfinite(seconds) else None


def _baseline(rows: Sequence[Row], labels: list[str], earlier: Document, here: dict[str, Any]) -> dict[str, Any]:
    differs = [
        f"{what}: {earlier['environment'].get(what)} then, {here[what]} now"
        for what in ("board", "cpu", "cores", "governor", "os")
        if earlier["environment"].get(what) != here[what]
    ]
    return {
        "created": earlier["created"],
        "differs": differs,
        "changes": [
            {"name": labels[one.row], "invoke": estimate(one.invoke), "frame": estimate(one.frame)}
            for one in verdict.changes(rows, earlier)
        ],
    }
