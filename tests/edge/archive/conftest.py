"""What the tests of archives share."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest

collect_ignore_glob = [] if importlib.util.find_spec("distributed") else ["test_*.py"]  # the extra `cluster`


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A cluster of two processes on this machine."""
    from archives import cluster

    with cluster(2) as opened:
        yield opened
