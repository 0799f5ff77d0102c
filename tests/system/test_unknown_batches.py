"""Nights in which nobody can say whether batches hold messages, or a message comes at the wrong moment."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from tests.system.world import DAG_ID, DONE, Night


@pytest.fixture(scope="module")
def strict(strict_night: Future[Night]) -> Night:
    return strict_night.result()


def test_where_the_run_accepts_the_loss_the_backup_is_taken_and_says_that_batches_are_unknown(strict):
    assert strict.operations("contosonordic") == DONE
    drain = strict.reference("contosonordic")["drain"]
    assert (drain["before"]["answer"], drain["before"]["source"], drain["drained"]) == ("unknown", "nobody", False)
    assert "cannot be asked" in drain["before"]["reason"]


def test_where_the_run_does_not_accept_it_a_message_that_slips_in_makes_it_red(strict, world):
    assert strict.state == "failed"
    row = strict.report["contosoeurope"]
    assert (row["outcome"], row["failed_step"], row["backup"]) == ("failed", "recheck_batches", None)
    assert "messages slipped into a batch" in row["reason"]
    assert "1 message" in row["reason"]
    assert strict.operations("contosoeurope") == DONE
    assert world.state("contosoeurope") == "Active"


def test_the_word_of_a_person_counts_where_the_database_has_no_answer_and_is_recorded_with_the_name(next_night, world):
    user = world.airflow.run(DAG_ID, next_night.run_id)["triggering_user_name"]
    drain = next_night.reference("contosoorders")["drain"]
    assert user
    assert drain["before"]["answer"] == "empty"
    assert drain["before"]["source"] == f"the word of {user} for this run"
    assert drain["after"]["answer"] == "unknown"
    assert drain["drained"] is False
