"""Writes the statistics of a web page as JSON and as Prometheus reads them (text format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field

from edge.controls import RunStatistics
from edge.timing import Percentiles

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_QUANTILES = {"median": "0.5", "p90": "0.9", "p99": "0.99", "max": "1"}


@dataclass(frozen=True, slots=True)
class PageStatistics:
    """How the pipeline and its web page are doing."""

    pipeline: RunStatistics
    viewers: int
    last_frame_s: float  # since the newest frame
    failed_requests: int
    last_failure: str
    shares: Mapping[str, float] = field(default_factory=dict)  # of the newest picture, by class

    def as_json(self) -> dict[str, object]:
        """Returns what `/stats` answers, and the page's websocket without the shares."""
        own = {name: getattr(self, name) for name in ("viewers", "last_frame_s", "failed_requests", "last_failure")}
        return {**self.pipeline.as_json(), **own, **({"shares": dict(self.shares)} if self.shares else {})}


def metrics(stats: PageStatistics) -> str:
    """Returns the statistics as text, without what the board does not tell."""
    return "".join(f"{line}\n" for line in _lines(stats))


def _lines(stats: PageStatistics) -> Iterator[str]:
    run, timing = stats.pipeline, stats.pipeline.timing
    about = {"model": run.run.model, "source": run.run.source, "state": run.state or ""}
    yield from _family("info", "gauge", "What runs.", [(about, 1.0)])
    plain = (
        ("frames_total", "counter", "Frames shown.", timing.frames),
        ("drops_total", "counter", "Frames dropped because a newer one was there.", run.drops),
        ("reconnects_total", "counter", "Times that the source was opened again.", run.reconnects),
        ("skipped_total", "counter", "Damaged frames left out.", run.skipped),
        ("clock_jumps_total", "counter", "Jumps of a film's clock, closed to one frame period.", run.jumps),
        ("frames_per_second", "gauge", "Frames per second over the last seconds.", timing.fps),
        ("temperature_celsius", "gauge", "Temperature of the board.", run.temperature_c),
        ("throttled", "gauge", "1 while the board is slowed down.", run.throttled),
        ("moved_frames_ratio", "gauge", "Share of frames with moved labels of an earlier one.", timing.moved),
        ("held_frames_ratio", "gauge", "Share of frames with labels of an earlier one left in place.", timing.held),
        ("viewers", "gauge", "Viewers of the web page.", stats.viewers),
        ("last_frame_age_seconds", "gauge", "Time since the newest frame.", stats.last_frame_s),
    )
    for name, kind, about_it, value in plain:
        if value is not None:
            yield from _family(name, kind, about_it, [({}, float(value))])
    stages = [
        ({"stage": stage, **labels}, value) for stage, times in timing.stages_ms.items() for labels, value in _at(times)
    ]
    yield from _family("stage_seconds", "gauge", "Time that a stage takes.", stages)
    ages = list(_at(timing.frame_age_ms)) if timing.frame_age_ms else []
    yield from _family("frame_age_seconds", "gauge", "Time from capture until a frame is shown.", ages)
    ages = list(_at(timing.label_age_ms)) if timing.label_age_ms else []
    yield from _family("label_age_seconds", "gauge", "Time from capture of a labelled frame until shown.", ages)
    shares = [({"class": name}, share) for name, share in stats.shares.items()]
    yield from _family("class_share", "gauge", "Share of the newest picture that a class takes.", shares)


def _at(times: Percentiles) -> Iterator[tuple[dict[str, str], float]]:
    """Yields the labels of each quantile and its seconds."""
    for name, ms in asdict(times).items():
        yield {"quantile": _QUANTILES[name]}, ms / 1e3


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
