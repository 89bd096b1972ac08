"""What the tests of work on clusters share."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest

collect_ignore_glob = [] if importlib.util.find_spec("distributed") else ["test_*.py"]  # the extra `cluster`


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A cluster of two processes on this machine."""
    from edge.cluster.opening import open_cluster

    with open_cluster("local", 2) as opened:
        yield opened
