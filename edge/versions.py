"""Tells the versions of what is installed."""

from __future__ import annotations

from importlib import metadata


def installed(distribution: str) -> str:
    """Returns the version of a distribution, empty where it is not installed, or half of it only."""
    try:
        found = metadata.distribution(distribution).metadata
    except (
        metadata.PackageNotFoundError,
        FileNotFoundError,
    ):  # the second where importlib_metadata, of Dask, is in use
        return ""
    return next(iter(found.get_all("Version", [])), "")
