"""Reads files over HTTP from the host that was named, and from no other unless it is allowed."""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.request
from base64 import b64encode
from email.message import Message
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urljoin, urlsplit

from edge.address import Address, is_same_host, public
from edge.errors import SourceError
from edge.text import reason

OPENING_S = 10.0  # what a stream is can be told after a second of it or more; silence ends it sooner
SCHEMES = ("http", "https")
_PORTS = {"http": 80, "https": 443}
_TROUBLE = (OSError, ValueError, http.client.HTTPException)  # URLError and TimeoutError are OSErrors
_MOST_HOPS = 5
_UNQUOTED = "%/:=&?~#+!$,;'@()*[]"  # as they may stand in a path and a query


class HttpFiles:
    """What can be had by HTTP at `address`, and what that refers to: redirects, playlists, segments.

    FFmpeg would follow them to any host, such as services of this machine or of its network that only it can reach,
    and show the password there. Here all is had from the host and port that were named, from the usual ports of that
    host (cameras lead from http to https), and from `allow_hosts`, each HOST or HOST:PORT. The password goes to the
    host that it was given for. Certificates are not checked, since those of cameras are their own.
    """

    def __init__(self, address: Address, timeout_s: float, allow_hosts: tuple[str, ...] = ()) -> None:
        self.address, self._timeout_s, self._allowed = address, timeout_s, allow_hosts
        self._deadline_s = 0.0
        self._opener = _opener(address, self)
        self.renew(OPENING_S)

    def renew(self, least_s: float = 0.0) -> None:
        """Allows what is awaited now as long as the timeout, or `least_s`, where that is longer."""
        self._deadline_s = time.monotonic() + max(self._timeout_s, least_s)

    def open(self, url: str, begin: int = 0, end: int | None = None) -> HttpFile:
        """Opens a file, of which bytes `begin` to `end` are wanted.

        Raises SourceError, which names no password, where it is out of reach or refused.
        """
        self.check(url)
        request = urllib.request.Request(quote(url.partition("#")[0], safe=_UNQUOTED))
        request.add_header("User-Agent", "roadlite")
        if begin or end is not None:
            request.add_header("Range", f"bytes={begin}-{'' if end is None else end - 1}")
        try:
            response = self._opener.open(request, timeout=self._timeout_s)
        except HTTPError as exc:
            exc.close()
            is_own = is_same_host(urlsplit(exc.url).hostname or "", self.address.host)
            why = self.address.refusal(exc.code) if is_own else f"{public(exc.url)} answers with status {exc.code}"
            raise SourceError(f"{public(url)}: {why}{self.address.advice}") from None
        except _TROUBLE as exc:
            raise SourceError(f"{public(url)}: expected an answer ({self._why(exc)}){self.address.advice}") from None
        if (begin or end is not None) and response.status != 206:
            response.close()
            raise SourceError(f"{public(url)}: the server cannot give a part of the file")
        return HttpFile(self, url, response, begin, end)

    def check(self, url: str) -> None:
        """Raises SourceError for what may not be asked."""
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError:
            raise SourceError(f"{self.address.shown}: it refers to {public(url)!r}, which is no address") from None
        host = parts.hostname or ""
        if parts.scheme in SCHEMES and (self._is_named(host, port) or self._is_allowed(host, port)):
            return
        if parts.scheme not in SCHEMES:
            kind = "encrypted segments" if parts.scheme.startswith("crypto") else f"{parts.scheme[:20]}: addresses"
            raise SourceError(f"{self.address.shown}: it refers to {kind}, which are not read from a network")
        raise SourceError(
            f"{self.address.shown}: it refers to {parts.scheme}://{host}:{port}, another host or port than was named; "
            f"`allow_hosts` {host}:{port} lets it be asked"
        )

    def in_time(self) -> None:
        """Raises TimeoutError when what is awaited takes too long, however slowly it comes."""
        if time.monotonic() > self._deadline_s:
            raise TimeoutError

    def broke(self, url: str, exc: BaseException) -> SourceError:
        return SourceError(f"{public(url)}: the stream broke off ({self._why(exc)})")

    def _why(self, exc: BaseException) -> str:
        inner = exc.reason if isinstance(exc, URLError) else exc
        if isinstance(inner, TimeoutError):
            return f"nothing came within {self._timeout_s:g} s"
        if isinstance(inner, http.client.HTTPException):
            return "what answers does not speak HTTP"
        return public(reason(inner)) if isinstance(inner, BaseException) else public(str(inner))

    def _is_named(self, host: str, port: int) -> bool:
        named = self.address.port or _PORTS[self.address.scheme]
        return is_same_host(host, self.address.host) and port in (named, *_PORTS.values())

    def _is_allowed(self, host: str, port: int) -> bool:
        return any(is_same_host(host, name) and allowed in (None, port) for name, allowed in map(_split, self._allowed))


class HttpFile:
    """One file, as FFmpeg reads it; its reads raise SourceError."""

    def __init__(self, files: HttpFiles, url: str, response: Any, begin: int, end: int | None) -> None:
        self._files, self._url, self._response = files, url, response
        self._position, self._end = begin, end
        length: int | None = response.length  # what is still to come; None where the server does not say
        self.size = None if length is None else begin + length
        self._seekable = "bytes" in response.headers.get("Accept-Ranges", "") and length is not None
        self.content_type: str = response.headers.get_content_type()

    @property
    def name(self) -> str:
        """The address that answered, which what it refers to is relative to."""
        return str(self._response.url)

    def peek(self, count: int) -> bytes:
        """Returns the first bytes, which are still to be read; fewer at the end, or while they have not come."""
        return bytes(self._guarded(lambda: self._response.peek(count))[:count])

    def read(self, count: int) -> bytes:
        """Returns what has come, at most `count` bytes; none at the end."""
        data = bytes(self._guarded(lambda: self._response.read1(count)))
        self._position += len(data)
        if not data and self.size is not None and self._position < self.size:
            raise SourceError(f"{public(self._url)}: the stream broke off after {self._position} of {self.size} bytes")
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Goes to another place, by asking for the file from there on."""
        target = offset + {0: 0, 1: self._position, 2: self.size or 0}[whence]
        if target != self._position:
            self._response.close()
            at_end = self.size is not None and target >= self.size
            self._response = (
                self._files.open(self._url, target, self._end)._response if not at_end else _Nothing(self._response.url)
            )
            self._position = target
        return target

    def tell(self) -> int:
        return self._position

    def seekable(self) -> bool:
        return self._seekable

    def close(self) -> None:
        self._response.close()

    def _guarded(self, read: Any) -> bytes:
        try:
            self._files.in_time()
            data: bytes = read()
        except (*_TROUBLE, AttributeError) as exc:  # AttributeError: it was closed meanwhile
            raise self._files.broke(self._url, exc) from None
        return data


class _Nothing:
    """The end of a file."""

    def __init__(self, url: str) -> None:
        self.url = url

    def read1(self, count: int) -> bytes:
        return b""

    def close(self) -> None:
        pass


class _Redirects(urllib.request.BaseHandler):
    """Follows redirects to where files may be read from; bodies of redirects, which may be endless, are not read."""

    def __init__(self, files: HttpFiles) -> None:
        self._files = files

    def http_error_302(self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message) -> Any:
        location, hops = headers.get("Location"), getattr(req, "hops", 0) + 1
        if location is None or hops > _MOST_HOPS:
            return None
        fp.close()
        url = urljoin(req.full_url, quote(location, safe=_UNQUOTED))
        self._files.check(url)
        further = urllib.request.Request(url, headers=req.headers)  # without what is for the host before alone
        further.hops = hops  # type: ignore[attr-defined]
        return self.parent.open(further, timeout=req.timeout)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class _Password(urllib.request.HTTPDigestAuthHandler):
    """Gives the password where it is asked for, once, by the better way of those that the server knows."""

    def __init__(self, passwords: urllib.request.HTTPPasswordMgr) -> None:
        super().__init__(passwords)
        self._passwords = passwords

    def http_error_401(self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message) -> Any:
        challenges = {each.partition(" ")[0].lower(): each for each in headers.get_all("WWW-Authenticate", ())}
        user, password = self._passwords.find_user_password(None, req.full_url)  # type: ignore[arg-type]
        if req.has_header("Authorization") or password is None or not {"digest", "basic"} & set(challenges):
            return None
        fp.close()
        if "digest" in challenges:
            return self.retry_http_digest_auth(req, challenges["digest"])
        proof = b64encode(f"{user}:{password}".encode()).decode()
        req.add_unredirected_header("Authorization", f"Basic {proof}")
        return self.parent.open(req, timeout=req.timeout)


def _opener(address: Address, files: HttpFiles) -> urllib.request.OpenerDirector:
    """Returns what opens http and https, and nothing else that urllib can open."""
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if address.user is not None:
        for own in (f"{address.scheme}://{address.place}", f"https://{address.bracketed}"):
            passwords.add_password(None, own, address.user, address.password)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    made = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=context),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Password(passwords),
        _Redirects(files),
    ):
        made.add_handler(handler)
    return made


def _split(allowed: str) -> tuple[str, int | None]:
    parts = urlsplit(f"//{allowed}")
    return parts.hostname or "", parts.port
