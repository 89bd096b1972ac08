"""The boards of a fleet are looked at by their workers, and shown by their kinds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pretending import die, full, place
from raspberry import PI

from edge.cli.check_device import main
from edge.cluster import each_worker, opening
from edge.cluster.each_worker import Seat, by_machine, on_each, seats
from edge.cluster.opening import open_cluster
from edge.device.board import Memory, Throttle, machine_id
from edge.device.survey import Device, Package
from edge.errors import ClusterError
from edge.fleet.boards import Board, kinds, shared, survey

HOT = replace(PI, temperature_c=84.0, throttle=Throttle(("throttled",), ("throttled",)), memory=Memory(8451, 1000))
OLD = replace(PI, board="Raspberry Pi 4 Model B Rev 1.4", cpu="Cortex-A72", memory=Memory(3975, 3000))


@pytest.fixture(scope="module")
def fleet() -> Iterator[Any]:
    """Three workers."""
    with open_cluster("local", 3) as opened:
        yield opened


def test_boards_of_one_kind_are_grouped(fleet: Any) -> None:
    place(fleet, ["a", "b", "c"], [PI, OLD, HOT])
    boards = survey(fleet)
    assert [board.seat.name for board in boards] == ["0", "1", "2"]
    assert [[board.seat.name for board in kind] for kind in kinds(boards)] == [["0", "2"], ["1"]]
    assert [board.device for board in boards] == [PI, OLD, HOT]
    assert not list(shared(boards))


@pytest.mark.parametrize(
    "other",
    [
        replace(PI, board="Raspberry Pi 5 Model B Rev 1.1"),
        replace(PI, memory=Memory(4233, 3000)),
        replace(PI, runtimes={**PI.runtimes, "litert": Package("2.2.0", "")}),
        replace(PI, cpu="Cortex-A72"),
    ],
)
def test_what_makes_another_kind(other: Device) -> None:
    boards = [Board(Seat(str(place), "", "", ""), device) for place, device in enumerate((PI, other, HOT))]
    assert kinds(boards) == [[boards[0], boards[2]], [boards[1]]]


def test_workers_of_one_machine_are_told(fleet: Any) -> None:
    place(fleet, ["a", "b", "a"], [PI, OLD, HOT])
    assert [[seat.name for seat in there] for there in by_machine(seats(fleet))] == [["0", "2"], ["1"]]
    boards = survey(fleet)
    assert [board.device for board in boards] == [PI, OLD, PI]  # one is asked
    assert list(shared(boards)) == ["0, 2 are workers of one machine"]


def test_processes_of_a_machine_have_one_id(fleet: Any) -> None:
    assert set(fleet.run(machine_id).values()) == {machine_id()}


def test_the_command_shows_the_fleet(fleet: Any, capsys: pytest.CaptureFixture[str]) -> None:
    place(fleet, ["a", "b", "c"], [PI, OLD, HOT])
    assert main(["--cluster", fleet.scheduler.address]) == 0
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines() if not line.startswith("  fix"))
    for said in (
        "Kind 1       2 workers on Raspberry Pi 5 Model B Rev 1.0\n",
        "Kind 2       1 worker on Raspberry Pi 4 Model B Rev 1.4\n",
        "Processor    4 x Cortex-A76 (dotprod, fp16)\n",
        "Runtimes     litert 2.3.0, which run-model uses\n",
        "worker     heat    free  throttled\n",
        "0       61.3 °C  6.1 GB  now: no; since boot: no\n",
        "2       84.0 °C  1.0 GB  now: throttled; since boot: throttled\n",
        "Problem      2: slowed down by heat or supply now: throttled\n",
        "run-model can run on 3 of 3 workers, of 2 kinds.\n",
    ):
        assert said in out


def test_a_board_that_cannot_run_models_is_the_exit_code(fleet: Any, capsys: pytest.CaptureFixture[str]) -> None:
    place(fleet, ["a", "b", "c"], [PI, replace(OLD, runtimes=dict.fromkeys(PI.runtimes)), PI])
    assert main(["--cluster", fleet.scheduler.address, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["ready"]
    assert [(one["worker"], one["machine_number"], one["kind"], one["ready"]) for one in found["workers"]] == [
        ("0", 0, 0, True),
        ("1", 1, 1, False),
        ("2", 2, 0, True),
    ]
    assert found["workers"][1]["problems"][0]["what"] == "no runtime can be imported, and run-model needs one"
    assert main(["--cluster", fleet.scheduler.address]) == 1
    assert "STOPS        1: no runtime can be imported" in capsys.readouterr().out


def test_a_worker_that_goes_away_is_told_and_the_others_are_there(fleet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(each_worker, "_AWAY_S", 0.5)
    first, second, _ = seats(fleet)
    answers = dict(on_each(fleet, "trying", {first.address: (die,), second.address: (abs, -3)}))
    assert answers[second.address] == 3
    gone = answers[first.address]
    assert isinstance(gone, ClusterError)
    assert str(gone) == f"its worker went away ({first.address})"


def test_a_full_disk_of_one_is_not_the_end_of_all(fleet: Any) -> None:
    fleet.wait_for_workers(3)
    first, second, _ = seats(fleet)
    answers = dict(on_each(fleet, "trying", {first.address: (full,), second.address: (abs, -3)}))
    assert answers[second.address] == 3
    assert str(answers[first.address]) == "trying failed there (No space left on device)"


@pytest.mark.parametrize("cluster", ["local", "local:2"])
def test_a_fleet_is_not_this_machine(capsys: pytest.CaptureFixture[str], cluster: str) -> None:
    assert main(["--cluster", cluster]) == 2
    assert "--cluster: expected a scheduler's address such as tcp://HOST:8786" in capsys.readouterr().err


def test_a_board_with_another_version_is_refused(
    fleet: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.wait_for_workers(3)
    monkeypatch.setattr(opening, "installed", lambda name: "9.9")
    assert main(["--cluster", fleet.scheduler.address]) == 1
    assert "has Roadlite 0.1.0, this is 9.9" in capsys.readouterr().err.splitlines()[-1]
