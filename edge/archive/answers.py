"""What workers answer: what they have found, made, or could not do.

A fault of a film is an answer, not an exception: it goes on record, and the others go on.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.archive.cutting import Piece, Plan


@dataclass(frozen=True, slots=True)
class Fault:
    """Why something of a film could not be done; `as_whole` where reading the film in one piece may still do it.

    `on_record` is false where nothing was tried: what is on record of the film stays true.
    """

    reason: str
    as_whole: bool = False
    on_record: bool = True


@dataclass(frozen=True, slots=True)
class Settled:
    """A film of which the newest record tells what became of it, and nothing is to be done."""

    identity: dict[str, object]


@dataclass(frozen=True, slots=True)
class Planned:
    """A film's identity, pieces, and the names of the parts that are there already.

    `begun` are addresses of outputs that interrupted runs were about to write, and may have written.
    """

    identity: dict[str, object]
    plan: Plan
    kept: frozenset[str]
    begun: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Broken:
    """The numbers of pieces whose parts were damaged, and are removed."""

    pieces: frozenset[int]


@dataclass(frozen=True, slots=True)
class Done:
    """What a piece took."""

    frames: int
    seconds: float
    worker: str


def part_name(key: str, piece: Piece) -> str:
    """Returns what the part of a piece is called."""
    return f"{key}-{'whole' if piece.is_whole else f'{piece.number:06d}'}.part"
