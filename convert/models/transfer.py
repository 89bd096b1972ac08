"""Fetches one file over https, under limits of time and size.

Imports requests: import this module only where it is needed.
"""

from __future__ import annotations

import http.client
import ipaddress
import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from edge.address import public
from edge.errors import DownloadError

REACH_S = 8.5  # from the name lookup to the first bytes of the file; with the way out of it, within 10 s
STALL_S = 10.0  # CHUNK_BYTES must come within this, however slowly they drip
CONNECT_S = 3.0  # per address
CHUNK_BYTES = 1 << 16
PIECE_BYTES = 1 << 20
HOPS = 5

_Item = requests.Response | bytes | Exception


@contextmanager
def transfer(url: str, most_bytes: int) -> Iterator[tuple[int | None, Iterator[bytes]]]:
    """Yields (size in bytes where the server says it, the file in pieces of 1 MiB).

    A thread does the talking, because nothing else can end a name lookup, a connection attempt or a trickle of
    headers in time. It is left to itself where it cannot be stopped, and dies with the process at the latest.

    Raises DownloadError where the reason alone, for the caller to complete.
    """
    items: queue.Queue[_Item] = queue.Queue(maxsize=16)
    stop = Event()
    thread = Thread(target=_receive, args=(url, items, stop), name="roadlite-download", daemon=True)
    response: requests.Response | None = None
    try:
        deadline_s = time.monotonic() + REACH_S
        thread.start()
        first = _next(items, deadline_s, f"no answer within {REACH_S:g} s")
        assert isinstance(first, requests.Response)
        response = first
        size = _accepted_size(response, most_bytes)
        yield size, _pieces(items, deadline_s, size, most_bytes)
    finally:
        stop.set()
        if response is not None:
            with suppress(OSError, RuntimeError, ValueError):  # already over
                response.raw.shutdown()
            thread.join(0.5)


def _accepted_size(response: requests.Response, most_bytes: int) -> int | None:
    if response.status_code != 200:
        raise DownloadError(f"the server answered with status {response.status_code}")
    stated = response.headers.get("Content-Length", "")
    size = int(stated) if stated.isascii() and stated.isdigit() else None
    if size is not None and size > most_bytes:
        raise DownloadError(f"the server announces {size:,} bytes, expected at most {most_bytes:,}")
    return size


def _pieces(items: queue.Queue[_Item], deadline_s: float, size: int | None, most_bytes: int) -> Iterator[bytes]:
    piece = bytearray()
    count, enough = 0, CHUNK_BYTES
    while chunk := _next(items, deadline_s, f"it stalled after {count:,} bytes"):
        assert isinstance(chunk, bytes)
        count += len(chunk)
        if count > most_bytes:
            raise DownloadError(f"the server sends more than the {most_bytes:,} bytes expected at most")
        if count >= enough:
            enough, deadline_s = count + CHUNK_BYTES, time.monotonic() + STALL_S
        piece += chunk
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)
    if size not in (None, count):
        raise DownloadError(f"the transfer broke off after {count:,} of {size:,} bytes")


def _next(items: queue.Queue[_Item], deadline_s: float, too_late: str) -> requests.Response | bytes:
    try:
        item = items.get(timeout=max(0.0, deadline_s - time.monotonic()))
    except queue.Empty:
        raise DownloadError(too_late) from None
    if isinstance(item, Exception):
        raise DownloadError(_reason(item)) from item
    return item


def _receive(url: str, items: queue.Queue[_Item], stop: Event) -> None:
    """Puts the response, then its bytes, then b"" as the end; or the exception that ended it."""

    def put(item: _Item) -> bool:
        while not stop.is_set():
            with suppress(queue.Full):
                items.put(item, timeout=0.1)
                return True
        return False

    try:
        with _session() as session, _get(session, url) as response:
            if not put(response):
                return
            response.raw.enforce_content_length = False  # `_pieces` compares, and says it in words
            # Undecoded: the file is wanted as it lies on the server, and Content-Length counts these bytes.
            for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
                if chunk and not put(chunk):
                    return
            put(b"")
    except (DownloadError, OSError, ValueError, http.client.HTTPException, urllib3.exceptions.HTTPError) as exc:
        put(exc)


def _session() -> requests.Session:
    session = requests.Session()
    session.headers.update({"User-Agent": "roadlite", "Accept-Encoding": "identity"})
    # Connecting only: before it asks again after a bad status, urllib3 reads the answer to its end, wherever that is.
    again = urllib3.Retry(total=1, connect=1, read=0, status=0, other=0, backoff_factor=0.5)
    for scheme in ("https://", "http://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=again))
    return session


def _get(session: requests.Session, url: str) -> requests.Response:
    """Follows redirects itself: requests would load their bodies whole and step down to plain http."""
    for _ in range(HOPS):
        require_safe(url)
        # The limits are kept by who waits for the items; this one only ends a thread that nobody waits for.
        response = session.get(url, stream=True, allow_redirects=False, timeout=(CONNECT_S, 2 * STALL_S))
        if not response.is_redirect:
            return response
        response.close()
        url = urljoin(url, response.headers["Location"])
    raise DownloadError(f"more than {HOPS} redirects")


def require_safe(url: str) -> None:
    """Raises DownloadError unless `url` is https, or http on this very machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host and (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))):
        return
    raise DownloadError(f"expected an https address, got {public(url)!r}")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reason(exc: BaseException) -> str:
    """What the innermost error says, such as "Connection refused", as one short line."""
    while (inner := exc.__cause__ or exc.__context__ or _wrapped(exc)) is not None:
        exc = inner
    text = getattr(exc, "strerror", None) or (exc if isinstance(exc, DownloadError) else f"{type(exc).__name__}: {exc}")
    return public(" ".join(str(text).split()))[:200]


def _wrapped(exc: BaseException) -> BaseException | None:
    """requests and urllib3 keep what they caught among the arguments when they raise it anew elsewhere."""
    return next((arg for arg in reversed(exc.args) if isinstance(arg, BaseException)), None)
