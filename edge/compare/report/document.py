"""Defines the document of a comparison, which report.json holds; docs/report-schema.md says what its fields mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edge.compare.answers import LoadedModel, MemoryUse, Overlay
from edge.compare.monitor import Sample
from edge.compare.rows import ClassScore
from edge.device.environment import Environment
from edge.errors import UsageError
from edge.timing import Percentiles
from edge.typed_json import typed

FORMAT = 1
MAX_BYTES = 256 << 20  # of an earlier report; a thousand rows need less


@dataclass(frozen=True)
class Latency(Percentiles):
    """Milliseconds that something takes, and how much they change from one time to the next."""

    jitter: float


@dataclass(frozen=True, slots=True)
class ReportedAccuracy:
    """The accuracy of a row; None where it is not known."""

    frames: int
    miou: float | None
    pixel_accuracy: float | None
    agreement: float | None
    reference: str
    classes: tuple[ClassScore, ...] = ()  # those in truth or prediction; empty where there is no truth


@dataclass(frozen=True, slots=True)
class Round:
    """A row's turn in one round: medians in milliseconds, seconds since the comparison began."""

    start_s: float
    end_s: float
    invoke_ms: float
    frame_ms: float
    disturbed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SingleTimes:
    """Every time that was measured, in milliseconds."""

    invoke: tuple[float, ...]
    frame: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ReportedLayer:
    """A layer of a model; None where a figure is not known."""

    place: int
    operators: int
    kind: str
    name: str
    ms: float | None
    low_ms: float | None
    high_ms: float | None
    share: float
    macs: int | None
    gmacs_per_s: float | None
    delegated: bool | None


@dataclass(frozen=True, slots=True)
class ReportedProfile:
    """The layers of a model, and what they take together."""

    way: str
    rounds: int
    whole_ms: float | None
    whole_low_ms: float | None
    whole_high_ms: float | None
    sum_ms: float | None
    adds_up: bool
    layers: tuple[ReportedLayer, ...]


@dataclass(frozen=True, kw_only=True)
class MeasuredRow(LoadedModel, MemoryUse):
    """A model that was measured."""

    name: str  # that no other row has
    model: str  # the file's name
    sha256: str | None
    invokes: int
    invoke_ms: Latency
    frames: int
    frame_ms: Latency
    stages_ms: Mapping[str, Latency]
    fps: float
    gmacs_per_s: float | None
    outside_share: float | None
    invoke_j: float | None
    frame_j: float | None
    accuracy: ReportedAccuracy | None
    valid: bool
    invalid: tuple[str, ...]
    rounds: tuple[Round, ...]
    samples_ms: SingleTimes
    profile: ReportedProfile | None
    label_every: int = 1  # each so many frames were labelled, the others got these labels, moved


@dataclass(frozen=True, kw_only=True)
class FailedRow:
    """A model that was not measured."""

    name: str
    model: str
    sha256: str | None
    runtime: str
    threads: int | None
    error: str
    loaded: LoadedModel | None = None  # where it failed later

    def as_json(self) -> dict[str, object]:
        """Returns the row as report.json has it, with what is known of the model among its own fields."""
        own = asdict(self)
        return {**(own.pop("loaded") or {}), **own}


Row = MeasuredRow | FailedRow


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as long; `low` and `high` are None where too few rounds tell."""

    ratio: float
    low: float | None
    high: float | None
    tie: bool

    def inverse(self) -> Ratio:
        """Returns the ratio the other way round."""
        low, high = (end and rounded(1 / end) for end in (self.high, self.low))
        return Ratio(rounded(1 / self.ratio), low, high, self.tie)


def rounded(ratio: float) -> float:
    """Returns a ratio as reports hold it, to five digits that count; never 0, since it may be turned round."""
    return float(f"{ratio:.5g}")


@dataclass(frozen=True, slots=True)
class RowPair:
    """How many times as long the frames of the second row take as those of the first, which is the faster."""

    first: str
    second: str
    invoke: Ratio
    frame: Ratio

    def flipped(self) -> RowPair:
        """Returns the same pair, the other way round."""
        return RowPair(self.second, self.first, self.invoke.inverse(), self.frame.inverse())

    def faster_first(self) -> RowPair:
        """Returns the pair in the order that all reports have."""
        return self.flipped() if self.frame.ratio < 1 else self


@dataclass(frozen=True, slots=True)
class Budget:
    """The answer to a limit in milliseconds."""

    limit_ms: float
    best: str | None
    sentence: str


@dataclass(frozen=True, slots=True)
class RowChange:
    """How many times as long a row takes as in an earlier report."""

    name: str
    invoke: Ratio
    frame: Ratio


@dataclass(frozen=True, slots=True)
class Baseline:
    """An earlier report, and what has changed since."""

    created: str
    differs: tuple[str, ...]
    changes: tuple[RowChange, ...]


@dataclass(frozen=True, slots=True)
class ReportedSettings:
    """How the rows were compared, without folders and credentials."""

    source: str
    seconds: float
    min_runs: int
    rounds: int
    cool_down_s: float
    labels_dir: str | None
    reference: str | None


@dataclass(frozen=True)
class ReportedEnvironment(Environment):
    """Where the comparison ran, and what int8 lacks there."""

    int8_note: str | None


@dataclass(frozen=True, slots=True)
class SampleOverlay:
    """What rows see in the sample picture, or, of no row, its truth."""

    rows: tuple[str, ...]
    overlay: Overlay


@dataclass(frozen=True, slots=True)
class Document:
    """Everything that a comparison found."""

    format: int
    created: str  # ISO 8601
    command: tuple[str, ...]
    interrupted: bool
    environment: ReportedEnvironment
    settings: ReportedSettings
    warnings: tuple[str, ...]
    energy_source: str | None
    rows: tuple[Row, ...]
    pairs: tuple[RowPair, ...]
    front: tuple[str, ...]
    budget: Budget | None
    baseline: Baseline | None
    telemetry: tuple[Sample, ...]
    sample: str | None = None  # a picture of the source, JPEG in base64
    sample_overlays: tuple[SampleOverlay, ...] = ()

    @property
    def measured(self) -> list[MeasuredRow]:
        """The rows that were measured."""
        return [row for row in self.rows if isinstance(row, MeasuredRow)]

    def is_over_budget(self, row: MeasuredRow) -> bool:
        """Returns whether a row is too slow for the budget; False where there is none."""
        return self.budget is not None and row.frame_ms.p90 > self.budget.limit_ms

    def as_json(self) -> dict[str, object]:
        """Returns the document as report.json holds it."""
        return {**asdict(self), "rows": [row_as_json(row) for row in self.rows]}


def row_as_json(row: Row) -> dict[str, object]:
    """Returns a row as report.json holds it."""
    return row.as_json() if isinstance(row, FailedRow) else asdict(row)


def read_report(path: Path) -> Document:
    """Reads an earlier report.json. Raises UsageError for anything else."""
    wrong = f"{path}: expected a report.json of compare-models"
    try:
        if not path.is_file():
            raise UsageError(f"{wrong}: {'no regular file' if path.exists() else 'no such file'}")
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{wrong}, at most {MAX_BYTES >> 20} MiB of it")
        parsed: Any = json.loads(path.read_bytes())
        if not isinstance(parsed, dict) or parsed["format"] != FORMAT:
            raise UsageError(f"{wrong} in format {FORMAT}, found another one")
        rows = [typed(FailedRow if "error" in row else MeasuredRow, row) for row in parsed["rows"]]
        times = [ms for row in rows if isinstance(row, MeasuredRow) for ms in _compared_ms(row)]
        if not all(0 < ms < 1e9 for ms in times):
            raise ValueError("rounds")
        document = typed(Document, {**parsed, "rows": rows})
        _check_pairs(document)
        return replace(document, pairs=tuple(pair.faster_first() for pair in document.pairs))
    except OSError as exc:
        raise UsageError(f"{wrong}: it cannot be read ({exc.strerror})") from exc
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise UsageError(f"{wrong}, found something else ({type(exc).__name__})") from exc


def _compared_ms(row: MeasuredRow) -> list[float]:
    """Returns what a later run is compared with. Raises ValueError where there is nothing."""
    if not row.rounds:
        raise ValueError("rounds")
    return [ms for turn in row.rounds for ms in (turn.invoke_ms, turn.frame_ms)]


def _check_pairs(document: Document) -> None:
    """Raises ValueError for pairs of rows that are not there, or with a ratio that no two times have."""
    names = {row.name for row in document.rows}
    if not all({pair.first, pair.second} <= names for pair in document.pairs):
        raise ValueError("pairs")
    ratios = [ratio for pair in document.pairs for ratio in (pair.invoke, pair.frame)]
    figures = [figure for ratio in ratios for figure in (ratio.ratio, ratio.low, ratio.high) if figure is not None]
    if not all(1e-9 < figure < 1e9 for figure in figures):
        raise ValueError("ratios")
