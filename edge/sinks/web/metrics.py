"""The numbers of a running pipeline as Prometheus reads them (text format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_QUANTILES = {"median": "0.5", "p90": "0.9", "p99": "0.99", "max": "1"}
_PLAIN = (  # key in the statistics, name, kind, help
    ("frames", "frames_total", "counter", "Frames shown."),
    ("drops", "drops_total", "counter", "Frames dropped because a newer one was there."),
    ("reconnects", "reconnects_total", "counter", "Times that the source was opened again."),
    ("skipped", "skipped_total", "counter", "Damaged frames left out."),
    ("fps", "frames_per_second", "gauge", "Frames per second over the last seconds."),
    ("temperature_c", "temperature_celsius", "gauge", "Temperature of the board."),
    ("throttled", "throttled", "gauge", "1 while the board is slowed down."),
    ("viewers", "viewers", "gauge", "Viewers of the web page."),
    ("last_frame_s", "last_frame_age_seconds", "gauge", "Time since the newest frame."),
)


def metrics(stats: Mapping[str, Any]) -> str:
    return "".join(f"{line}\n" for line in _lines(stats))


def _lines(stats: Mapping[str, Any]) -> Iterator[str]:
    about = {key: str(stats.get(key, "")) for key in ("model", "source", "state")}
    yield from _family("info", "gauge", "What runs.", [(about, 1.0)])
    for key, name, kind, about_it in _PLAIN:
        if stats.get(key) is not None:
            yield from _family(name, kind, about_it, [({}, float(stats[key]))])
    stages = [
        ({"stage": stage, "quantile": quantile}, times[key] / 1e3)
        for stage, times in stats.get("stages_ms", {}).items()
        for key, quantile in _QUANTILES.items()
    ]
    yield from _family("stage_seconds", "gauge", "Time that a stage takes.", stages)
    age = stats.get("frame_age_ms") or {}
    ages = [({"quantile": quantile}, age[key] / 1e3) for key, quantile in _QUANTILES.items() if key in age]
    yield from _family("frame_age_seconds", "gauge", "Time from capture until a frame is shown.", ages)
    shares = [({"class": name}, share) for name, share in stats.get("shares", {}).items()]
    yield from _family("class_share", "gauge", "Share of the newest picture that a class takes.", shares)


def _family(name: str, kind: str, about: str, samples: list[tuple[dict[str, str], float]]) -> Iterator[str]:
    if not samples:
        return
    yield f"# HELP roadlite_{name} {about}"
    yield f"# TYPE roadlite_{name} {kind}"
    for labels, value in samples:
        inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        yield f"roadlite_{name}{{{inside}}} {value:.10g}" if inside else f"roadlite_{name} {value:.10g}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
