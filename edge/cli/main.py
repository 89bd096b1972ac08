"""Holds what all commands share: exit codes, one-line errors, a quiet stderr."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import sys
import textwrap
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from edge import memory
from edge.address import public, without_users
from edge.cli.signals import ending_like_interrupt
from edge.cli.terminal import fitted, outliving_terminal
from edge.errors import RoadliteError, UsageError
from edge.native_output import quiet_native
from edge.text import command_lines, one_line
from edge.versions import installed

INTERRUPTED = 130
LEAST_COLUMNS = 20  # that help is made for, however narrow the terminal


class Parser(argparse.ArgumentParser):
    """A parser that raises UsageError instead of exiting, so that `main` stays a function.

    `fields` has the flags that set what the library calls by other names than the command does.
    """

    fields: Mapping[str, str] = {}

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(f"{public(message)} (see {self.prog} --help)")

    def flag(self, field: str) -> str:
        """Returns the flag that sets a field of the library, the field itself where none does."""
        flags = {action.dest: action.option_strings[-1] for action in self._actions if action.option_strings}
        return self.fields.get(field) or flags.get(field, field)

    def in_flags(self, text: str) -> str:
        """Returns a text of the library, in which fields stand in backquotes, with the flags that set them."""
        return re.sub(r"`([a-z_]+)`", lambda found: self.flag(found[1]), text)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Shows a default where there is one to show and the help does not say it itself."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        said, default = action.help or "", action.default
        if "default" in said or default in (None, False, "", argparse.SUPPRESS, Path()) or default == []:
            return said
        return f"{said} (default: %(default)s)"


def parser(
    prog: str, description: str, examples: Sequence[str] = (), fields: Mapping[str, str] = MappingProxyType({})
) -> Parser:
    """Makes the parser of a command; `examples` are lines to type, each with what it does behind two spaces or more,
    shown below its options.
    """
    width = max(LEAST_COLUMNS, shutil.get_terminal_size().columns) - 2
    shown = "\n".join(["examples:", *_examples(examples, width)]) if examples else None
    description = "\n".join(textwrap.wrap(description, width, break_on_hyphens=False))
    made = Parser(prog=prog, description=description, epilog=shown, formatter_class=_Formatter)
    made.fields = fields
    made.add_argument("--version", action="version", version=f"roadlite {version()}")
    made.add_argument("--debug", action="store_true", help="show the traceback and native messages of an error")
    return made


def _examples(examples: Sequence[str], width: int) -> Iterator[str]:
    """Yields the lines of examples: what they do beside them, or below where that is too wide."""
    beside = all(len(line) + 2 <= width for line in examples)
    for line in examples:
        command, _, effect = line.partition("  ")
        yield f"  {line}" if beside else command_lines(command, width)
        if effect and not beside:
            yield textwrap.fill(effect.strip(), width, initial_indent=" " * 6, subsequent_indent=" " * 6)


def version() -> str:
    """Returns the kit's own version."""
    return installed("roadlite") or "not installed"


def run(
    prog: str, argv: list[str] | None, build: Callable[[], Parser], work: Callable[[argparse.Namespace], int]
) -> int:
    """Parses the arguments and works; whatever goes wrong becomes one line on stderr and an exit code.

    Without `argv` it is the process's own command, and may end the process itself.
    """
    arguments = sys.argv[1:] if argv is None else argv
    debug = "--debug" in arguments
    with contextlib.nullcontext() if debug else quiet_native(), outliving_terminal(), ending_like_interrupt():
        try:
            code = _parse_and_work(arguments, build, work)
            if sys.stdout is not None:  # as it is when the shell has closed it
                sys.stdout.flush()  # here, and not at exit, it is noticed that the reader is gone
        except (Exception, KeyboardInterrupt) as exc:  # noqa: BLE001 - the last line of defence
            code = fail(prog, exc, debug=debug)
    if argv is None and any(thread.daemon for thread in threading.enumerate()):
        leave(code)
    return code


def fail(prog: str, exc: BaseException, *, debug: bool) -> int:
    """Says what went wrong, and returns the exit code."""
    message, code = explain(exc)
    if debug:
        print(without_users("".join(traceback.format_exception(exc))), end="", file=sys.stderr)  # noqa: T201
    _give_up_stdout()
    say(f"{prog}: {message}")
    if exit_code_pipe is not None:
        leave(code)
    return code


exit_code_pipe: int | None = None
"""The descriptor on which a process that watches this one waits for its exit code; None where nobody does."""


def leave(code: int) -> NoReturn:
    """Ends the process at once.

    A thread that comes back from C++ while Python shuts down would abort it, and libraries that were refused memory may
    wait for ever for what they did not get.
    """
    _give_up_stdout()
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
    if exit_code_pipe is not None:
        os.write(exit_code_pipe, bytes([code]))
    os._exit(code)


command: Parser | None = None
"""The parser of the command that was started last: threads speak for it too."""


def in_flags(text: str) -> str:
    """Returns a text of the library as the command that runs shows it: with its flags in place of fields."""
    return command.in_flags(text) if command else text


def say(message: str) -> None:
    """Prints a line on stderr, with flags in place of the library's fields."""
    print(fitted(one_line(without_users(in_flags(message))), sys.stderr), file=sys.stderr)  # noqa: T201


def _parse_and_work(
    arguments: list[str], build: Callable[[], Parser], work: Callable[[argparse.Namespace], int]
) -> int:
    global command  # noqa: PLW0603
    command = build()
    try:
        options = command.parse_args(arguments)
    except SystemExit as exc:  # --help and --version
        return int(exc.code or 0)
    return work(options)


def _give_up_stdout() -> None:
    """Where nothing can be written any more, what is left in the buffer would fail again at exit."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def explain(exc: BaseException) -> tuple[str, int]:
    """Returns one line for the user, and the exit code."""
    starved = memory.cause(exc)
    if starved:
        return memory.shortage(starved), 1
    match exc:
        case RoadliteError():
            return str(exc), exc.exit_code
        case KeyboardInterrupt():
            return "interrupted", INTERRUPTED
        case BrokenPipeError():
            return "nobody reads the output any more", 1
        case OSError(filename=name, strerror=str(why)):
            return f"{name}: {why}" if name else why, 1
        case _:
            return f"unexpected {type(exc).__name__}: {exc} (run with --debug to see where)", 1
