"""Plays a case in this process, which was forked for it and has all imports."""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import resource
import sys
import tempfile
import traceback
from collections.abc import Collection
from pathlib import Path
from typing import NoReturn

from case import MODULES, Case
from judge import HARNESS

MEMORY = 12 << 30  # bytes of address space: a case must not take the machine down


def play(case: Case, folder: Path) -> NoReturn:
    """Runs a case in a folder that its files lie in, and ends the process with the command's exit code."""
    code = HARNESS
    try:
        _redirect(folder)
        os.chdir(folder)
        os.environ.update(TMPDIR=str(folder / "tmp"), ROADLITE_CACHE=str(folder / "cache"), COLUMNS="200")
        tempfile.tempdir = None
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        if case.check is not None:
            case.check()
            code = 0
        else:
            sys.argv = [case.program, *case.arguments]
            code = importlib.import_module(MODULES[case.program]).main()
    except SystemExit as exc:  # rich's, when nobody reads its output any more
        code = exc.code if isinstance(exc.code, int) else 1
    except BaseException:  # noqa: BLE001 - whatever it is, it is what the attack looks for
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def lay_out(case: Case, folder: Path) -> None:
    """Writes a case's files, and the command that is run on them."""
    for name, data in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "command").write_text(case.line, "utf-8", "backslashreplace")
    (folder / "tmp").mkdir()


def _redirect(folder: Path) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)


def preload(kinds: Collection[str]) -> None:
    """Imports what the cases need, so that no case waits for it; TensorFlow only where there are graphs."""
    import rich.progress
    import rich.table  # noqa: F401

    import edge

    for module in pkgutil.walk_packages(edge.__path__, "edge."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:  # a module of clusters, where their extra is not installed
            if (error.name or "").partition(".")[0] == "edge":
                raise
    for name in MODULES.values():
        importlib.import_module(name)
    if {"graphs", "archives", "sources"} & set(kinds):
        import graphs  # noqa: F401
