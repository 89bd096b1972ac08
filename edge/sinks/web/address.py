"""Reads where the web page is to be served, and who may come."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from edge.errors import UsageError
from edge.text import public

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8080


@dataclass(frozen=True, slots=True)
class Address:
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    token: str = ""  # viewers must know it, where it is not empty

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect to the address."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def url(self) -> str:
        """The address to type into a browser; the token is not shown."""
        host = self.host
        if host in ("0.0.0.0", "::"):
            host = _own_ip(host)
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.port}/" + ("?token=..." if self.token else "")

    @property
    def notice(self) -> str:
        """The sentence that the user should be told."""
        if self.is_loopback:
            tunnel = f"ssh -L {self.port}:localhost:{self.port} {socket.gethostname()}"
            return f"watch at {self.url} (from elsewhere: {tunnel}, or `output` web://0.0.0.0?token=SECRET)"
        if self.token:
            return f"watch at {self.url}"
        return (
            f"watch at {self.url} - warning: so can everybody else in this network; "
            f"web://{self.host}:{self.port}?token=SECRET lets in only those who know the secret"
        )


def parse_address(spec: str) -> Address:
    """Reads `web`, or `web://HOST:PORT` with `?token=SECRET` or `?token-file=FILE`; HOST and PORT may be left out.

    Raises UsageError where it is spelt in another way, or the file cannot be read.
    """
    where = public_output(spec)
    wrong = UsageError(f"output {where!r}: expected web or web://HOST:PORT?token=SECRET, such as web://0.0.0.0:8080")
    if spec == "web":
        return Address()
    try:
        parts = urlsplit(spec)
        port = parts.port
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as exc:
        raise wrong from exc
    if not spec.startswith("web://") or parts.path not in ("", "/") or "@" in parts.netloc or parts.fragment:
        raise wrong
    if len(options) > 1 or not set(options) <= {"token", "token-file"} or "" in options.values():
        raise wrong
    token = options.get("token") or (_read_token(options["token-file"]) if options else "")
    if any(char.isspace() or not char.isprintable() for char in token):
        raise UsageError(f"output {where!r}: expected a token without blanks")
    return Address(parts.hostname or DEFAULT_HOST, DEFAULT_PORT if port is None else port, token)


def public_output(spec: str) -> str:
    """Returns the text of an output without what may be secret in it: a token, and what is taken for a password."""
    return public(spec) if "://" in spec else spec.partition("?")[0]


def _read_token(name: str) -> str:
    try:
        token = Path(name).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"token-file={name}: cannot be read ({getattr(exc, 'strerror', None) or exc})") from exc
    if not token:
        raise UsageError(f"token-file={name}: expected a secret in it, found nothing")
    return token


def _own_ip(any_address: str) -> str:
    """This machine's address in its network. No packet is sent: connecting a datagram socket only picks a route."""
    family, far = (socket.AF_INET6, "2001:db8::1") if ":" in any_address else (socket.AF_INET, "192.0.2.1")
    with closing(socket.socket(family, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect((far, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
