"""Starts the workstation's programs."""

from __future__ import annotations

from edge.cli.start import start


def convert_model() -> int:
    return start("convert-model", "convert.cli.convert_model")


def inspect_model() -> int:
    return start("inspect-model", "convert.cli.inspect_model")
