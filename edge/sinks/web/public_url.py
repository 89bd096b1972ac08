"""Reads the address under which a proxy shows the page."""

from __future__ import annotations

import re
from dataclasses import dataclass

from yarl import URL

from edge.address import public
from edge.errors import UsageError
from edge.text import one_line, shortened

NETLOC = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?", re.ASCII | re.IGNORECASE)
"""What may stand in `Host`, and between `https://` and the next slash."""
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*/?", re.ASCII)


@dataclass(frozen=True, slots=True)
class PublicUrl:
    """An address as browsers have it: in lower case, without the port where it is the scheme's own."""

    scheme: str  # http or https
    netloc: str  # cars.example.org, or cars.example.org:8443
    path: str = "/"  # begins and ends with a slash

    @property
    def origin(self) -> str:
        """What a browser says in `Origin`."""
        return f"{self.scheme}://{self.netloc}"

    @property
    def websockets(self) -> str:
        """The origin of the page's websocket."""
        return f"{self.scheme.replace('http', 'ws')}://{self.netloc}"

    @property
    def name(self) -> str:
        """The host without its port."""
        found = NETLOC.fullmatch(self.netloc)
        assert found is not None
        return found["name"].strip("[]")

    def __str__(self) -> str:
        return self.origin + self.path


def parse_public_url(text: str) -> PublicUrl:
    """Reads `https://HOST[:PORT][/PATH/]`, or the same with http. A name with umlauts becomes its `xn--` form.

    Raises UsageError where it is anything else: it goes into headers, so nothing else may hide in it.
    """
    wrong = UsageError(
        f"public-url={shortened(one_line(public(text)), 100)}: expected the address of the page at the proxy, "
        "such as https://cars.example.org/pi/"
    )
    if not text.isprintable():
        raise wrong
    try:
        url = URL(text)
        netloc, path = url.host_port_subcomponent, url.raw_path
    except ValueError as exc:
        raise wrong from exc
    if url.scheme not in ("http", "https") or url.raw_user is not None or url.raw_password is not None:
        raise wrong
    if "?" in text or "#" in text or netloc is None or not NETLOC.fullmatch(netloc) or not _PATH.fullmatch(path):
        raise wrong
    return PublicUrl(url.scheme, netloc, path.rstrip("/") + "/")
