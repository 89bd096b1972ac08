"""`check-device` shows what run-model will find here, what is known to go wrong, and what fixes it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from edge.cli.device_lines import advice, device_as_json, lines, verdict
from edge.cli.main import Parser, in_flags, parser, run, version
from edge.device.problems import problems
from edge.device.survey import look
from edge.device.systemd_unit import MODEL_PLACE, service

EXAMPLES = (
    "check-device                                what is here, and what fixes what does not work",
    "check-device --json > device.json           the same for a program, or for a bug report",
    "check-device --print-service model.tflite   a systemd unit that runs a model from boot on",
)


def build_parser() -> Parser:
    made = parser(
        "check-device",
        "Show what run-model finds on this device, and what to fix. Exit code 1: it cannot.",
        EXAMPLES,
        {"max_temp": "--max-temp"},  # of run-model, which its advice is about
    )
    shown = made.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="print as JSON")
    shown.add_argument(
        "--print-service",
        nargs="?",
        const=MODEL_PLACE,
        type=Path,
        default=argparse.SUPPRESS,
        metavar="MODEL",
        help="print a systemd unit that runs MODEL, a .tflite file, from here and as this user, and look at nothing",
    )
    made.add_argument(
        "--cluster",
        metavar="C",
        help="show the devices of the workers of a Dask scheduler, tcp://HOST:8786 or tls://HOST:8786, by their kinds",
    )
    return made


def main(argv: list[str] | None = None) -> int:
    return run("check-device", argv, build_parser, check_device)


def check_device(options: argparse.Namespace) -> int:
    if "print_service" in options:
        print(service(options.print_service), end="")  # noqa: T201
        return 0
    if options.cluster is not None:
        return check_fleet(options)
    device = look()
    listed = problems(device)
    if options.json:
        text = json.dumps({"roadlite": version(), **device_as_json(device)}, indent=1)
    else:
        text = "\n".join([*lines(device), "", *advice(listed), verdict(device, listed)])
    print(in_flags(text))  # noqa: T201
    return 1 if any(problem.stops for problem in listed) else 0


def check_fleet(options: argparse.Namespace) -> int:
    """Shows the devices of the workers of a cluster."""
    from edge.cli import fleet_table
    from edge.cli.cluster import open_fleet
    from edge.fleet.boards import survey
    from edge.progress import bars

    with open_fleet(options.cluster) as client:
        boards = survey(client, bars)
    text = (
        json.dumps(fleet_table.as_json(boards, version()), indent=1)
        if options.json
        else "\n".join(fleet_table.lines(boards))
    )
    print(in_flags(text))  # noqa: T201
    return 0 if all(board.is_ready for board in boards) else 1
