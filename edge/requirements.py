"""Tells what pip is to install: the packages that are missing, at the versions that pyproject.toml asks for.

Roadlite is on no index, so its extras cannot be installed by name; the packages can.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING

from edge.versions import installed

if TYPE_CHECKING:
    from packaging.requirements import Requirement

NAME = "roadlite"


def install(package: str) -> str:
    """Returns the command that installs a package that Roadlite or an extra of it needs; anew where it is here, and
    broken.
    """
    named = [requirement for requirement in _requirements() if requirement.name == package][:1]
    return _command(named) if named else f"pip install {package}"


def reinstall(package: str) -> str:
    """Returns the command that installs a package anew that is here and cannot be imported."""
    return f"pip install --force-reinstall {required(package)}"


def install_extra(extra: str) -> str:
    """Returns the command that installs what an extra needs and is not here, all of it anew where all is."""
    needed = [requirement for requirement in _requirements() if _is_of(extra, requirement)]
    return _command(needed) if needed else from_folder(extra)


def from_folder(extra: str) -> str:
    """Returns the command that installs Roadlite with an extra, which only its own folder can tell."""
    return f'pip install ".[{extra}]" in Roadlite\'s folder'


def required(package: str) -> str:
    """Returns a package as a command line takes it: `"av>=17.1"`; the name alone where Roadlite is not installed."""
    return next((_spelled(found) for found in _requirements() if found.name == package), package)


def _command(needed: Sequence[Requirement]) -> str:
    missing = [requirement for requirement in needed if not _is_met(requirement)]
    again = "" if missing else "--force-reinstall "
    return f"pip install {again}{' '.join(map(_spelled, missing or needed))}"


def _requirements() -> list[Requirement]:
    """Of Roadlite, then of its extras; none where it runs from its folder without being installed."""
    try:
        from packaging.requirements import Requirement

        return [Requirement(line) for line in metadata.requires(NAME) or ()]
    except (ImportError, metadata.PackageNotFoundError):
        return []


def _is_of(extra: str, requirement: Requirement) -> bool:
    """Returns whether the extra asks for it, on this machine and Python."""
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _is_met(requirement: Requirement) -> bool:
    version = installed(requirement.name)
    return bool(version) and requirement.specifier.contains(version, prereleases=True)


def _spelled(requirement: Requirement) -> str:
    """Quoted, since a shell would take `>` as its own."""
    text = f"{requirement.name}{requirement.specifier}"
    return f'"{text}"' if requirement.specifier else text
