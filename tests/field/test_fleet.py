"""2,500 services and more, under the limits that Airflow has by default: found and planned, each once,
and begun a few at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.model.records import SuspensionRecord
from biztalk_services.model.run import Run

from stack import Ports, Stack
from tests.field.nights import DURATIONS, SETTINGS, WATCHDOG
from tests.system.world import BACKUP, CATALOG, DAG_ID, NIGHT_SECONDS, World, until

COPIES = 2500
EDITIONS_WITH_BACKUPS = {"basic", "standard", "premium"}
PARALLEL, AHEAD = 12, 48
"""How many services may be suspended at the same time, and how many runs of services that have not ended exist then."""
LEFT_SUSPENDED = 1100
"""Records that are open at once, more than Airflow maps a task over."""
MOST_CHECKED = 500
"""Of them by one run of the watchdog."""
NEEDED = {"biztalk_default", "biztalk_backup_storage"}


class FleetStack(Stack):
    """A stack whose Airflow has no connections to tracking databases: so many do not fit into an environment."""

    @property
    def connections(self) -> dict[str, dict]:
        return {name: fields for name, fields in super().connections.items() if name in NEEDED}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    stack = FleetStack(
        tmp_path_factory.mktemp("fleet"),
        Ports.free(),
        emulator_options=["--sample-copies", str(COPIES), "--durations", json.dumps(DURATIONS)],
        airflow_settings={**SETTINGS, "AIRFLOW__BIZTALK_SERVICES__MAX_CONCURRENT_BACKUPS": str(PARALLEL)},
    )
    assert not [name for name in stack.core_settings() if name.startswith("AIRFLOW__CORE__MAX_")]
    with stack.up():
        yield World.of(stack)


@pytest.fixture(scope="module")
def eligible(world: World) -> list[str]:
    """Every service whose edition has backups, by the emulator's records."""
    return sorted(
        each["name"] for each in world.stack.emulator.services() if each["edition"].lower() in EDITIONS_WITH_BACKUPS
    )


@dataclass(frozen=True)
class Fleet:
    """The first minutes of a night of all services.

    :param planned: names of the services, in the order in which their runs are to begin
    :param runs: those that were started, in the order in which they were created
    :param most: how many of them had not ended at the most
    """

    planned: list[str]
    runs: list[dict[str, Any]]
    most: int


@pytest.fixture(scope="module")
def fleet(world: World) -> Fleet:
    """A night of all services, until runs have ended and others were started in their place; then a person ends it. No
    service is suspended: without their tracking databases nobody knows whether batches hold messages."""
    for dag_id in (DAG_ID, BACKUP):
        world.airflow.wait_for_dag(dag_id)
    world.airflow.trigger(DAG_ID, run_id="fleet")
    planned = until(lambda: world.airflow.xcom(DAG_ID, "fleet", "find_services"), pause=2)
    most = 0

    def refilled() -> bool:
        nonlocal most
        found = runs_of_fleet(world)
        most = max(most, len(of(found, "queued", "running")))
        assert world.airflow.run(DAG_ID, "fleet")["state"] == "running"
        return len(found) > AHEAD

    until(refilled, NIGHT_SECONDS, pause=2)
    world.airflow.pause(DAG_ID)
    runs = runs_of_fleet(world)
    for run in of(runs, "queued", "running"):
        world.airflow.mark_failed(BACKUP, run["dag_run_id"])
    until(lambda: not of(runs_of_fleet(world), "queued", "running"), NIGHT_SECONDS, pause=2)
    return Fleet([job["service"].rpartition("/")[2] for job in planned], runs, most)


def runs_of_fleet(world: World) -> list[dict[str, Any]]:
    found = world.airflow.get(f"/dags/{BACKUP}/dagRuns", order_by="id", limit=100)["dag_runs"]
    assert len(found) < 100
    return found


def of(runs: list[dict[str, Any]], *states: str) -> list[dict[str, Any]]:
    return [run for run in runs if run["state"] in states]


def test_every_service_is_planned_once(fleet, eligible):
    assert len(eligible) >= COPIES
    assert sorted(fleet.planned) == eligible


def test_runs_begin_in_order_and_each_once(fleet):
    begun = [run["conf"]["service"].rpartition("/")[2] for run in fleet.runs]
    assert begun == fleet.planned[: len(begun)]


def test_only_a_few_runs_are_ahead_of_what_is_at_work(fleet):
    assert AHEAD * 3 // 4 < fleet.most <= AHEAD


@pytest.fixture(scope="module")
def checks(world: World, fleet: Fleet) -> str:
    """A run of the watchdog that found too many open records, when it has closed the first ones."""
    world.airflow.wait_for_dag(WATCHDOG)
    until(lambda: is_paused_between_checks(world), pause=2)
    leave_suspended(world)
    unpause(world, WATCHDOG)
    (run_id,) = until(lambda: active(world, WATCHDOG))
    until(lambda: open_records(world) <= LEFT_SUSPENDED - 10, pause=2)
    world.airflow.pause(WATCHDOG)
    return run_id


def is_paused_between_checks(world: World) -> bool:
    """Pause the watchdog; a run of it that is active goes on instead."""
    world.airflow.pause(WATCHDOG)
    if active_now := active(world, WATCHDOG):
        unpause(world, WATCHDOG)
    return not active_now


def unpause(world: World, dag_id: str) -> None:
    world.airflow.patch(f"/dags/{dag_id}", {"is_paused": False})


def active(world: World, dag_id: str) -> list[str]:
    """The active run of a DAG that has one at a time."""
    found = world.airflow.get(f"/dags/{dag_id}/dagRuns", state="running")["dag_runs"]
    return [run["dag_run_id"] for run in found]


def leave_suspended(world: World) -> None:
    """Write the records of runs of another Airflow that are overdue; the services are Active by now."""
    records = Archive(StorageAccount(world.blobs), CATALOG).suspensions
    subscription, now = world.stack.emulator.subscription_id(), datetime.now(UTC)
    for number in range(1, LEFT_SUSPENDED + 1):
        service = f"contoso-copies/contosocopy{number}"
        run = Run(BACKUP, "lost", "another")
        opened_at = now - timedelta(hours=3) + timedelta(seconds=number)
        resume_by = opened_at + timedelta(hours=1)
        records.open(SuspensionRecord(service, subscription, run, "backup", opened_at, resume_by))


def open_records(world: World) -> int:
    return sum(1 for _ in world.blobs.get_container_client(CATALOG).list_blobs("suspensions/open/"))


def test_the_watchdog_checks_as_many_as_it_can(checks, world):
    """Half of them are those that are due first; of the others it takes each in its turn."""
    found = world.airflow.xcom(WATCHDOG, checks, "find_suspensions")
    services = [each["record"]["service"] for each in found if each["record"]]
    assert len(set(services)) == len(services) == MOST_CHECKED - 1
    assert services[: MOST_CHECKED // 2] == [
        f"contoso-copies/contosocopy{number}" for number in range(1, MOST_CHECKED // 2 + 1)
    ]


def test_the_watchdog_tells_that_there_are_more(checks, world):
    found = world.airflow.xcom(WATCHDOG, checks, "find_suspensions")
    (sentence,) = [each["problem"] for each in found if each["problem"]]
    assert sentence.startswith(f"More suspensions have to be checked than can be at once ({MOST_CHECKED})")
    counted = f"{LEFT_SUSPENDED} open suspension records, {MOST_CHECKED} to be checked"
    assert counted in world.airflow.log(WATCHDOG, checks, "find_suspensions")
