"""Keeps connections few, and only those that still take what is sent."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Container

from aiohttp import web

MAX_CONNECTIONS = 64  # when there are more, the oldest that are no viewer's are closed
BACKLOG = 32  # so many may come at once, before they are counted
STALLED_S = 20.0  # who takes nothing of what is sent for so long is gone
IDLE_S = 15.0  # a request must be complete within so long, and the next one begin


async def listen(
    server: web.Server, host: str, port: int, viewers: Container[asyncio.BaseProtocol]
) -> asyncio.base_events.Server:
    """Listens for connections. Raises OSError where that cannot be done."""
    listener = await asyncio.get_running_loop().create_server(_limited(server, viewers), host, port, backlog=BACKLOG)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        for each in listener.sockets:
            # Connections inherit it. One that we close would stay until its last byte is taken, which may be never.
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(STALLED_S * 1000))
    return listener


def hang_up(request: web.BaseRequest) -> None:
    """Ends a connection of which the other side has stopped to read: it would be closed only when all is read."""
    transport = request.transport
    if transport is not None and transport.get_write_buffer_size():
        transport.abort()


async def stop_listening(listener: asyncio.base_events.Server) -> None:
    """Lets nobody in any more. Who just came is a connection when it returns."""
    for each in listener.sockets:
        asyncio.get_running_loop().remove_reader(each)
    for _ in range(
        2
    ):  # until it is let in, and until it is told so: asyncio forgets whom the end overtakes (cpython#109564)
        await asyncio.sleep(0)
    listener.close()


def _limited(server: web.Server, viewers: Container[asyncio.BaseProtocol]) -> Callable[[], asyncio.BaseProtocol]:
    def connect() -> asyncio.BaseProtocol:
        ways = {c: c.transport for c in server.connections if c.transport and not c.transport.is_closing()}
        idle = [way for connection, way in ways.items() if connection not in viewers]
        for oldest in idle[: max(0, len(ways) + 1 - MAX_CONNECTIONS)]:
            oldest.abort()
        return server()

    return connect
