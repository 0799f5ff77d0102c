"""Runs leave services suspended, and all of Airflow is killed: the watchdog resumes those services, and no other."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from tests.system.services import CLOUD_SERVICE, DELETED_RUN, ENDED_RUN, FAILED_RUN, PAUSED_DAG, WATCHDOG_SERVICES
from tests.system.world import CATALOG, World, until

OTHER_SERVICE = "proving-suspended"
SECONDS = 420
WRITERS = {
    ENDED_RUN: "leaves_suspended",
    FAILED_RUN: "works_for_an_hour",
    DELETED_RUN: "leaves_suspended",
    PAUSED_DAG: "is_paused",
}
GRACE = timedelta(minutes=5)
"""The setting of the stack of these tests."""


@pytest.fixture(scope="module", params=WATCHDOG_SERVICES)
def service(request: pytest.FixtureRequest, world: World, abandoned: int) -> str:
    """Each service that was left suspended, once it is resumed and its record closed."""
    until(lambda: world.state(request.param) == "Active" and not records(world, request.param, "open"), SECONDS)
    return request.param


@pytest.fixture(scope="module")
def requests(service: str, world: World, abandoned: int) -> list[dict]:
    """The requests for its resumption."""
    entries = world.emulator.journal(service=service, after=abandoned, kind="request")
    return [entry for entry in entries if entry["operation"] == "resume"]


def records(world: World, service: str, folder: str, what: str = "") -> list[dict]:
    """The suspension records, or the notes of the actions on one."""
    prefix, suffix = f"suspensions/{folder}/{CLOUD_SERVICE}/{service}/", f"{what}.json"
    blobs = world.blobs.get_container_client(CATALOG).list_blobs(prefix)
    return [json.loads(world.blob(CATALOG, blob.name)) for blob in blobs if blob.name.endswith(suffix)]


def test_the_watchdog_requests_one_resumption(requests):
    (request,) = requests
    assert ":biztalk_watchdog:scheduled__" in request["client_request_id"]


def test_a_run_gets_the_time_that_it_has(service, requests, world):
    """Two minutes when it has ended, until the deadline when it is not known, longer when it has not ended."""
    (closed,) = records(world, service, "closed")
    opened, back_by = (datetime.fromisoformat(closed[field]) for field in ("opened_at", "back_by"))
    (request,) = requests
    due = {DELETED_RUN: back_by, PAUSED_DAG: back_by + GRACE}.get(service, opened + timedelta(minutes=2))
    assert datetime.fromisoformat(request["at"]) >= due


def test_a_run_of_a_paused_dag_has_not_ended(world, abandoned):
    (run,) = world.airflow.get("/dags/is_paused/dagRuns")["dag_runs"]
    assert run["state"] == "running"
    assert world.task("is_paused", run["dag_run_id"], "resume")["state"] is None


def test_the_record_is_closed_by_the_watchdog(service, world):
    (closed,) = records(world, service, "closed")
    assert closed["run"]["dag_id"] == WRITERS[service]
    assert closed["closed_by"].endswith(f"of biztalk_watchdog in Airflow {world.airflow_id()}")
    assert closed["closed"] == "it is Active"


def test_an_alert_is_sent(service, world):
    (noted,) = records(world, service, "notes", ".resumed")
    run_id = noted["noted_by"].removeprefix("run ").partition(" ")[0]
    instances = world.airflow.task_instances("biztalk_watchdog", run_id)
    logs = [world.log("biztalk_watchdog", run_id, each) for each in instances if each["task_id"] == "check_suspension"]
    sentences = (f"{service} was left suspended by run", "Its resumption was requested")
    assert [log for log in logs if all(sentence in log for sentence in sentences)]


def test_what_was_suspended_without_a_record_stays_suspended(service, troubled_night, world):
    assert troubled_night.states[OTHER_SERVICE] == "Suspended"
    entries = world.emulator.journal(service=OTHER_SERVICE, kind="request")
    assert [entry for entry in entries if entry["operation"] == "resume"] == []
