"""Tells the versions of what is installed."""

from __future__ import annotations

from importlib import metadata


def installed(distribution: str) -> str:
    """Returns the version of a distribution, empty where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
