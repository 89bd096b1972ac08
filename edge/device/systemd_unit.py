"""Makes the unit with which run-model is a service of systemd, filled with what is known here."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from importlib import resources
from pathlib import Path
from string import Template

from edge.errors import ModelError, RoadliteError

MODEL_PLACE = Path("MODEL.tflite")  # to be replaced by whoever installs the unit


def service(model: Path) -> str:
    """Returns roadlite.service with the program of this environment, this user, this folder and the model.

    Raises ModelError where the model is not there, RoadliteError where run-model is not installed.
    """
    if model != MODEL_PLACE and not model.is_file():
        raise ModelError(f"{model}: expected the .tflite file that the service is to run, found no file")
    unit = Template(resources.files("edge.device").joinpath("roadlite.service").read_text(encoding="utf-8"))
    return unit.substitute(
        user=_user(),
        folder=_unspecified(str(Path.cwd())),
        program=_word(_program()),
        model=_word(str(model.absolute() if model != MODEL_PLACE else model)).replace("$", "$$"),
    )


def _user() -> str:
    """Who asked for it; a number where it has no name."""
    try:
        return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _program() -> str:
    """run-model beside the command that runs, or beside its Python."""
    folders = [str(Path(file).parent.absolute()) for file in (sys.argv[0], sys.executable)]
    program = shutil.which("run-model", path=os.pathsep.join(folders))
    if program is None:
        raise RoadliteError(
            f"expected run-model in {' or '.join(dict.fromkeys(folders))}, found none; "
            "install Roadlite: pip install . in its folder"
        )
    return program


def _word(text: str) -> str:
    """A word of a command line as systemd.syntax(7) and systemd.service(5) quote it."""
    escaped = _unspecified(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if set(escaped) & set(" \t'\"\\;") else escaped


def _unspecified(text: str) -> str:
    """systemd replaces what follows a percent sign."""
    return text.replace("%", "%%")
