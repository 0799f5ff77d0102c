"""Nights on which the storage account is not what it should be."""

from __future__ import annotations

import os
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from stack import parts
from tests.system.world import World, until

SERVICE = "proving-storage"


def test_a_rotated_account_key_makes_the_run_red_before_anything_is_suspended(world):
    with another_key(world):
        night = world.night([SERVICE])
    row = night.report[SERVICE]
    assert night.state == "failed"
    assert (row["failed_step"], row["state"]) == ("check_that_backup_is_allowed", "Active")
    assert "Check the account key in the storage connection" in row["reason"]
    assert night.operations(SERVICE) == []


def test_storage_that_goes_away_in_mid_backup_makes_the_run_red_and_the_service_comes_back(world):
    world.emulator.fault("stuck", "backup", service=SERVICE, count=1)

    def storage_goes_away(run_id: str) -> None:
        world.tells(SERVICE, kind="blob", event="payload", after=before)
        world.end_storage()
        world.release(SERVICE)
        world.tells(SERVICE, event="ended", operation="backup", after=before)
        world.stack.revive()

    before = world.last_seq()
    night = world.night([SERVICE], [storage_goes_away])
    row = night.report[SERVICE]
    assert night.state == "failed"
    assert (row["failed_step"], row["backup"], row["state"]) == ("wait_for_backup", None, "Active")
    assert "could not be reached" in row["reason"] or "unreachable" in row["reason"].lower()
    assert night.operations(SERVICE) == [("suspend", "Succeeded"), ("backup", "Failed"), ("resume", "Succeeded")]
    assert world.state(SERVICE) == "Active"
    assert world.catalog("references", SERVICE) == {}


@contextmanager
def another_key(world: World) -> Iterator[None]:
    """The account has another key than the one in the connection, as after a rotation."""
    world.end_storage()
    azurite = parts.azurite(world.stack.home / "storage", world.stack.ports)
    rotated = {**azurite.environment, "AZURITE_ACCOUNTS": f"devstoreaccount1:{b64encode(os.urandom(64)).decode()}"}
    process = subprocess.Popen(azurite.command, env=rotated, cwd=azurite.directory)
    try:
        until(lambda: answers(world), 30)
        yield
    finally:
        process.terminate()
        process.wait(15)
        world.stack.revive()


def answers(world: World) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{world.stack.ports.azurite}/", timeout=5).status_code > 0
    except requests.ConnectionError:
        return False
