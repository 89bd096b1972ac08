"""Reads the token that viewers must know."""

from __future__ import annotations

import shlex
import stat
from pathlib import Path

from edge.errors import UsageError
from edge.text import reason

SHORTEST = 8  # a shorter one is found by trying
LONGEST = 1024  # bytes; a request's first line, which it stands in, has room for no more
_MAKE_ONE = "make one with python3 -c 'import secrets; print(secrets.token_urlsafe())'"


def checked(token: str, where: str) -> str:
    """Returns a token that will do. Raises UsageError, naming `where` it stands and never the token."""
    if any(char.isspace() or not char.isprintable() for char in token):
        raise UsageError(f"{where}: expected a token without blanks")
    if not len(token) >= SHORTEST or len(token.encode()) > LONGEST:
        raise UsageError(
            f"{where}: expected a token of {SHORTEST} to {LONGEST} characters, found {len(token)}; {_MAKE_ONE}"
        )
    return token


def read_token(name: str) -> str:
    """Reads the token in a file, without blanks at either end. Raises UsageError."""
    where, path = f"token-file={name}", Path(name)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a device or a pipe may have no end
            raise UsageError(f"{where}: expected a regular file")
        with path.open("rb") as file:
            data = file.read(LONGEST + 1)
        if len(data) > LONGEST:
            raise UsageError(f"{where}: expected one token of at most {LONGEST} bytes, found a larger file")
        token = data.decode("utf-8-sig").strip()
    except FileNotFoundError as exc:
        raise UsageError(f"{where}: there is no such file; {_MAKE_ONE} > {shlex.quote(name)}") from exc
    except (OSError, ValueError) as exc:
        raise UsageError(f"{where}: cannot be read ({reason(exc)})") from exc
    return checked(token, where)
