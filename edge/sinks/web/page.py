"""Reads the page: one file, nothing fetched from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources


class Page:
    """The page and the policy that lets it run its own script and style, and nothing else."""

    def __init__(self) -> None:
        self.html = resources.files("edge.sinks.web").joinpath("page.html").read_bytes()
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
