"""Defines what the process of a candidate answers."""

from __future__ import annotations

from dataclasses import dataclass

from edge.engine.base import Operator


@dataclass(frozen=True)
class LoadedModel:
    """A model that was loaded and warmed up."""

    size_bytes: int
    input_hw: tuple[int, int]
    output_stride: int
    recipe: str
    classes: tuple[str, ...]
    runtime: str
    runtime_version: str
    threads: int
    partitions: int  # parts that run in a delegate
    ops_outside: int  # operators that the delegate left
    macs: int
    reduced_layers: int  # those that compute with smaller weights than the file's
    load_ms: float
    first_invoke_ms: float
    warm_up_ms: tuple[float, ...]
    delegate: str = ""  # the name of an external one; empty where there is none
    delegate_operators: int = 0  # how many of the model's operators it took
    assumed: tuple[str, ...] = ()  # what was taken for granted of it and may be wrong, a sentence each


@dataclass(frozen=True)
class MemoryUse:
    """Resident memory of the process in MB (10^6 bytes)."""

    peak_rss_mb: float
    rss_mb: float


@dataclass(frozen=True, slots=True)
class SeenClass:
    """A class in a picture."""

    name: str
    share: float  # of the picture's pixels, 0..1
    colour: str  # as HTML writes it: #804080


@dataclass(frozen=True, slots=True)
class Overlay:
    """A picture with labels painted over it."""

    jpeg: str  # in base64
    seen: tuple[SeenClass, ...]  # classes that it shows, the largest first


@dataclass(frozen=True)
class Layers:
    """What can be timed of a model."""

    operators: tuple[Operator, ...]
    by_counters: bool  # the runtime times each operator itself; otherwise the beginnings of the model are timed
