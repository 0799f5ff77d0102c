"""What became of each service of a backup run."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from biztalk_services.archive.errors import BackupDamagedError
from biztalk_services.flows.backup_report import (
    BACKED_UP,
    FAILED,
    NO_BACKUP,
    BackupOutcome,
    BackupsFailedError,
    backup_outcome,
    failed_steps,
    not_begun,
    require_success,
)
from biztalk_services.model.steps import ReachedState, RecordedInventory
from hypothesis import given
from hypothesis import strategies as st

from tests.archive.samples import NOW, reference

STEPS = ["check", "suspend", "back_up", "resume", "publish"]
DID_NOT_RUN = [None, "upstream_failed", "skipped", "removed"]


def states(**changes: str | None) -> dict[str, str | None]:
    return dict.fromkeys(STEPS, "success") | changes


def test_all_succeeded():
    assert failed_steps(STEPS, states()) == []
    assert failed_steps(STEPS, states() | {"another": "failed"}) == []


def test_the_causes_are_named_in_order_without_consequences():
    assert failed_steps(STEPS, states(back_up="failed", publish="upstream_failed")) == ["back_up"]
    assert failed_steps(STEPS, states(resume="failed", back_up="failed", publish=None)) == ["back_up", "resume"]


@pytest.mark.parametrize("state", ["running", "deferred", "up_for_retry", "queued", "scheduled"])
def test_what_has_not_ended_is_a_failure(state):
    assert failed_steps(STEPS, states(resume=state)) == ["resume"]


@pytest.mark.parametrize("state", DID_NOT_RUN)
def test_skipped_is_not_success(state):
    assert failed_steps(STEPS, states(publish=state)) == ["publish"]
    assert failed_steps(STEPS, dict.fromkeys(STEPS, state)) == STEPS
    assert failed_steps(STEPS, {}) == STEPS


@given(st.dictionaries(st.sampled_from(STEPS), st.sampled_from(["success", "failed", "running", *DID_NOT_RUN])))
def test_empty_exactly_when_every_step_succeeded(step_states):
    causes = failed_steps(STEPS, step_states)
    assert (causes == []) == all(step_states.get(step) == "success" for step in STEPS)
    assert causes == [step for step in STEPS if step in causes]
    assert not any(step_states.get(step) == "success" for step in causes)


def test_an_outcome_is_plain_json_with_the_agreed_names():
    outcome = BackupOutcome(
        "north", "orders", "west", None, "basic", BACKED_UP, backup="account/container", suspended_seconds=3.5
    )
    assert list(json.loads(json.dumps(outcome.to_xcom()))) == [
        "conn_id", "service", "scope", "region", "edition", "outcome", "failed_step", "reason", "backup", "items",
        "suspended_seconds", "state", "lacking",
    ]  # fmt: skip


# --- one service -----------------------------------------------------------------------------------------------------

KNOWN = BackupOutcome("north", "orders", "contoso-west", "West US", "premium", FAILED, state="Active")


class Published:
    """An archive that has the published reference, or has lost it with its backup."""

    def __init__(self, lost: BackupDamagedError | None = None) -> None:
        self.lost = lost

    def ensure_published(self, backup: Any) -> None:
        if self.lost:
            raise self.lost


def outcome(
    lost: BackupDamagedError | None = None,
    *,
    is_published: bool = True,
    is_resumed: bool = True,
    is_running: bool = True,
    results: Collection[str] = (),
    unread: dict[str, str] | None = None,
    **changes: str | None,
) -> BackupOutcome:
    """What is said of a service whose steps have these states, and have left these results."""

    def named(step: str) -> str:
        return step.rpartition(".")[2]

    return backup_outcome(
        KNOWN,
        [f"back_up_all.{step}" for step in STEPS],
        {f"back_up_all.{step}": state for step, state in states(**changes).items()},
        published_by="back_up_all.publish",
        resumed_by="back_up_all.resume",
        reference=reference() if is_published else None,
        quiesced=ReachedState("Suspended", "e", NOW),
        resumed=ReachedState("Active", "e", NOW + timedelta(seconds=90, milliseconds=140)) if is_resumed else None,
        recorded=RecordedInventory(12, unread, "https://account/inventory", "e", NOW) if unread is not None else None,
        is_running=is_running,
        has_result=lambda step: named(step) in {*results, *(["resume"] if is_resumed else [])},
        failure_of=lambda step: "It is Updating." if named(step) == "suspend" else None,
        archive=lambda: Published(lost),
    )


def test_a_backup():
    backed_up = outcome()
    assert backed_up == replace(
        KNOWN, outcome=BACKED_UP, backup="backups/orders-20260101-020000", items=12, suspended_seconds=90.1
    )
    assert backed_up.sentence() == (
        "north/contoso-west/orders (premium): backed up, 12 items in backups/orders-20260101-020000, suspended for "
        "90.1 s, now Active."
    )


def test_a_backup_whose_inventory_lacks_something():
    assert outcome(unread={}).lacking is None
    backed_up = outcome(unread={"control numbers": "There is no connection biztalk_tracking_orders."})
    assert backed_up.outcome == BACKED_UP
    assert backed_up.sentence().endswith(
        "now Active. Its inventory lacks its control numbers: There is no connection biztalk_tracking_orders."
    )


def test_a_failed_step_with_its_reason():
    states_of = {"suspend": "failed", "back_up": "upstream_failed", "publish": "upstream_failed"}
    failed = outcome(is_published=False, results=["check"], **states_of)
    assert (failed.outcome, failed.failed_step, failed.reason) == (FAILED, "suspend", "It is Updating.")
    assert (failed.backup, failed.items) == (None, None)
    assert failed.sentence().startswith("north/contoso-west/orders (premium): failed at suspend, ")
    assert failed.sentence().endswith(", now Active. It is Updating.")
    died = outcome(is_published=False, results=["suspend"], check="failed", **dict.fromkeys(["back_up", "resume"]))
    assert died.reason.startswith("See the log of back_up_all.check. It ended without a reason, or a person marked it")


@given(st.dictionaries(st.sampled_from(STEPS), st.sampled_from(["success", "failed", "running", *DID_NOT_RUN])))
def test_what_is_published_and_resumed_is_backed_up(changed):
    """Marking a run as failed makes finished steps of mapped groups failed."""
    assert outcome(**changed) == outcome()


@given(
    st.dictionaries(st.sampled_from(STEPS), st.sampled_from(["success", "failed", "running", *DID_NOT_RUN])),
    st.sets(st.sampled_from(STEPS)),
)
def test_without_a_reference_nothing_is_backed_up(changed, results):
    """A person can mark every step as succeeded."""
    failed = outcome(is_published=False, results=results, **changed)
    assert (failed.outcome, failed.backup) == (FAILED, None)
    assert failed.failed_step in STEPS
    assert failed.reason


def test_a_step_that_a_person_marked_as_succeeded_is_named():
    failed = outcome(is_published=False, results=["check", "suspend", "back_up", "resume"])
    assert failed.failed_step == "publish"
    assert "a person marked it or the run" in failed.reason


def test_steps_whose_result_is_there_are_not_blamed():
    marked = dict.fromkeys(["check", "suspend", "back_up"], "failed") | {"publish": "skipped"}
    failed = outcome(is_published=False, results=["check", "suspend", "resume"], **marked)
    assert (failed.failed_step, "log of back_up_all.back_up." in failed.reason) == ("back_up", True)
    assert "It is Updating." not in failed.reason


def test_steps_that_were_not_carried_out_are_listed_once():
    failed = outcome(is_published=False, is_resumed=False, **dict.fromkeys(STEPS, "skipped"))
    assert (failed.failed_step, failed.suspended_seconds) == ("check", None)
    assert failed.reason == f"These steps were not carried out: {', '.join(f'back_up_all.{each}' for each in STEPS)}."


@pytest.mark.parametrize("state", [*DID_NOT_RUN, "failed", "running"])
def test_what_is_not_resumed_is_red_though_published(state):
    failed = outcome(is_resumed=False, resume=state)
    assert (failed.outcome, failed.failed_step, failed.backup) == (FAILED, "resume", reference().place)


@pytest.mark.parametrize("is_running", [True, False])
def test_a_resumption_that_a_person_marked_counts_if_so(is_running):
    marked = outcome(is_resumed=False, is_running=is_running)
    assert marked.outcome == (BACKED_UP if is_running else FAILED)


def test_a_published_reference_that_is_lost():
    lost = outcome(BackupDamagedError("backups/orders", ["a.json is missing"]))
    assert (lost.outcome, lost.failed_step, lost.backup, lost.items) == (FAILED, "publish", None, None)
    assert "was published, and cannot be read now: Backup backups/orders is damaged" in lost.reason
    assert "clear task `report`" in lost.reason


def test_what_was_not_handed_on_was_not_begun():
    """And is not taken for an edition without backups."""
    assert not_begun(KNOWN, "find", "Too many.").reason == "Its backup was not begun. Too many."
    without = not_begun(KNOWN, "find", None)
    assert (without.outcome, without.failed_step) == (FAILED, "find")
    assert "See the log of find." in without.reason


# --- all services ----------------------------------------------------------------------------------------------------


def test_one_backup_is_enough_where_none_failed():
    without = replace(KNOWN, outcome=NO_BACKUP)
    require_success([outcome(), without])
    for nothing in ([], [without]):
        with pytest.raises(BackupsFailedError, match="No service was backed up"):
            require_success(nothing)


def test_one_failure_fails_all():
    failed = outcome(is_published=False, results=["check", "back_up", "resume"], suspend="failed", publish=None)
    with pytest.raises(BackupsFailedError) as caught:
        require_success([outcome(), failed])
    assert str(caught.value) == (
        "1 of 2 services were not backed up or not resumed. north/contoso-west/orders (suspend): It is Updating."
    )
