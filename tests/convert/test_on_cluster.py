"""Conversions that are spread over workers give the files of one process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

pytest.importorskip("distributed")

from convert import on_cluster
from convert.cli.convert_model import _on_cluster as spread_over
from convert.conversion import run
from convert.job import Job
from convert.models.load import FrozenGraph
from convert.on_cluster import MEMORY, check_workers, convert_on_cluster
from convert.tflite.recipes import parse_recipes
from edge.cluster.opening import open_cluster
from edge.errors import ClusterError, ConversionError, UsageError

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A cluster of two processes that offer memory for one conversion each."""
    with open_cluster("local", 2, {MEMORY: 4e9}) as opened:
        yield opened


@pytest.fixture
def source(random_graph: bytes) -> FrozenGraph:
    return FrozenGraph("net", random_graph, "0" * 64, "net.pb")


def job(folder: Path, hw: tuple[int, int] = (65, 129), recipes: str = "float32") -> Job:
    return Job(parse_recipes(recipes), hw, "16", folder, ["demo"], 4, 2, 0.0, None, rescue=False)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("sizes", "recipes"),
    [
        (((65, 129),), "float32"),
        pytest.param(((65, 129), (33, 65)), "float32,int8", marks=pytest.mark.long),
    ],
)
def test_files_and_what_is_said_are_those_of_one_process(
    client: Any, source: FrozenGraph, tmp_path: Path, sizes: tuple[tuple[int, int], ...], recipes: str
) -> None:
    here, there = (tmp_path / name for name in ("here", "there"))
    here.mkdir()
    there.mkdir()
    said: list[str] = []
    expected = [run(source, job(here, hw, recipes), notice=said.append) for hw in sizes]
    heard: list[str] = []
    jobs = [job(there, hw, recipes) for hw in sizes]
    found = list(convert_on_cluster(client, source, jobs, notice=heard.append))
    assert len(files(here)) == len(sizes) * len(jobs[0].recipes)
    assert files(there) == files(here)
    assert sorted(heard) == sorted(said)  # of several jobs, what is found is said before anything is made
    assert [[made.path.name for made in outcomes] for outcomes in found] == [
        [made.path.name for made in outcomes] for outcomes in expected
    ]
    assert [made.verdict for made in found[0]] == [made.verdict for made in expected[0]]
    assert all(made.path.parent == there for made in found[0])


def test_what_fails_is_the_same_error_and_leaves_nothing(client: Any, source: FrozenGraph, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as here:
        run(source, job(tmp_path, (64, 128)))
    with pytest.raises(UsageError) as there:
        list(convert_on_cluster(client, source, [job(tmp_path, (64, 128))]))
    assert str(there.value) == str(here.value)
    assert not files(tmp_path)


def test_a_process_that_ends_early_is_told(client: Any, source: FrozenGraph, tmp_path: Path) -> None:
    try:
        client.run(_no_process)
        with pytest.raises(
            ConversionError, match=r"^worker [01]: the process that converts ended early \(exit code 1: "
        ):
            list(convert_on_cluster(client, source, [job(tmp_path)]))
    finally:
        client.run(_processes)
    assert not files(tmp_path)


def _no_process() -> None:
    on_cluster.command = lambda module: ["python3", "-c", "raise SystemExit('it is broken')"]  # type: ignore[attr-defined]


def _processes() -> None:
    from edge.child import command

    on_cluster.command = command  # type: ignore[attr-defined]


def test_workers_must_offer_memory_and_have_the_converter(client: Any) -> None:
    check_workers(client, 4_000_000_000)
    with pytest.raises(ClusterError, match=r"may take 5\.0 GB of memory, the workers offer 4\.0 GB at most; start one"):
        check_workers(client, 5_000_000_000)
    try:
        client.run(_need, ("tensorflow", "no_such_module"))
        with pytest.raises(ClusterError, match=r"^worker [01] offers memory and has no no_such_module; on it: pip"):
            check_workers(client, 1)
    finally:
        client.run(_need, on_cluster.NEEDED)
    with open_cluster("local", 1) as bare, pytest.raises(ClusterError, match=r"^no worker says how much memory"):
        check_workers(bare, 1)


def _need(modules: tuple[str, ...]) -> None:
    on_cluster.NEEDED = modules


@pytest.mark.long
def test_an_interrupt_does_not_hide_what_is_written(client: Any, source: FrozenGraph, tmp_path: Path) -> None:
    """As when the user ends it while the second file is taken."""
    heard: list[int] = []

    def until_the_second(calls: Any, what: str, total: int | None = None) -> Iterator[Any]:
        for call in calls:
            if what == "converting":
                heard.append(1)
                if len(heard) == 2:
                    raise KeyboardInterrupt
            yield call

    asked = [job(tmp_path, recipes="float32,float16")]
    found: list[Any] = []
    with pytest.raises(KeyboardInterrupt):
        found.extend(convert_on_cluster(client, source, asked, until_the_second))
    found = [made for outcomes in found for made in outcomes]
    assert [made.path.name for made in found] == list(files(tmp_path))
    assert len(found) == 1


def test_processes_of_this_machine_that_do_not_fit_are_refused_with_a_number_that_does(
    source: FrozenGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=5e9, total=8e9))
    with pytest.raises(UsageError, match=r"9 processes may take 18\.\d GB of memory, and 5\.0 GB are .*; try local:2"):
        list(spread_over("local:9", source, [job(tmp_path)]))
