"""Makes words for terminals and reports."""

from __future__ import annotations

import re


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


_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)(.*)", re.DOTALL)
_ADDRESSES = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S*")
_CLOSING = "'\"`)],;:.>"  # what may stand behind an address in a sentence


def public(text: str) -> str:
    """Returns a text without what opens the addresses in it: user, password, query and fragment.

    A password may hold `/`, `?`, `#` and `@`, though each is to be written as `%2F`, `%3F`, `%23`, `%40` there:
    everything up to the last `@` is taken for it. A text that is an address as a whole may hold blanks, too.
    """
    whole = _ADDRESS.fullmatch(text)
    return _opened_by_nothing(whole) if whole else _ADDRESSES.sub(_within_sentence, text)


def _within_sentence(found: re.Match[str]) -> str:
    address = found[0].rstrip(_CLOSING)
    if address.endswith("?") and found[0].startswith("...", len(address)):  # a query that is hidden already
        address += "..."
    parts = _ADDRESS.fullmatch(address)
    return (_opened_by_nothing(parts) if parts else address) + found[0][len(address) :]


def _opened_by_nothing(parts: re.Match[str]) -> str:
    place = parts[2].rpartition("@")[2].partition("#")[0]
    place, question_mark, _ = place.partition("?")
    return f"{parts[1]}{place}{'?...' if question_mark else ''}"
