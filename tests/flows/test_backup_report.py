"""What became of each service of a backup run."""

from __future__ import annotations

import json
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
    require_success,
)
from biztalk_services.model.steps import ReachedState
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
        "orders", "west", None, "basic", BACKED_UP, backup="account/container", suspended_seconds=3.5
    )
    assert list(json.loads(json.dumps(outcome.to_xcom()))) == [
        "service", "scope", "region", "edition", "outcome", "failed_step", "reason", "backup", "items",
        "suspended_seconds", "state",
    ]  # fmt: skip


# --- one service -----------------------------------------------------------------------------------------------------

KNOWN = BackupOutcome("orders", "contoso-west", "West US", "premium", FAILED, state="Active")


class Published:
    """An archive that has the published reference, or has lost it with its backup."""

    def __init__(self, lost: BackupDamagedError | None = None) -> None:
        self.lost = lost

    def ensure_published(self, backup: Any) -> None:
        if self.lost:
            raise self.lost


def outcome(lost: BackupDamagedError | None = None, **changes: str | None) -> BackupOutcome:
    steps = [f"back_up_all.{step}" for step in STEPS]
    return backup_outcome(
        KNOWN,
        steps,
        {f"back_up_all.{step}": state for step, state in states(**changes).items()},
        published_by="back_up_all.publish",
        reference=reference() if "publish" not in changes else None,
        quiesced=ReachedState("Suspended", "e", NOW),
        resumed=ReachedState("Active", "e", NOW + timedelta(seconds=90, milliseconds=140)),
        failure_of=lambda step: "It is Updating." if step.endswith("suspend") else None,
        archive=lambda: Published(lost),
    )


def test_a_backup():
    backed_up = outcome()
    assert backed_up == replace(
        KNOWN, outcome=BACKED_UP, backup="backups/orders-20260101-020000", items=12, suspended_seconds=90.1
    )
    assert backed_up.sentence() == (
        "orders (premium): backed up, 12 items in backups/orders-20260101-020000, suspended for 90.1 s, now Active."
    )


def test_a_failed_step_with_its_reason():
    failed = outcome(suspend="failed", back_up="upstream_failed", publish="upstream_failed")
    assert (failed.outcome, failed.failed_step, failed.reason) == (FAILED, "suspend", "It is Updating.")
    assert (failed.backup, failed.items) == (None, None)
    assert failed.sentence().startswith("orders (premium): failed at suspend, ")
    assert failed.sentence().endswith(", now Active. It is Updating.")
    assert outcome(check="failed").reason == "See the log of back_up_all.check."


def test_a_published_reference_that_is_lost():
    lost = outcome(BackupDamagedError("backups/orders", ["a.json is missing"]))
    assert (lost.outcome, lost.failed_step, lost.backup, lost.items) == (FAILED, "publish", None, None)
    assert "was published, and cannot be read now: Backup backups/orders is damaged" in lost.reason
    assert "clear task `report`" in lost.reason


# --- all services ----------------------------------------------------------------------------------------------------


def test_one_backup_is_enough_where_none_failed():
    without = replace(KNOWN, outcome=NO_BACKUP)
    require_success([outcome(), without])
    for nothing in ([], [without]):
        with pytest.raises(BackupsFailedError, match="No service was backed up"):
            require_success(nothing)


def test_one_failure_fails_all():
    failed = outcome(suspend="failed", publish=None)
    with pytest.raises(BackupsFailedError) as caught:
        require_success([outcome(), failed])
    assert str(caught.value) == ("1 of 2 services were not backed up or not resumed. orders (suspend): It is Updating.")
