"""Reads addresses of streams, and shows addresses without what opens them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from edge.errors import UsageError

HOW_TO_WRITE = "in its user and password, write / as %2F, ? as %3F, # as %23 and @ as %40"

_WHOLE = re.compile(r"(?P<flag>(?:--?[\w-]+=)?)(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<body>.*)", re.DOTALL)
_WITHIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S*")
_WITH_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:)/{1,2}([^\s@/]\S*@\S*)")
_CLOSING = "'\"`)],;:.>"  # what may stand behind an address in a sentence
_PLACE = re.compile(r"(?P<host>\[[^\[\]@/?#\s]+\]|[^\s:@/?#\[\]]*)(?::(?P<port>\d{1,5}))?")
_UNQUOTED = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Address:
    """An address in its parts, as RFC 3986 (3.2) has them."""

    scheme: str  # in small letters
    user: str | None  # decoded, as the password is; None where there is none
    password: str
    host: str  # without the brackets of IPv6
    port: int | None
    rest: str  # path and query as they were written
    shown: str  # without user, password, query and fragment
    misread: bool  # whether the user or the password may hold what ends them, which is to be written otherwise

    @property
    def place(self) -> str:
        """The host, and the port where one is named."""
        return self.bracketed if self.port is None else f"{self.bracketed}:{self.port}"

    @property
    def bracketed(self) -> str:
        """The host as it stands in an address."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def url(self) -> str:
        """The whole address as a program understands it, with user and password quoted."""
        if self.user is None:
            return self.plain_url
        return f"{self.scheme}://{quote(self.user, safe='')}:{quote(self.password, safe='')}@{self.place}{self.rest}"

    @property
    def plain_url(self) -> str:
        """The address without user and password; its query is there."""
        return f"{self.scheme}://{self.place}{self.rest}"

    def refusal(self, status: int) -> str:
        """Returns what it means that a server answers with a status above 299, for the one who wrote the address."""
        if status == 401:
            wanted = "it wants a user and a password: write USER:PASSWORD@ before the host"
            return wanted if self.user is None else "wrong user or password"
        if status == 403:
            return "access is forbidden" + ("" if self.user is None else " to this user")
        return "there is nothing of that name" if status == 404 else f"the server answers with status {status}"

    @property
    def advice(self) -> str:
        """What to try where the address cannot be opened, as the end of a sentence; mostly nothing."""
        return f"; {HOW_TO_WRITE}" if self.misread else ""


def parse_address(text: str) -> Address:
    """Returns the parts of an address.

    A user or a password that holds `/`, `?`, `#` or `@` unquoted is understood where only one reading makes sense.

    Raises UsageError where it is no address.
    """
    whole = _WHOLE.fullmatch(text)
    if whole is None or whole["flag"]:
        raise UsageError(f"{public(text)}: expected an address such as rtsp://HOST/...")
    split, shown = _split(whole["body"]), public(text)
    if split is None:
        raise UsageError(f"{shown}: expected SCHEME://HOST:PORT/..., where PORT is a number; {HOW_TO_WRITE}")
    if split.doubtful and not split.by_the_book:
        raise UsageError(f"{shown}: it cannot be told where its password ends; {HOW_TO_WRITE}")
    port = None if split.port is None else int(split.port)
    if port is not None and not 0 < port < 65536:
        raise UsageError(f"{shown}: expected a port from 1 to 65535, got {port}")
    user, _, password = split.user.partition(":")
    return Address(
        whole["scheme"].lower(),
        _decoded(user) if split.user else None,
        _decoded(password),
        split.host.strip("[]"),
        port,
        split.later.partition("#")[0],
        shown,
        split.doubtful or not split.by_the_book or "@" in split.user,
    )


def public(text: str) -> str:
    """Returns a text without what opens the addresses in it: user, password, query and fragment.

    A password may hold `/`, `?`, `#` and `@`, though each is to be written as `%2F`, `%3F`, `%23`, `%40` there. Where a
    later `@` leaves it open whether a path or a password goes up to it, all up to the last `@` is left out, but for a
    host by RFC 3986 that could be no more than the user. A text that is an address as a whole, alone or as the value of
    a flag, may hold blanks, too.
    """
    whole = _WHOLE.fullmatch(text)
    return _opened_by_nothing(whole) if whole else _WITHIN.sub(_within_sentence, text)


def without_users(text: str) -> str:
    """Returns a text in which no address tells a user and a password: the last line of defence of all messages.

    An address that was taken for a path, and lost a slash by it, is one too. Other addresses stay as they are.
    """
    return _WITH_USER.sub(lambda found: _WITHIN.sub(_within_sentence, f"{found[1]}//{found[2]}"), text)


def is_same_host(first: str, second: str) -> bool:
    """Returns whether two names or numbers of hosts are the same as they are written; no name is looked up."""
    return _normal(first) == _normal(second)


def _normal(host: str) -> str:
    bare = host.strip("[]").rstrip(".").casefold()
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return bare


def _decoded(part: str) -> str:
    return unquote(_UNQUOTED.sub("%25", part))


@dataclass(frozen=True, slots=True)
class _Split:
    """What follows `://`, at the first place where a host and a path can be told apart."""

    user: str
    host: str
    port: str | None
    later: str
    by_the_book: bool  # the first `/`, `?` or `#` ends the host

    @property
    def doubtful(self) -> bool:
        """Whether a password may go up to a later `@`."""
        before, at, _ = self.later.rpartition("@")
        return bool(at) and (":" in self.user or self.port is not None or ":" in before or not self.by_the_book)


def _split(body: str) -> _Split | None:
    ends = [found.start() for found in re.finditer(r"[/?#]", body)] + [len(body)]
    for end in ends:
        user, _, place = body[:end].rpartition("@")
        found = _PLACE.fullmatch(place)
        if found and (found["host"] or found["port"]):
            return _Split(user, found["host"], found["port"], body[end:], end == ends[0])
    return None


def _within_sentence(found: re.Match[str]) -> str:
    address = found[0].rstrip(_CLOSING)
    if address.endswith("?") and found[0].startswith("...", len(address)):  # a query that is hidden already
        address += "..."
    whole = _WHOLE.fullmatch(address)
    return (_opened_by_nothing(whole) if whole else address) + found[0][len(address) :]


def _opened_by_nothing(whole: re.Match[str]) -> str:
    split = _split(whole["body"])
    begin = f"{whole['flag']}{whole['scheme']}://"
    if split is None:
        return begin + _without_query(whole["body"].rpartition("@")[2])
    if not split.doubtful:
        port = "" if split.port is None else f":{split.port}"
        return f"{begin}{split.host}{port}{_without_query(split.later)}"
    before, _, after = split.later.rpartition("@")
    if split.user or not split.by_the_book:
        return begin + _without_query(after)
    return f"{begin}{split.host}/..." + ("" if "?" in before or "#" in before else f"@{_without_query(after)}")


def _without_query(rest: str) -> str:
    place, question_mark, _ = rest.partition("#")[0].partition("?")
    return f"{place}{'?...' if question_mark else ''}"
