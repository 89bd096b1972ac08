"""Does cost grow as the work grows? Invoke latency over multiply-accumulates, MobileNetV2 on LiteRT.

Sizes from 129x257 to 769x1537, strides 8 and 16, int8 and float32, 1 and 2 threads, all in turns in one run. The
exponent is the slope of a line through log(time) over log(MACs), one fit a round: 1 means that time grows as the work.
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np
from networks import MOBILENET, files
from peers import measure
from scoreboard import Row, benchmark, row, say

from edge.engine.base import Engine
from edge.engine.open import open_engine

SIZES = ((129, 257), (257, 513), (385, 769), (513, 1025), (769, 1537))
STRIDES, RECIPES, THREADS = (8, 16), ("int8", "float32"), (1, 2)


def engines(threads: tuple[int, ...]) -> dict[tuple[str, str], Engine]:
    """By line and column of the table."""
    found = {}
    for size_hw, stride in product(SIZES, STRIDES):
        paths = files(MOBILENET, size_hw, stride, ",".join(RECIPES))
        for recipe, count in product(RECIPES, threads):
            engine = open_engine(paths[recipe].read_bytes(), recipe, runtime="litert", threads=count)
            name = f"{size_hw[0]}x{size_hw[1]}, stride {stride}"
            found[name, f"{recipe}, {count} thread{'s' * (count > 1)}, ms"] = engine
    return found


def exponents(macs: list[float], rounds: list[list[float]]) -> list[float]:
    """The slope of log time over log work in each round; `rounds` holds each way's times."""
    work = np.log(macs)
    return [float(np.polyfit(work, np.log(times), 1)[0]) for times in np.transpose(rounds)]


def lines(macs: dict[tuple[str, str], int], found: dict[tuple[str, str], list[float]]) -> list[Row]:
    made = [
        row(name, times, column=column, GMAC=f"{macs[name, column] / 1e9:.2f}")
        for (name, column), times in found.items()
    ]
    for column in dict.fromkeys(column for _, column in found):
        keys = [key for key in found if key[1] == column]
        slopes = exponents([macs[key] for key in keys], [found[key] for key in keys])
        made.append(row("exponent of time over MACs", slopes, "", column=column))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with benchmark("scaling", "Latency over work, MobileNetV2") as entry:
        entry.about = (
            "Median of one invoke on LiteRT. The last line is the slope of log time over log MACs: at 1, time grows as "
            "the work does; below, small inputs pay more for each multiplication."
        )
        made = engines(THREADS)
        macs = {key: engine.macs() for key, engine in made.items()}
        random = np.random.default_rng(0)
        ways = {}
        for key, engine in made.items():
            most = 1 if engine.input.dtype == np.float32 else 127
            x = random.uniform(-most, most, engine.input.shape).astype(engine.input.dtype)
            ways[key] = lambda engine=engine, x=x: engine.invoke(x)
        say(f"{options.rounds} rounds of {len(ways)} models")
        found = measure(ways, options.rounds)
        entry.rows += lines(macs, {key: [s * 1e3 for s in times] for key, times in found.items()})


if __name__ == "__main__":
    main()
