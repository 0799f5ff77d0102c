"""Nights in which the batch status is unknown, or a message enters a batch at the wrong moment."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from tests.system.world import BACKUP_OPERATIONS, DAG_ID, Night


@pytest.fixture(scope="module")
def strict(strict_night: Future[Night]) -> Night:
    return strict_night.result()


def test_with_proceed_the_backup_is_taken_and_status_unknown(strict):
    assert strict.operations("contosonordic") == BACKUP_OPERATIONS
    drain = strict.reference("contosonordic")["drain"]
    assert (drain["before"]["answer"], drain["before"]["source"], drain["drained"]) == ("unknown", "no source", False)
    assert "cannot be queried" in drain["before"]["reason"]


def test_with_fail_a_refilled_batch_makes_the_run_red(strict, world):
    assert strict.state == "failed"
    row = strict.report["contosoeurope"]
    assert (row["outcome"], row["failed_step"], row["backup"]) == ("failed", "recheck_batches", None)
    assert "messages went into a batch" in row["reason"]
    assert "1 message" in row["reason"]
    assert strict.operations("contosoeurope") == BACKUP_OPERATIONS
    assert world.state("contosoeurope") == "Active"


def test_a_confirmation_counts_and_is_recorded_with_the_name(next_night, world):
    user = world.airflow.run(DAG_ID, next_night.run_id)["triggering_user_name"]
    drain = next_night.reference("contosoorders")["drain"]
    assert user
    assert drain["before"]["answer"] == "empty"
    assert drain["before"]["source"] == f"confirmation of {user} for this run"
    assert drain["after"]["answer"] == "unknown"
    assert drain["drained"] is False
