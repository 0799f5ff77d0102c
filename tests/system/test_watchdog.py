"""Runs leave services suspended, and all of Airflow dies: the watchdog brings those services back, and no other."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from tests.system.services import ABANDONED, CLOUD_SERVICE, DELETED, LEFT, MARKED, PAUSED
from tests.system.world import CATALOG, World, until

STRANGER = "proving-suspended"
SECONDS = 420
WRITERS = {LEFT: "leaves_suspended", MARKED: "works_for_an_hour", DELETED: "leaves_suspended", PAUSED: "is_paused"}
GRACE = timedelta(minutes=5)
"""As the stack of these tests has it."""


@pytest.fixture(scope="module", params=ABANDONED)
def back(request: pytest.FixtureRequest, world: World, abandoned: int) -> str:
    """Each service that was left suspended, once it is back and its ticket closed."""
    until(lambda: world.state(request.param) == "Active" and not tickets(world, request.param, "open"), SECONDS)
    return request.param


@pytest.fixture(scope="module")
def asked(back: str, world: World, abandoned: int) -> list[dict]:
    """The requests for its resumption."""
    entries = world.emulator.journal(service=back, after=abandoned, kind="request")
    return [entry for entry in entries if entry["operation"] == "resume"]


def tickets(world: World, service: str, folder: str, what: str = "") -> list[dict]:
    """The tickets, or the notes about what was done with one."""
    prefix, suffix = f"suspensions/{folder}/{CLOUD_SERVICE}/{service}/", f"{what}.json"
    blobs = world.blobs.get_container_client(CATALOG).list_blobs(prefix)
    return [json.loads(world.blob(CATALOG, blob.name)) for blob in blobs if blob.name.endswith(suffix)]


def test_the_watchdog_asked_once(asked):
    (request,) = asked
    assert request["client_request_id"].startswith("biztalk_watchdog:scheduled__")


def test_a_run_is_given_the_time_that_it_has(back, asked, world):
    """Two minutes when it has ended, what the ticket says when nobody knows it, some more when it has not ended."""
    (closed,) = tickets(world, back, "closed")
    opened, back_by = (datetime.fromisoformat(closed[field]) for field in ("opened_at", "back_by"))
    (request,) = asked
    due = {DELETED: back_by, PAUSED: back_by + GRACE}.get(back, opened + timedelta(minutes=2))
    assert datetime.fromisoformat(request["at"]) >= due


def test_a_paused_run_stands_still_and_has_not_ended(world, abandoned):
    (run,) = world.airflow.get("/dags/is_paused/dagRuns")["dag_runs"]
    assert run["state"] == "running"
    assert world.task("is_paused", run["dag_run_id"], "resume")["state"] is None


def test_the_ticket_is_closed_by_the_watchdog(back, world):
    (closed,) = tickets(world, back, "closed")
    assert closed["run"]["dag_id"] == WRITERS[back]
    assert closed["closed_by"].endswith("of biztalk_watchdog")
    assert closed["closed"] == "it is Active"


def test_people_are_told(back, world):
    (noted,) = tickets(world, back, "notes", ".resumed")
    run_id = noted["noted_by"].removeprefix("run ").partition(" ")[0]
    instances = world.airflow.task_instances("biztalk_watchdog", run_id)
    logs = [world.log("biztalk_watchdog", run_id, each) for each in instances if each["task_id"] == "bring_back"]
    assert [log for log in logs if f"{back} was left suspended by run" in log and "It was asked to resume" in log]


def test_what_somebody_else_suspended_stays_suspended(back, troubled_night, world):
    assert troubled_night.states[STRANGER] == "Suspended"
    entries = world.emulator.journal(service=STRANGER, kind="request")
    assert [entry for entry in entries if entry["operation"] == "resume"] == []
