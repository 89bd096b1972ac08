from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator

import pytest
from chromium import Browser, connect, start, stop


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, asyncio.Runner() as runner:
        process, address = runner.run(start(profile))
        session, line = runner.run(connect(address))
        try:
            made = Browser(runner, line)
            for domain in ("Page", "Runtime", "Log"):
                made.call(f"{domain}.enable")
            yield made
        finally:
            runner.run(stop(session, process))
