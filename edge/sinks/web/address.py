"""Reads where the web page is to be served, and who may come."""

from __future__ import annotations

import ipaddress
import shlex
import socket
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from edge.address import public
from edge.errors import UsageError
from edge.sinks.web.public_url import PublicUrl, parse_public_url
from edge.sinks.web.token import checked, read_token

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8080
_OPTIONS = {"token", "token-file", "public-url"}


@dataclass(frozen=True, slots=True)
class Address:
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    token: str = ""  # viewers must know it, where it is not empty
    public_url: PublicUrl | None = None  # where a proxy shows the page

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect to the address."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def spec(self) -> str:
        """The output as it is spelt, without its options."""
        return f"web://{_bracketed(self.host)}:{self.port}"

    @property
    def url(self) -> str:
        """The address to type into a browser; the token is not shown."""
        host = _own_ip(self.host) if self.host in ("0.0.0.0", "::") else self.host
        page = self.public_url or f"http://{_bracketed(host)}:{self.port}/"
        return f"{page}{'?token=...' if self.token else ''}"

    @property
    def notice(self) -> str:
        """The sentence that the user should be told."""
        watch, with_token = f"watch at {self.url}", shlex.quote(f"{self.spec}?token-file=FILE")
        if self.token:
            return watch if self.public_url or not self.is_loopback else f"{watch} (from elsewhere: {self._tunnel})"
        if not self.is_loopback:
            return (
                f"{watch} - warning: so can everybody else in this network; `output` {with_token} lets in only those "
                "who know the token in FILE"
            )
        if self.public_url:
            return f"{watch} - warning: so can everybody else, unless the proxy or a token-file in `output` asks who"
        everywhere = "[::]" if ":" in self.host else "0.0.0.0"
        elsewhere = shlex.quote(f"web://{everywhere}:{self.port}?token-file=FILE")
        return f"{watch} (from elsewhere: {self._tunnel}, or `output` {elsewhere})"

    @property
    def _tunnel(self) -> str:
        """The command that brings the page to the port of the same number on another machine."""
        here = "localhost" if self.host == DEFAULT_HOST else _bracketed(self.host)
        return f"ssh -L {shlex.quote(f'{self.port}:{here}:{self.port}')} {socket.gethostname()}"


def parse_address(spec: str) -> Address:
    """Reads `web`, or `web://HOST:PORT`; HOST and PORT may be left out.

    Behind it may stand `?token-file=FILE` or `?token=TOKEN`, and `public-url=URL`, joined by `&`.

    Raises UsageError where it is spelt in another way, the file cannot be read, or the token is too short.
    """
    where = public_output(spec)
    wrong = UsageError(
        f"output {where!r}: expected web or web://HOST:PORT, such as web://0.0.0.0:8080, with ?token-file=FILE or "
        "?token=TOKEN, and public-url=URL where a proxy shows it (joined by &)"
    )
    if spec == "web":
        return Address()
    try:
        parts = urlsplit(spec)
        port = parts.port
        given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as exc:
        raise wrong from exc
    options = dict(given)
    if not spec.startswith("web://") or parts.path not in ("", "/") or "@" in parts.netloc or parts.fragment:
        raise wrong
    if len(options) < len(given) or not options.keys() <= _OPTIONS or {"token", "token-file"} <= options.keys():
        raise wrong
    if "" in options.values():
        raise wrong
    return Address(
        parts.hostname or DEFAULT_HOST,
        DEFAULT_PORT if port is None else port,
        _token(options, f"output {where!r}"),
        parse_public_url(options["public-url"]) if "public-url" in options else None,
    )


def public_output(spec: str) -> str:
    """Returns the text of an output without what may be secret in it: a token, and what is taken for a password."""
    return public(spec) if "://" in spec else spec.partition("?")[0]


def _token(options: dict[str, str], where: str) -> str:
    if "token-file" in options:
        return read_token(options["token-file"])
    return checked(options["token"], where) if "token" in options else ""


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _own_ip(any_address: str) -> str:
    """This machine's address in its network. No packet is sent: connecting a datagram socket only picks a route."""
    family, far = (socket.AF_INET6, "2001:db8::1") if ":" in any_address else (socket.AF_INET, "192.0.2.1")
    with closing(socket.socket(family, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect((far, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
