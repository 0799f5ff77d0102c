"""Nights in which nobody can say whether batches hold messages, or a message comes at the wrong moment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.world import DAG_ID, DONE, Night, World


@pytest.fixture(scope="module")
def strict_about_messages(world: World) -> Iterator[Night]:
    """Proceeds where batches are unknown, and fails where a message slips in."""
    agreement = ""

    def slips_in(run_id: str) -> None:
        nonlocal agreement
        world.tells("contosoeurope", after=began, operation="suspend", status=503)
        agreement = world.fill_batch("contosoeurope", "Size")

    with world.without_tracking("contosonordic"):
        began = world.last_seq()
        world.emulator.fault("status", "suspend", service="contosoeurope", count=1, retry_after=2)
        yield world.night(
            ["contosonordic", "contosoeurope"],
            [slips_in],
            when_batches_are_unknown="proceed",
            when_a_message_slips_in="fail",
        )
    world.release_batch("contosoeurope", agreement)


def test_where_the_run_accepts_the_loss_the_backup_is_taken_and_says_that_batches_are_unknown(strict_about_messages):
    assert strict_about_messages.operations("contosonordic") == DONE
    drain = strict_about_messages.reference("contosonordic")["drain"]
    assert (drain["before"]["answer"], drain["before"]["source"], drain["drained"]) == ("unknown", "nobody", False)
    assert "cannot be asked" in drain["before"]["reason"]


def test_where_the_run_does_not_accept_it_a_message_that_slips_in_makes_it_red(strict_about_messages, world):
    assert strict_about_messages.state == "failed"
    row = strict_about_messages.report["contosoeurope"]
    assert (row["outcome"], row["failed_step"], row["backup"]) == ("failed", "look_again_at_batches", None)
    assert "messages slipped into a batch" in row["reason"]
    assert "1 message" in row["reason"]
    assert strict_about_messages.operations("contosoeurope") == DONE
    assert world.state("contosoeurope") == "Active"


def test_the_word_of_a_person_counts_where_the_database_has_no_answer_and_is_recorded_with_the_name(next_night, world):
    user = world.airflow.run(DAG_ID, next_night.run_id)["triggering_user_name"]
    drain = next_night.reference("contosoorders")["drain"]
    assert user
    assert drain["before"]["answer"] == "empty"
    assert drain["before"]["source"] == f"the word of {user} for this run"
    assert drain["after"]["answer"] == "unknown"
    assert drain["drained"] is False
