"""A case: what is run on which damaged input, and where its outputs are to be looked at."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MODULES = {
    "run-model": "edge.cli.run_model",
    "evaluate-model": "edge.cli.evaluate_model",
    "compare-models": "edge.cli.compare_models",
    "inspect-model": "convert.cli.inspect_model",
    "convert-model": "convert.cli.convert_model",
}


@dataclass(frozen=True, slots=True)
class Case:
    """A command on files that lie in its working folder; its outputs go to `out/`."""

    program: str  # one of MODULES
    arguments: Sequence[str]
    files: Mapping[str, bytes] = field(default_factory=dict)
    check: Callable[[], None] | None = None  # what is run instead of a command

    @property
    def line(self) -> str:
        """The command as it is typed in the case's folder."""
        return " ".join((self.program, *self.arguments))


def drive(material: Path) -> dict[str, bytes]:
    """Returns three pictures that differ a little, by their paths: what calibrates is not what verifies."""
    return {f"p/1{suffix}": (material / f"picture{suffix}").read_bytes() for suffix in (".png", ".jpg", ".webp")}


FRAMES = ("--calibrate", "p", "--any-frames", "--calibration-frames", "2", "--verification-frames", "1")
"""Takes the pictures of `drive` for frames."""

Make = Callable[[random.Random, Path], Case]
"""Makes a case by chance, of the material in a folder."""

NUMBERS = (0, 1, -1, 2, 3, 4, 7, 127, 128, 255, 256, 1000, 8192, 65535, 65536, 2**24, 2**31 - 1, -(2**31))
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e-30, 1e30, 3e38, float("nan"), float("inf"), float("-inf"))
TEXTS = ("", "x", "\n", "a\nb", "\x1b[2J", "ä" * 300, "\x00", "../../x", "%s", "[bold]x", "\ud800", "\u202e", " ")


def chance_of(kind: str, number: int) -> random.Random:
    """Returns the chances of a case: the same on every machine and in every process."""
    return random.Random(f"{kind}:{number}")


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Returns bytes with some of them changed, left out or put in, most of them near the beginning or the end."""
    made = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        if not made:
            break
        place = _place(len(made), chance)
        kind = chance.randrange(6)
        if kind == 0:
            made[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            made[place] = chance.randrange(256)
        elif kind == 2:
            made[place : place + 4] = chance.choice(NUMBERS).to_bytes(8, chance.choice(("little", "big")), signed=True)[
                :4
            ]
        elif kind == 3:
            made[place : place + chance.choice([1, 4, 64])] = b""
        elif kind == 4:
            made[place:place] = chance.randbytes(chance.choice([1, 4, 64]))
        elif chance.random() < 0.5:
            del made[place:]
    return bytes(made)


def _place(length: int, chance: random.Random) -> int:
    near = min(length, chance.choice([16, 64, 512, 4096, length]))
    place = chance.randrange(near)
    return place if chance.random() < 0.6 else length - 1 - place
