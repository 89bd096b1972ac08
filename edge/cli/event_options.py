"""Holds the options that tell what is an event, and who is told of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from edge.controls import LivePipeline
from edge.data import SourceInfo
from edge.destinations import Destination, is_folder, one_file
from edge.errors import UsageError
from edge.events.event import Receiver
from edge.events.log import LOG, EventLog
from edge.events.mqtt import HOW, SCHEMES, MqttEvents, parse_mqtt
from edge.events.rule import Rule, parse_rules
from edge.events.watch import EventWatch
from edge.files import writable_folder
from edge.regions import RegionsFile, read_regions

_EXPECTED = f"expected NAME.jsonl, a folder (events/), or {HOW}"


def add_event_options(made: argparse.ArgumentParser) -> None:
    """Adds regions, rules, and where events go."""
    made.add_argument(
        "--regions",
        type=Path,
        metavar="FILE",
        help="JSON with regions of the picture for rows and rules, and rules; with --output web it is made where it is "
        "not there, as regions are drawn on the page",
    )
    made.add_argument(
        "--rule",
        action="append",
        default=[],
        metavar="RULE",
        help='what is an event, such as "person in path > 2 %% for 0.3 s"; repeatable',
    )
    made.add_argument(
        "--events",
        action="append",
        default=[],
        metavar="E",
        help="where events go: NAME.jsonl, a folder for events.jsonl and a picture of each beginning, or "
        f"{HOW}. Repeatable (default: lines on the terminal alone)",
    )
    made.add_argument("--record-events", type=Path, metavar="DIR", help="record each event into this folder")
    made.add_argument("--before", type=float, default=5.0, metavar="S", help="seconds of a recording before its event")
    made.add_argument("--after", type=float, default=5.0, metavar="S", help="seconds of a recording after its event")


def regions_of(options: argparse.Namespace) -> RegionsFile:
    """Returns the regions and all rules that are asked for. Raises UsageError."""
    held = read_regions(options.regions) if options.regions and not _drawn_later(options) else RegionsFile()
    return RegionsFile(held.regions, (*held.rules, *options.rule))


def watched_regions(held: RegionsFile) -> frozenset[str]:
    """Returns the names of the regions of which the rules tell. Raises UsageError."""
    return frozenset(rule.region for rule in parse_rules(held.rules, held.regions) if rule.region is not None)


def _drawn_later(options: argparse.Namespace) -> bool:
    """Whether the file of regions is not there yet, and there is a page on which they can be drawn."""
    page = any(spec.partition(":")[0] == "web" for spec in options.output or ())
    return bool(options.regions) and page and not options.regions.exists()


def check_events(options: argparse.Namespace) -> None:
    """Raises UsageError for what makes no sense."""
    held = regions_of(options)
    parse_rules(held.rules, held.regions)
    if _drawn_later(options):
        writable_folder(options.regions.parent)
    if not held.rules and (options.events or options.record_events):
        raise UsageError("expected a rule that tells what is an event", "rule")
    for name in ("before", "after"):
        if not 0 <= getattr(options, name) <= 60:
            raise UsageError(f"expected 0 to 60 seconds, got {getattr(options, name):g}", name)
    for spec in options.events:
        if _is_mqtt(spec):
            parse_mqtt(spec)
        else:
            _log(spec)


def event_destinations(options: argparse.Namespace) -> list[Destination]:
    """Returns where events are written. Raises UsageError."""
    logs = [_log(spec)[0] for spec in options.events if not _is_mqtt(spec)]
    made = [one_file(str(path), path) for path in logs]
    if options.record_events:
        folder = options.record_events
        made.append(Destination(str(folder), folder, "event.mp4", lambda name: name.lower().endswith(".mp4")))
    return made


def open_events(
    options: argparse.Namespace, held: RegionsFile, info: SourceInfo, live: LivePipeline, say: Callable[[str], None]
) -> dict[str, EventWatch]:
    """Returns the sink that watches for events, by its name; none without rules. Raises SinkError, UsageError."""
    rules = parse_rules(held.rules, held.regions)
    if not rules:
        return {}
    with ExitStack() as stack:  # what is open is closed where another one cannot be opened
        receivers: dict[str, Receiver] = {}
        for spec in dict.fromkeys(options.events):
            receivers[spec] = stack.enter_context(closing(_receiver(spec, rules, say)))
        if options.record_events:
            from edge.events.recorder import EventRecorder

            folder = options.record_events
            recorder = EventRecorder(folder, info.rate, options.before, options.after, say)
            receivers[str(folder)] = stack.enter_context(closing(recorder))
            if recorder.notice:
                say(recorder.notice)
        watch = EventWatch(rules, info, live.shares, receivers, say)
        stack.pop_all()
    return {"the events": watch}


def _receiver(spec: str, rules: tuple[Rule, ...], say: Callable[[str], None]) -> Receiver:
    if _is_mqtt(spec):
        return MqttEvents(spec, rules, say)
    path, snapshots = _log(spec)
    return EventLog(path, snapshots=snapshots)


def _is_mqtt(spec: str) -> bool:
    return spec.partition(":")[0].lower() in SCHEMES


def _log(spec: str) -> tuple[Path, bool]:
    """The file of events that a text names, and whether pictures go beside it."""
    path = Path(spec)
    if is_folder(spec):
        return path / LOG, True
    if path.suffix.lower() != ".jsonl" or "://" in spec:
        raise UsageError(f"events {spec!r}: {_EXPECTED}")
    return path, False
