"""A proxy on this machine that ends TLS and shows a page under another name, below a path."""

from __future__ import annotations

import re
import select
import socket
import socketserver
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cache

import aiohttp
import trustme
from aiohttp.abc import AbstractResolver, ResolveResult
from waiting import PATIENCE_S

NAME, PATH = "cars.example", "/pi/"
_HEAD = re.compile(rb"(?P<method>\S+) (?P<path>\S+) HTTP/1\.1\r\n(?P<fields>.*)", re.DOTALL)


@cache
def authority() -> trustme.CA:
    return trustme.CA()


class ReverseProxy(socketserver.ThreadingTCPServer):
    """What the proxy does, as people set theirs up; where the page is may be told later (`behind`)."""

    def __init__(self, own_name: bool, cuts_path: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Visit)
        self.own_name, self.cuts_path = own_name, cuts_path
        self.port: int = self.server_address[1]
        self.behind = 0  # the page's port
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority().issue_cert(NAME).configure_cert(self.tls)

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.port}{PATH}"

    def passed_on(self, head: bytes) -> bytes | None:
        """Returns the head of a request as the page gets it; None where it is for something else."""
        found = _HEAD.fullmatch(head)
        assert found is not None, head
        path = found["path"]
        if not path.startswith(PATH.encode()) and (self.cuts_path or not path.startswith(PATH.rstrip("/").encode())):
            return None
        if self.cuts_path:
            path = path.removeprefix(PATH.rstrip("/").encode())
        fields = found["fields"]
        if not self.own_name:
            fields = re.sub(rb"(?im)^Host: .*$", b"Host: 127.0.0.1:%d\r" % self.behind, fields)
        if not re.search(rb"(?im)^Upgrade:", fields):
            fields = (
                re.sub(rb"(?im)^Connection: .*\n", b"", fields).removesuffix(b"\r\n") + b"Connection: close\r\n\r\n"
            )
        return b"%s %s HTTP/1.1\r\n%s" % (found["method"], path, fields)


class _Visit(socketserver.BaseRequestHandler):
    """A connection and the one request in it."""

    server: ReverseProxy

    def handle(self) -> None:
        with suppress(OSError), self.server.tls.wrap_socket(self.request, server_side=True) as front:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                if not (byte := front.recv(1)):
                    return
                head += byte
            passed_on = self.server.passed_on(head)
            if passed_on is None:
                front.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", self.server.behind), PATIENCE_S) as behind:
                behind.sendall(passed_on)
                _pump(front, behind)


def _pump(front: ssl.SSLSocket, behind: socket.socket) -> None:
    """Passes bytes on in both directions until one side ends."""
    while True:
        for one in [front] if front.pending() else select.select([front, behind], [], [], PATIENCE_S)[0]:
            data = one.recv(1 << 16)
            if not data:
                return
            (behind if one is front else front).sendall(data)


@contextmanager
def reverse_proxy(*, own_name: bool = True, cuts_path: bool = True) -> Iterator[ReverseProxy]:
    """Runs a proxy.

    It says its own name in `Host`, as Caddy does, or that of the page, as nginx does, and cuts its path off or not.
    """
    with ReverseProxy(own_name, cuts_path) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


class _Here(AbstractResolver):
    """Every name leads to this machine."""

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


@asynccontextmanager
async def elsewhere() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that finds the proxy by its name and trusts it."""
    tls = ssl.create_default_context()
    authority().configure_trust(tls)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls, resolver=_Here())) as session:
        yield session


async def first_of_stream(session: aiohttp.ClientSession, address: str) -> bytes:
    """Returns what stands before the first picture of a stream, and leaves."""
    async with session.get(address) as stream:
        head = await stream.content.readuntil(b"\r\n\r\n")
        assert stream.connection is not None
        assert stream.connection.transport is not None
        stream.connection.transport.abort()  # closing waits for TLS's farewell, which no loop waits for
    return head
