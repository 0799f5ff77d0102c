"""2,500 services and more, under the limits that Airflow has by default: found and planned, each once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.model.records import SuspensionRecord
from biztalk_services.model.run import Run

from stack import Ports, Stack
from tests.field.nights import DURATIONS, SETTINGS, WATCHDOG
from tests.system.world import CATALOG, DAG_ID, World, until

COPIES = 2500
EDITIONS_WITH_BACKUPS = {"basic", "standard", "premium"}
MOST_SERVICES = 100
"""Of one run, by default."""
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
        airflow_settings=SETTINGS,
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


@pytest.fixture(scope="module")
def runs(world: World, eligible: list[str]) -> dict[str, dict[str, Any]]:
    """The runs of a night of all services, as soon as all of them are planned; then the DAG is paused."""
    world.airflow.wait_for_dag(DAG_ID)
    world.airflow.trigger(DAG_ID, run_id="fleet")
    found = until(lambda: planned(world), pause=2)
    world.airflow.pause(DAG_ID)
    return {run["dag_run_id"]: run for run in found}


def planned(world: World) -> list[dict[str, Any]]:
    """All runs of the night, as soon as the first one has started the others; fails when it has ended before."""
    further = world.airflow.xcom(DAG_ID, "fleet", "plan_further_runs")
    found = world.airflow.get(f"/dags/{DAG_ID}/dagRuns", limit=100)["dag_runs"]
    assert not {"success", "failed"} & {run["state"] for run in found}, found
    return found if further and len(found) > len(further) else []


def names(services: list[str]) -> list[str]:
    return [service.rpartition("/")[2] for service in services]


def test_every_service_is_planned_once(runs, eligible, world):
    first = [job["service"] for job in world.airflow.xcom(DAG_ID, "fleet", "find_services")]
    further = [run["conf"]["services"] for name, run in runs.items() if name != "fleet"]
    shares = [names(share) for share in (first, *further)]
    assert len(eligible) >= COPIES
    assert sorted(name for share in shares for name in share) == eligible
    assert [len(share) for share in shares if len(share) > MOST_SERVICES] == []


def test_the_further_runs_are_named_after_the_first(runs, eligible):
    number = -(-len(eligible) // MOST_SERVICES)
    parts = [re.fullmatch(r"fleet__part(\d+)\b.*", name) for name in runs if name != "fleet"]
    assert sorted(int(part[1]) for part in parts if part) == list(range(2, number + 1))


def test_one_run_at_a_time(runs):
    assert sorted(run["state"] for run in runs.values()) == ["queued"] * (len(runs) - 1) + ["running"]


@pytest.fixture(scope="module")
def checks(world: World, runs: dict[str, dict[str, Any]]) -> str:
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
        run = Run(DAG_ID, "lost", "another")
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
