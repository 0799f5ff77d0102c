"""A run leaves a service suspended, and all of Airflow dies: the watchdog brings that service back, and no other."""

from __future__ import annotations

import json

import pytest

from tests.system.services import CLOUD_SERVICE
from tests.system.world import CATALOG, World, until

LEFT, STRANGER = "proving-left", "proving-suspended"
SECONDS = 300


@pytest.fixture(scope="module")
def resumed(world: World, abandoned: int) -> list[str]:
    """Who asked for a resumption of the service that was left suspended, once it is back and its ticket closed."""
    until(lambda: world.state(LEFT) == "Active" and not tickets(world, "open"), SECONDS)
    entries = world.emulator.journal(service=LEFT, after=abandoned, kind="request")
    return [entry["client_request_id"] for entry in entries if entry["operation"] == "resume"]


def tickets(world: World, folder: str) -> list[dict]:
    prefix = f"suspensions/{folder}/{CLOUD_SERVICE}/{LEFT}/"
    blobs = world.blobs.get_container_client(CATALOG).list_blobs(prefix)
    return [json.loads(world.blob(CATALOG, blob.name)) for blob in blobs]


def test_the_watchdog_asked_once(resumed):
    (who,) = resumed
    assert who.startswith("biztalk_watchdog:scheduled__")


def test_the_ticket_is_closed_by_the_watchdog(resumed, world):
    (closed,) = tickets(world, "closed")
    assert closed["run"]["dag_id"] == "leaves_suspended"
    assert closed["closed_by"].endswith("of biztalk_watchdog")
    assert closed["closed"] == "it is Active"


def test_people_are_told(resumed, world):
    (noted,) = tickets(world, "notes")
    run_id = noted["noted_by"].removeprefix("run ").partition(" ")[0]
    log = world.airflow.log("biztalk_watchdog", run_id, "bring_back", map_index=0)
    assert f"{LEFT} was left suspended by run" in log
    assert "It was asked to resume" in log


def test_what_somebody_else_suspended_stays_suspended(resumed, troubled_night, world):
    assert troubled_night.states[STRANGER] == "Suspended"
    entries = world.emulator.journal(service=STRANGER, kind="request")
    assert [entry for entry in entries if entry["operation"] == "resume"] == []
