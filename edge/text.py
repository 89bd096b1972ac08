"""Makes words for terminals and reports."""

from __future__ import annotations


def one_line(text: str) -> str:
    """Returns a text in one line: what names of files hold may neither break the line nor drive the screen."""
    return "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))


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
