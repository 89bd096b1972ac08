"""What is known of a film on its way through the cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edge.archive.answers import Planned
from edge.archive.cutting import Piece, Plan
from edge.archive.films import Film


@dataclass(slots=True)
class Work:
    """A film on its way."""

    film: Film
    number: int
    identity: dict[str, object] = field(default_factory=dict)
    planned: Planned | None = None
    plan: Plan | None = None
    key: str = ""
    left: set[int] = field(default_factory=set)  # numbers of the pieces that are not done
    kept: set[int] = field(default_factory=set)  # of those that an earlier run has done
    mended: set[int] = field(default_factory=set)  # of those that were made again, since their parts were damaged
    frames: int = 0
    seconds: float = 0.0
    workers: set[str] = field(default_factory=set)
    over: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """A call for a worker."""

    work: Work
    kind: str  # plan, piece or join
    call: tuple[Any, ...]
    plan: Plan | None = None  # the one that it is of; None while there is none
    piece: Piece | None = None

    @property
    def is_stale(self) -> bool:
        """Whether nobody needs its answer: the film is over, or is cut in another way by now."""
        return self.work.over or self.plan is not self.work.plan

    @property
    def what(self) -> str:
        """What it does, for a sentence."""
        named = {"plan": "its planning", "join": "joining its pieces"}
        return named.get(self.kind) or f"piece {self.piece.number if self.piece is not None else 0}"

    @property
    def name(self) -> str:
        """What Dask calls it: without the film's address, which its dashboard would show."""
        number = "" if self.piece is None else f"-piece{self.piece.number}"
        return f"{self.kind}-film{self.work.number}{number}"
