"""Workers keep files for a run, answer questions while they work, and are given no more than they can take."""

from __future__ import annotations

import hashlib
import os
import signal
from typing import Any

import pytest
from pretending import files_of, fill, slow_first

from edge.cluster import opening
from edge.cluster.models import arrived, sent
from edge.cluster.opening import ask_all, check_versions, open_cluster
from edge.cluster.segmenters import arrived_as
from edge.cluster.spread import AHEAD, HELD, spread
from edge.errors import ClusterError, ModelError

DATA = b"a model"
SHA256 = hashlib.sha256(DATA).hexdigest()


def plugins(client: Any) -> set[str]:
    return set(client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.worker_plugins)))


def test_a_file_is_on_workers_while_a_run_wants_it_and_no_longer(client: Any) -> None:
    before, known = client.run(files_of), plugins(client)
    with sent(client, DATA, SHA256), sent(client, DATA, SHA256):
        assert len(plugins(client) - known) == 2
        assert client.submit(arrived_as, "net.tflite", SHA256, pure=False).result().name == "net.tflite"
        with sent(client, DATA, SHA256):
            pass
        assert client.submit(arrived, SHA256, pure=False).result().suffix == ".tflite", "others want it still"
    assert plugins(client) == known
    assert client.run(files_of) == before


def test_a_file_that_was_being_sent_is_taken_back(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before, known, register = client.run(files_of), plugins(client), client.register_plugin

    def interrupted(*given: Any, **named: Any) -> None:
        register(*given, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(client, "register_plugin", interrupted)
    with pytest.raises(KeyboardInterrupt), sent(client, DATA, SHA256):
        pytest.fail("it was not sent")
    assert plugins(client) == known
    assert client.run(files_of) == before


def test_a_worker_that_cannot_keep_a_file_says_why_and_the_others_have_it(client: Any) -> None:
    first, second = client.nthreads()
    client.run(fill, True, workers=[first])
    with sent(client, DATA, SHA256):
        client.run(fill, False)
        assert client.submit(arrived, SHA256, workers=[second], pure=False).result().exists()
        with pytest.raises(ModelError, match=r"worker [01]: the model .* did not arrive \(No space left on device\)"):
            client.submit(arrived, SHA256, workers=[first], pure=False).result()


def test_a_disk_that_is_full_by_now_leaves_what_others_have_sent(client: Any) -> None:
    before = client.run(files_of)
    with sent(client, DATA, SHA256):
        client.run(fill, True)
        with sent(client, DATA, SHA256):
            client.run(fill, False)
            found = [client.submit(arrived, SHA256, workers=[worker], pure=False) for worker in client.nthreads()]
            assert [path.result().suffix for path in found] == [".tflite"] * 2
    assert client.run(files_of) == before


def test_only_workers_that_offer_a_resource_get_a_file_that_needs_it() -> None:
    with open_cluster("local", 1, {"memory": 1e9}) as client:
        before = client.run(files_of)
        with sent(client, DATA, SHA256, "accelerator"):
            assert client.run(files_of) == before
        with sent(client, DATA, SHA256, "memory"):
            assert client.run(files_of) != before


def test_a_worker_that_hangs_is_named(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_PATIENCE_S", 2.0)
    address, process = next(iter(client.run(os.getpid).items()))
    os.kill(process, signal.SIGSTOP)
    try:
        with pytest.raises(ClusterError, match=f"worker {address} does not answer; end it, or start it again"):
            check_versions(client)
    finally:
        os.kill(process, signal.SIGCONT)
    assert set(ask_all(client, os.getpid)) == set(client.nthreads())


def test_few_calls_are_taken_while_the_first_takes_its_time(client: Any) -> None:
    taken = 0

    def items() -> Any:
        nonlocal taken
        for taken in range(1, 400):
            yield taken - 1

    answers = spread(client, "trying", slow_first, items())
    assert next(answers) == 0
    assert AHEAD * 2 < taken <= HELD * 2
    assert list(answers) == list(range(1, 399))
