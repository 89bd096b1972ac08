"""What converting a graph takes: time, and memory of all processes, by `convert-model` as a user calls it.

Every graph becomes float32 and int8, 513x1025, stride 16, calibrated and verified on frames of the demo; the stock
graph, which is verified against as well, runs at 1025x2049. Resident memory is sampled ten times a second.
"""

from __future__ import annotations

import argparse

import networks
from processes import program, watch
from scoreboard import Row, benchmark, row, say

RECIPES = ("float32", "int8")
FRAMES = {"demo": (32, 8), networks.MOBILENET: (32, 8), networks.XCEPTION: (4, 1)}  # to calibrate and to verify with


def command(name: str) -> list[str]:
    """Into the folder of the benchmarks' models, where the other scripts find what they need."""
    calibrate, verify = FRAMES[name]
    model = name if name == "demo" else str(networks.graph(name))
    limit = [] if name == "demo" else ["--min-agreement", "0"]  # random weights agree on little
    return [
        program("convert-model"),
        model,
        "--quantize",
        ",".join(RECIPES),
        "--output-stride",
        "16",
        "--calibration-frames",
        str(calibrate),
        "--verification-frames",
        str(verify),
        "--output",
        str(networks.folder()),
        *limit,
    ]


def converted(name: str) -> Row:
    say(f"converting {name}")
    run = watch(command(name))
    paths = [networks.folder() / networks.file_name(name, (513, 1025), 16, recipe) for recipe in RECIPES]
    return row(
        name,
        [run.seconds],
        "s",
        peak_memory_of_all_processes=f"{run.peak_mb:.0f} MB",
        frames_to_calibrate_and_verify="{} + {}".format(*FRAMES[name]),
        files_in_MB=", ".join(f"{path.stat().st_size / 1e6:.1f}" for path in paths),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    with benchmark("conversion", "Conversion, time and memory per graph") as entry:
        entry.about = (
            "`convert-model --quantize float32,int8` to 513x1025, stride 16, once each; starting TensorFlow, "
            "calibration and verification against the stock graph at its own size included."
        )
        entry.rows += [converted(name) for name in FRAMES]


if __name__ == "__main__":
    main()
