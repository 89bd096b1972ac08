"""Puts the page together from its parts: one answer, nothing fetched from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources

_PARTS = ("page.html", "page.css", "settings.js", "page.js", "regions.js", "keys.js")


class Page:
    """The page and the policy that lets it run its own script and style, and nothing else."""

    def __init__(self) -> None:
        html, style, *scripts = (resources.files("edge.sinks.web").joinpath(name).read_bytes() for name in _PARTS)
        html = html.replace(b"<style></style>", b"<style>\n%b</style>" % style)
        self.html = html.replace(b"<script></script>", b"<script>\n%b</script>" % b"\n".join(scripts))
        self._script, self._style = (_hash(self.html, tag) for tag in (b"script", b"style"))

    def policy(self, *websockets: str) -> str:
        """Returns the Content-Security-Policy for a page whose websocket is at one of these origins.

        Older browsers do not count a websocket as 'self'.
        """
        return (
            f"default-src 'none'; script-src '{self._script}'; style-src '{self._style}'; img-src blob: data:; "
            f"connect-src 'self' {' '.join(websockets)}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )


def _hash(html: bytes, tag: bytes) -> str:
    match = re.search(rb"<%b>(.*?)</%b>" % (tag, tag), html, re.DOTALL)
    assert match is not None
    return "sha256-" + base64.b64encode(hashlib.sha256(match[1]).digest()).decode()
