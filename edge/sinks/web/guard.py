"""Decides who gets an answer.

A page of another site must not reach a camera through the browser of somebody at home.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import socket

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from edge.sinks.web.address import Address
from edge.sinks.web.public_url import NETLOC

_BODY_S = 5.0  # so long a small body may take
_REFUSAL_READ_S = 0.5  # so long a client that sends a body may take to read that nobody wants it


class Guard:
    """A check of every request before it is handled."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._token = address.token.encode()
        self._names = {"localhost", address.host.lower()}
        if not address.is_loopback:
            own = socket.gethostname().lower()
            self._names |= {own, f"{own}.local"}
        self._public = address.public_url
        if self._public is not None:
            self._names.add(self._public.name)

    def middleware(self, for_all: Handler) -> Middleware:
        """Returns the check; `for_all` is the handler that says nothing secret, so that monitors need no token."""

        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.match_info.handler != for_all:
                self.check(request)
            return await handler(request)

        return check

    def check(self, request: web.Request) -> None:
        """Raises the answer that refuses a request, where it is to be refused."""
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        if not self._is_ours(host):
            text = f"Unknown host name. Open {self._address.url} instead. A proxy's own name is told with public-url.\n"
            raise web.HTTPForbidden(text=text)
        if origin is not None and not self._is_own_page(origin, host):
            raise web.HTTPForbidden(text="Pages of other sites may not look in.\n")
        if self._token and not self._knows_token(request):
            text = f"A token is needed: {self._address.url} or the header 'Authorization: Bearer ...'.\n"
            raise web.HTTPUnauthorized(text=text, headers={"WWW-Authenticate": "Bearer"})

    def _is_ours(self, host: str) -> bool:
        """An attacker's name may lead to this address (DNS rebinding); the browser then still says that name."""
        match = NETLOC.fullmatch(host)
        if match is None:
            return False
        name = match["name"].strip("[]").lower()
        if name in self._names or self._token:  # an attacker's page does not know the token
            return True
        try:
            number = ipaddress.ip_address(name)
        except ValueError:
            return False
        return number.is_loopback or not self._address.is_loopback

    def _is_own_page(self, origin: str, host: str) -> bool:
        """A proxy may say its own name in `Host`, or ours, whatever stands in the browser's address line."""
        if self._public is not None and origin == self._public.origin:
            return True
        return origin.partition("://")[2] == host

    def _knows_token(self, request: web.Request) -> bool:
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        given = request.query.get("token") or (credentials.strip() if scheme.lower() == "bearer" else "")
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token)


def without_body(taker: Handler, most_bytes: int) -> Middleware:
    """Returns the check that refuses what somebody sends before any of it is read, but for what the handler `taker`
    takes, up to `most_bytes`: that is read before it is known who sends it, so that they can read a refusal.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.body_exists:
            return await handler(request)
        if request.match_info.handler != taker:
            return await _refused(request, "Nothing can be sent here.\n")
        if request.content_length is None or request.content_length > most_bytes:
            return await _refused(request, f"Expected at most {most_bytes} bytes, and their number before them.\n")
        try:
            async with asyncio.timeout(_BODY_S):
                await request.read()
        except TimeoutError:
            return await _refused(request, f"What was announced did not come within {_BODY_S:g} s.\n")
        return await handler(request)

    return check


async def _refused(request: web.Request, text: str) -> web.StreamResponse:
    refusal = web.Response(status=413, text=text)
    refusal.force_close()
    await refusal.prepare(request)
    await refusal.write_eof()
    await asyncio.sleep(_REFUSAL_READ_S)  # closing while it still sends would take the answer back
    return refusal


async def expect_nothing(request: web.Request) -> None:
    """Leaves an `Expect: 100-continue` without the 100: the answer itself says that nothing is wanted."""


EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # the address may hold the token
    "Cross-Origin-Resource-Policy": "same-origin",  # another site's page cannot show the picture either
    "Cache-Control": "no-store",
}
