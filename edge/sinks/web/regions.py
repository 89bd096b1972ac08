"""Takes regions that a viewer has drawn, and removes them: all that viewers can change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from edge.controls import LivePipeline
from edge.errors import SinkError, UsageError
from edge.regions import parse_region
from edge.sinks.web.address import Address

MOST_BYTES = 1 << 14  # of a region; one of the most corners takes half of that
_UNSAFE = (
    "Regions are changed only by viewers who know a token, or on the machine itself: start it with a token-file in "
    "`output`."
)


class RegionDesk:
    """Answers those who want to save or to remove a region, and tells which there are."""

    def __init__(self, live: LivePipeline, address: Address) -> None:
        self._store = live.region_store
        self._is_safe = bool(address.token) or (address.is_loopback and address.public_url is None)

    def told(self) -> dict[str, object]:
        """Returns the regions and whether they can be changed, as the page's websocket tells them."""
        return {"kind": "regions", "regions": self._store.regions, "file": self._store.file, "refusal": self._refusal}

    async def save(self, request: web.Request) -> web.Response:
        """Saves one region, `{"name": "path", "corners": [[0.4, 0.6], ...]}`, and answers as `told` does."""
        self._check_may_change()
        if request.content_type != "application/json":  # which a page of another site cannot send unasked
            raise web.HTTPUnsupportedMediaType(text="Expected Content-Type: application/json.\n")
        with _refused_in_one_line():
            name, corners = parse_region(await request.read())
            await asyncio.to_thread(self._store.add, name, corners)
        return web.json_response(self.told())

    async def remove(self, request: web.Request) -> web.Response:
        """Removes the region that is called as `name` in the query says, and answers as `told` does.

        A page of another site cannot send DELETE unasked.
        """
        self._check_may_change()
        with _refused_in_one_line():
            await asyncio.to_thread(self._store.remove, request.query.get("name", ""))
        return web.json_response(self.told())

    def _check_may_change(self) -> None:
        if self._refusal:
            raise web.HTTPForbidden(text=f"{self._refusal}\n")

    @property
    def _refusal(self) -> str:
        """Why nothing can be changed; empty where it can."""
        if not self._store.file:
            return "This run keeps no regions: start it with a file for them (`regions`)."
        return "" if self._is_safe else _UNSAFE


@contextmanager
def _refused_in_one_line() -> Iterator[None]:
    try:
        yield
    except UsageError as exc:
        raise web.HTTPUnprocessableEntity(text=f"{exc}\n") from exc
    except SinkError as exc:
        raise web.HTTPConflict(text=f"{exc}\n") from exc
