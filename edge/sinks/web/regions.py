"""Takes regions that a viewer has drawn: all that can be sent to the page."""

from __future__ import annotations

import asyncio

from aiohttp import web

from edge.controls import LivePipeline
from edge.errors import SinkError, UsageError
from edge.regions import parse_region
from edge.sinks.web.address import Address

MOST_BYTES = 1 << 14  # of a region; one of the most corners takes half of that
_UNSAFE = (
    "Regions are saved only by viewers who know a token, or on the machine itself: start it with a token-file in "
    "`output`."
)


class RegionDesk:
    """Answers those who want to save a region, and tells which there are."""

    def __init__(self, live: LivePipeline, address: Address) -> None:
        self._store = live.region_store
        self._is_safe = bool(address.token) or (address.is_loopback and address.public_url is None)

    def told(self) -> dict[str, object]:
        """Returns the regions and whether more can be saved, as the page's websocket tells them."""
        return {"kind": "regions", "regions": self._store.regions, "file": self._store.file, "refusal": self._refusal}

    async def save(self, request: web.Request) -> web.Response:
        """Saves one region, `{"name": "path", "corners": [[0.4, 0.6], ...]}`, and answers as `told` does."""
        if self._refusal:
            raise web.HTTPForbidden(text=f"{self._refusal}\n")
        if request.content_type != "application/json":  # which a page of another site cannot send unasked
            raise web.HTTPUnsupportedMediaType(text="Expected Content-Type: application/json.\n")
        try:
            name, corners = parse_region(await request.read())
            await asyncio.to_thread(self._store.add, name, corners)
        except UsageError as exc:
            raise web.HTTPUnprocessableEntity(text=f"{exc}\n") from exc
        except SinkError as exc:
            raise web.HTTPConflict(text=f"{exc}\n") from exc
        return web.json_response(self.told())

    @property
    def _refusal(self) -> str:
        """Why nothing can be saved; empty where it can."""
        if not self._store.file:
            return "This run keeps no regions: start it with a file for them (`regions`)."
        return "" if self._is_safe else _UNSAFE
