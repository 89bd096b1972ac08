"""The web page behind a proxy that ends TLS, under another name and below a path."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from typing import Any

import aiohttp
import pytest
from reverse_proxy import NAME, PATH, ReverseProxy, elsewhere, first_of_stream, reverse_proxy
from waiting import PATIENCE_S
from web_page import get, opened, raw, result, shown, told
from yarl import URL

from edge.sinks.web.sink import WebPage

EVERY_PROXY = [(own_name, cuts_path) for own_name in (True, False) for cuts_path in (True, False)]


@contextmanager
def shown_by(proxy: ReverseProxy, more: str = "") -> Iterator[WebPage]:
    with closing(opened(f"web://127.0.0.1:0?public-url={proxy.url}{more}")) as sink:
        proxy.behind = sink.address.port
        sink.write(result(0))
        yield sink


def online(work: Callable[[aiohttp.ClientSession], Coroutine[Any, Any, None]]) -> None:
    async def within() -> None:
        async with asyncio.timeout(2 * PATIENCE_S), elsewhere() as session:
            await work(session)

    asyncio.run(within())


@pytest.mark.parametrize(("own_name", "cuts_path"), EVERY_PROXY)
def test_all_there_is_can_be_had_through_a_proxy(own_name: bool, cuts_path: bool) -> None:
    with reverse_proxy(own_name=own_name, cuts_path=cuts_path) as proxy, shown_by(proxy) as sink:
        origin = proxy.url.removesuffix(PATH)

        async def work(session: aiohttp.ClientSession) -> None:
            async with session.get(proxy.url) as page:
                assert page.status == 200
                allowed = page.headers["Content-Security-Policy"].partition("connect-src ")[2].partition(";")[0]
                assert f"wss://{NAME}:{proxy.port}" in allowed.split()
            for path in ("snapshot.jpg", "stats", "metrics", "healthz"):
                async with session.get(proxy.url + path) as answer:
                    assert answer.status == 200
                async with session.head(proxy.url + path) as answer:
                    assert answer.status == 200
            async with session.ws_connect(f"{proxy.url}ws", origin=origin) as viewer:
                await told(viewer, "hello")
                assert (await shown(viewer))[0]["index"] == 0
            assert b"image/jpeg" in await first_of_stream(session, f"{proxy.url}stream.mjpg")
            for foreign in ("https://evil.example", f"http://{NAME}:{proxy.port}", f"https://{NAME}", "null"):
                async with session.get(f"{proxy.url}stats", headers={"Origin": foreign}) as answer:
                    assert answer.status == (200 if own_name and foreign.startswith("http://cars") else 403)

        online(work)
        assert sink.notice.startswith(f"watch at {proxy.url} - warning: so can everybody else")
        assert get(sink, "stats")[0] == 200, "it goes on answering under its own address"


def test_a_proxy_that_passes_the_path_on_is_led_to_the_page() -> None:
    with reverse_proxy(cuts_path=False) as proxy, shown_by(proxy, "&token=s3cret%26word") as sink:

        async def work(session: aiohttp.ClientSession) -> None:
            without_slash = proxy.url.rstrip("/")
            async with session.get(without_slash) as answer:
                assert answer.status == 401
                assert f"A token is needed: {proxy.url}?token=..." in await answer.text()
            async with session.get(
                URL(f"{without_slash}?token=s3cret%26word", encoded=True), allow_redirects=False
            ) as answer:
                assert (answer.status, answer.headers["Location"]) == (307, f"{proxy.url}?token=s3cret%26word")
            async with session.get(URL(f"{without_slash}?token=s3cret%26word", encoded=True)) as answer:
                assert answer.status == 200
            async with session.get(f"{proxy.url}healthz") as answer:
                assert answer.status == 200

        online(work)
        path = PATH.rstrip("/")
        request = f"GET {path}?token=s3cret%26word&x=%0d%0aSet-Cookie:y HTTP/1.0\r\nHost: localhost\r\n\r\n"
        answer = raw(sink, request.encode())
        assert b" 307 " in answer.splitlines()[0]
        assert not any(line.lower().startswith(b"set-cookie") for line in answer.splitlines())


def test_a_proxy_that_was_not_told_of_is_refused_by_name() -> None:
    with reverse_proxy() as proxy, closing(opened()) as sink:
        proxy.behind = sink.address.port

        async def work(session: aiohttp.ClientSession) -> None:
            async with session.get(proxy.url) as answer:
                assert answer.status == 403
                assert "public-url" in await answer.text()

        online(work)
