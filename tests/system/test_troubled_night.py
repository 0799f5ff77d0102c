"""The report of a night with faults."""

from __future__ import annotations

import pytest

from tests.system.services import FAULTY_SERVICES, MAX_CONCURRENT, RESPONSE_FAULTS
from tests.system.world import BACKUP_OPERATIONS, fits_descriptor

SUSPEND, RESUME = ("suspend", "Succeeded"), ("resume", "Succeeded")
BACKUP, FAILED_BACKUP = ("backup", "Succeeded"), ("backup", "Failed")


def test_the_run_is_red_and_names_exactly_the_failed_services(troubled_night):
    assert troubled_night.state == "failed"
    failed = {name for name, row in troubled_night.report.items() if row["outcome"] == "failed"}
    unaffected = {"contosoorders", "contosoeurope", "proving-suspended", *RESPONSE_FAULTS}
    assert failed == set(troubled_night.report) - unaffected
    assert set(troubled_night.report) > {*RESPONSE_FAULTS, *FAULTY_SERVICES}
    assert all(
        row["reason"] and row["failed_step"] for row in troubled_night.report.values() if row["service"] in failed
    )


def test_only_a_few_services_are_out_of_service_at_the_same_time(troubled_night):
    # One more than that may be: contosoorders releases its slot while it waits for its batch.
    assert 2 < most_at_once(troubled_night) <= MAX_CONCURRENT + 1


def test_every_trouble_that_was_ordered_has_happened(troubled):
    _, ordered = troubled
    assert len(ordered) > 60
    assert [fault for fault in ordered if not fault["fired"] or fault["remaining"]] == []


@pytest.mark.parametrize("name", RESPONSE_FAULTS)
def test_refused_requests_and_spoiled_answers_do_no_harm(troubled_night, world, name):
    row = troubled_night.report[name]
    assert (row["outcome"], row["reason"]) == ("backed up", None)
    assert troubled_night.operations(name) == BACKUP_OPERATIONS
    assert troubled_night.states[name] == "Active"
    backup = troubled_night.backup(name)
    assert fits_descriptor(world.content(backup), backup)
    assert list(world.catalog("references", name)) == [backup]


def test_a_change_before_the_suspension_leaves_it_active(troubled_night):
    fails(troubled_night, "412-suspend", "suspend", "412", operations=[])


def test_a_change_before_the_backup_is_refused_and_resumed(troubled_night):
    fails(troubled_night, "412-backup", "back_up", "412", operations=[SUSPEND, RESUME])


def test_a_service_that_cannot_be_suspended_is_resumed(troubled_night):
    reason = "The deployment cannot be suspended."
    fails(troubled_night, "susp-fails", "wait_until_suspended", reason, operations=[("suspend", "Failed"), RESUME])


def test_a_failed_backup_has_no_reference_and_is_resumed(troubled_night):
    fails(troubled_night, "bkup-fails", "wait_for_backup", "The store is full.")


def test_a_backup_past_its_deadline_fails_and_is_resumed(troubled_night):
    fails(troubled_night, "1-bkup-stuck", "wait_for_backup", "deadline", operations=[SUSPEND, BACKUP, RESUME])


def test_a_service_that_was_deleted_meanwhile_is_reported(troubled_night):
    operations = [SUSPEND, BACKUP, ("delete", "Succeeded")]
    fails(troubled_night, "deleted", "wait_for_backup", "holds no BizTalk service", operations=operations, state=None)
    assert set(troubled_night.responses("proving-deleted", "resume")) <= {404}


def test_a_resume_that_is_refused_for_a_while_is_retried(troubled_night):
    assert troubled_night.responses("proving-412-backup", "resume") == [503, 503, 503, 202]


def test_a_stuck_suspension_is_undone_by_a_retried_resume(
    troubled_night,
):
    operations = [SUSPEND, ("resume", "Failed"), RESUME]
    fails(troubled_night, "1-susp-stuck", "wait_until_suspended", "deadline", operations=operations)


def test_a_change_during_the_backup_puts_it_into_quarantine(troubled_night, world):
    fails(
        troubled_night,
        "1-edited",
        "publish_reference",
        "changed during the backup (ETag ",
        operations=BACKUP_OPERATIONS,
    )
    (note,) = world.catalog("set-aside", "proving-1-edited").values()
    assert "changed during the backup" in note["reason"]
    assert note["reference"]["service"] == "proving-1-edited"


def test_a_resume_past_its_deadline_is_waited_for_again(troubled_night):
    assert troubled_night.responses("proving-1-edited", "resume") == [202]
    assert troubled_night.step("proving-1-edited", "resume")["try_number"] > 1
    assert troubled_night.steps("proving-1-edited")["resume"] == "success"


def test_with_forgotten_operations_the_service_state_counts(troubled_night):
    assert troubled_night.operations("proving-forgotten") == [SUSPEND, BACKUP]
    assert set(troubled_night.responses("proving-forgotten", "poll")) == {404}
    assert troubled_night.steps("proving-forgotten")["publish_reference"] == "success"


def test_a_resume_marked_failed_is_red_and_the_backup_valid(troubled_night, world):
    row = troubled_night.report["proving-forgotten"]
    assert (row["outcome"], row["failed_step"], row["state"]) == ("failed", "resume", "Suspended")
    assert troubled_night.states["proving-forgotten"] == "Suspended"
    assert list(world.catalog("references", "proving-forgotten")) == [troubled_night.backup("proving-forgotten")]


def test_a_service_suspended_before_is_backed_up_and_stays_so(troubled_night):
    row = troubled_night.report["proving-suspended"]
    assert (row["outcome"], row["state"]) == ("backed up", "Suspended")
    assert troubled_night.operations("proving-suspended") == [BACKUP]
    assert troubled_night.states["proving-suspended"] == "Suspended"


def test_batches_that_are_drained_in_time_are_waited_for(troubled_night):
    assert troubled_night.operations("contosoorders") == BACKUP_OPERATIONS
    drain = troubled_night.reference("contosoorders")["drain"]
    assert (drain["before"]["answer"], drain["after"]["answer"], drain["drained"]) == ("empty", "empty", True)
    order = [
        (entry["kind"], entry.get("event"), entry.get("operation")) for entry in troubled_night.journal("contosoorders")
    ]
    assert order.index(("traffic", "release", None)) < order.index(("operation", "started", "suspend"))


def test_a_batch_with_messages_at_the_deadline_is_named(troubled_night, world):
    reason = troubled_night.report["ContosoRetail"]["reason"]
    held = next(each for each in world.service("ContosoRetail")["batches"] if each["ReleaseCriteriaType"] == "Size")
    assert held["AgreementName"] in reason
    assert held["BatchName"] in reason
    assert "1 message" in reason
    assert troubled_night.report["ContosoRetail"]["failed_step"] == "wait_until_drained"
    assert troubled_night.operations("ContosoRetail") == []
    assert troubled_night.states["ContosoRetail"] == "Active"


def test_with_unknown_batches_nothing_is_suspended(troubled_night):
    row = troubled_night.report["contosonordic"]
    assert row["failed_step"] == "wait_until_drained"
    assert "tracking database" in row["reason"]
    assert "Nothing was suspended." in row["reason"]
    assert troubled_night.operations("contosonordic") == []


def test_a_refilled_batch_is_recorded_in_the_reference(troubled_night):
    assert troubled_night.operations("contosoeurope") == BACKUP_OPERATIONS
    drain = troubled_night.reference("contosoeurope")["drain"]
    assert (drain["before"]["answer"], drain["after"]["answer"], drain["drained"]) == ("empty", "active", False)
    assert sum(batch["messages"] for batch in drain["after"]["batches"]) == 1


FAILED_BACKUP_OPERATIONS = [SUSPEND, FAILED_BACKUP, RESUME]


def fails(
    night, case: str, step: str, reason: str, operations: list = FAILED_BACKUP_OPERATIONS, state: str | None = "Active"
) -> None:
    """Check that the service has failed at this step for this reason, with these operations and without a reference."""
    name = f"proving-{case}"
    row = night.report[name]
    assert (row["outcome"], row["failed_step"], row["backup"]) == ("failed", step, None), row
    assert reason in row["reason"]
    assert night.operations(name) == operations
    assert (night.states.get(name), row["state"]) == (state, state)
    assert night.world.catalog("references", name) == {}


def most_at_once(night) -> int:
    """The highest number of services that were suspended, suspending or resuming at one moment."""
    down, most = set(), 0
    for entry in night.world.emulator.journal(kind="state", after=night.after):
        if entry["after"] == "Suspending":
            down.add(entry["service"])
        elif entry["after"] in ("Active", None):
            down.discard(entry["service"])
        most = max(most, len(down))
    return most
