"""Makes words for terminals and reports."""

from __future__ import annotations

import re
import textwrap

# What is copied, and so not to be torn.
_COMMAND = re.compile(r"(?<!\S)(?:sudo|pip install|ssh|export(?= \w+=)) [^;()]+")
_OPTION = re.compile(r"(?<!\S)(--[\w-]+) (?=[^-\s])")  # which stands before its value
_TIED = "\0"  # stands for a space at which no line ends


def one_line(text: str) -> str:
    """Returns a text in one line: what names of files hold may neither break the line nor drive the screen."""
    return "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))


def wrapped(text: str, width: int, indent: str = "  ") -> str:
    """Returns a line as several of at most `width` letters, those after the first indented.

    They end between words alone: addresses, names of files and commands to copy stay whole, however long they are.
    """
    tied = _COMMAND.sub(lambda found: found[0].rstrip().replace(" ", _TIED) + " " * found[0].endswith(" "), text)
    filled = textwrap.fill(
        tied, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, replace_whitespace=False
    )
    return filled.replace(_TIED, " ")


def command_lines(command: str, width: int, indent: str = "  ") -> str:
    """Returns a command as lines of at most `width` letters that a shell takes as one, options beside their values."""
    tied = _OPTION.sub(rf"\1{_TIED}", command)
    lines = textwrap.wrap(
        tied,
        max(1, width - 2),
        initial_indent=indent,
        subsequent_indent=f"{indent}    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return " \\\n".join(lines).replace(_TIED, " ")


def counted(count: int, what: str) -> str:
    """Returns a number with its noun: `1 picture`, `2 pictures`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def shortened(text: str, most: int) -> str:
    """Returns at most so many letters of a text; beginning and end tell more than the middle."""
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[-end:]}"


def reason(exc: BaseException, most: int = 200) -> str:
    """Returns what an exception says, the system's words where it has them, in one line of at most `most` letters."""
    said = " ".join(str(getattr(exc, "strerror", None) or exc).split())
    return shortened(said, most) if said else type(exc).__name__


def quiet(line: str) -> None:
    """Says nothing: stands where nobody is to be told."""
