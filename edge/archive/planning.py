"""Looks at a film before anything is made of it: whether it is done, what may be replaced, where it is cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from edge.address import public
from edge.archive.answers import Fault, Planned, Settled
from edge.archive.cutting import plan
from edge.archive.films import Film
from edge.archive.manifest import Record
from edge.archive.mark import addresses_begun
from edge.archive.storage import exists, identity, names_in
from edge.errors import RoadliteError, SourceError


@dataclass(frozen=True, slots=True)
class Known:
    """What an archive knows of a film: its newest record, the one to be, and all addresses that it has ever made."""

    before: Record | None
    mine: Record  # done, and without the identity of the film, which only looking at it tells
    made: frozenset[str]


def plan_film(
    film: Film, known: Known, parts_folder: str, outputs: Mapping[str, str], piece_s: float
) -> Planned | Settled | Fault:
    """Plans a film. One that is settled, or whose outputs are in the way of what is not the archive's, is not read."""
    try:
        is_what = identity(film.address, SourceError)
        kept = frozenset(names_in(parts_folder))
        begun = addresses_begun(parts_folder, kept)
        there = {address for address in outputs.values() if exists(address)}
        if _is_settled(known, is_what, is_there=begun is None and there == set(outputs.values())):
            return Settled(is_what)
        foreign = _foreign(there, known.made | (begun or frozenset()))
        if foreign is not None:
            return foreign
        return Planned(is_what, plan(film.address, piece_s), kept, begun or frozenset())
    except RoadliteError as exc:
        return Fault(str(exc))


def _is_settled(known: Known, is_what: dict[str, object], *, is_there: bool) -> bool:
    """Whether the newest record is of this file, model and options, and its outputs are there whole or not wanted.

    Outputs that were begun anew since may be those of other options, or half of them. A film that ended the workers
    which looked at it was set aside without its identity.
    """
    before = known.before
    if before is None:
        return False
    if not before.is_same_work(replace(known.mine, identity=is_what if before.identity else {})):
        return False
    return before.state == "set aside" or (before.state == "done" and is_there)


def _foreign(there: Iterable[str], mine: frozenset[str]) -> Fault | None:
    """Refuses to replace what this archive has not made of this film."""
    for address in sorted(set(there) - mine):
        reason = f"{public(address)}: is there, and is not of this archive; move it away"
        return Fault(reason, on_record=False)
    return None
