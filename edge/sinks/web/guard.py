"""Decides who gets an answer.

A page of another site must not reach a camera through the browser of somebody at home.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import socket

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from edge.sinks.web.address import Address

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?", re.ASCII | re.IGNORECASE)
_OPEN = frozenset({"/healthz"})  # says nothing but whether pictures come, so that monitors need no secret


class Guard:
    """A check of every request before it is handled."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._token = address.token.encode()
        self._names = {"localhost", address.host.lower()}
        if not address.is_loopback:
            own = socket.gethostname().lower()
            self._names |= {own, f"{own}.local"}

    def middleware(self) -> Middleware:
        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.check(request)
            return await handler(request)

        return check

    def check(self, request: web.Request) -> None:
        """Raises the answer that refuses a request, where it is to be refused."""
        if not self._is_ours(request.headers.get("Host", "")):
            raise web.HTTPForbidden(text=f"Unknown host name. Open {self._address.url} instead.\n")
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.headers["Host"]:
            raise web.HTTPForbidden(text="Pages of other sites may not look in.\n")
        if self._token and request.path not in _OPEN and not self._knows_token(request):
            text = f"A token is needed: {self._address.url} or the header 'Authorization: Bearer ...'.\n"
            raise web.HTTPUnauthorized(text=text, headers={"WWW-Authenticate": "Bearer"})

    def _is_ours(self, host: str) -> bool:
        """An attacker's name may lead to this address (DNS rebinding); the browser then still says that name."""
        match = _HOST.fullmatch(host)
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

    def _knows_token(self, request: web.Request) -> bool:
        given = request.query.get("token") or request.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token)


EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # the address may hold the token
    "Cross-Origin-Resource-Policy": "same-origin",  # another site's page cannot show the picture either
    "Cache-Control": "no-store",
}
