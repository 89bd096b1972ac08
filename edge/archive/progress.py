"""Says how far the work on an archive is."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from edge.archive.answers import Done


@dataclass(slots=True)
class Progress:
    """Films and frames so far, and the rate of each worker."""

    films: int
    films_done: int = 0
    films_before: int = 0  # that an earlier run has done
    films_failed: int = 0
    frames_done: int = 0
    pieces_kept: int = 0  # that an earlier run has done, of films that it has not
    pieces: int = 0
    pieces_done: int = 0
    rates: dict[str, float] = field(default_factory=dict)  # worker -> frames a second, over all its pieces
    begun_s: float = field(default_factory=time.perf_counter)
    _work: dict[str, tuple[int, float]] = field(default_factory=dict)

    def skip(self) -> None:
        """Counts a film that an earlier run has done."""
        self.films_before += 1

    def expect(self, kept: int, pieces: int) -> None:
        """Counts what there is to do of a film."""
        self.pieces_kept += kept
        self.pieces += pieces
        self.pieces_done += kept

    def lose(self, kept: int, pieces: int) -> None:
        """Counts pieces that have to be made again, `kept` of them from an earlier run."""
        self.pieces_kept -= kept
        self.pieces_done -= pieces

    def count(self, done: Done) -> None:
        """Counts a piece that is done."""
        self.pieces_done += 1
        self.frames_done += done.frames
        frames, seconds = self._work.get(done.worker, (0, 0.0))
        self._work[done.worker] = frames + done.frames, seconds + done.seconds
        self.rates[done.worker] = (frames + done.frames) / max(seconds + done.seconds, 1e-9)

    @property
    def share(self) -> float:
        """How much is done, 0 to 1, where all films are as long as those that are begun."""
        over = self.films_done + self.films_before + self.films_failed
        begun = self.pieces_done / self.pieces if self.pieces else 0.0
        return max(over / self.films, min(1.0, begun * max(over, 1) / self.films)) if self.films else 1.0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.begun_s
