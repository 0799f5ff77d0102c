"""When a task is retried, and what all tasks have in common."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

import pytest
from airflow.sdk.definitions.retry_policy import RetryAction
from biztalk_services.archive.errors import StorageNotFoundError
from biztalk_services.model.errors import (
    AuthenticationError,
    BackupServiceError,
    OperationNotAllowedError,
    OperationNotFoundError,
    OutcomeUnknownError,
    ServiceNotFoundError,
    ThrottledError,
    UnreachableError,
)
from biztalk_services.provider.base import (
    AdvicePolicy,
    LockingOperator,
    ServiceOperator,
    TaskJournal,
    failure_pushed,
    request_id,
)
from biztalk_services.provider.operators.backup import (
    CheckBackupOperator,
    PublishBackupOperator,
    RecheckBatchesOperator,
)
from biztalk_services.provider.operators.plan import ConfirmPlanOperator
from biztalk_services.provider.operators.restore import StartRestoreOperator
from biztalk_services.provider.operators.suspend import ResumeServiceOperator, SuspendServiceOperator
from biztalk_services.provider.operators.watchdog import FindSuspensionsOperator
from biztalk_services.provider.sensors import FirstNumbersSensor

from tests.provider.fakes import Run

PLAIN, INSISTENT = AdvicePolicy(), AdvicePolicy(insist=True)
RETRY, FAIL, DEFAULT = RetryAction.RETRY, RetryAction.FAIL, RetryAction.DEFAULT


@pytest.mark.parametrize(
    ("error", "plain", "insistent"),
    [
        (ThrottledError("Busy."), RETRY, RETRY),
        (UnreachableError("Away."), RETRY, RETRY),
        (OutcomeUnknownError("Lost."), RETRY, RETRY),
        (OperationNotAllowedError("Moving.", status=409), RETRY, RETRY),
        (OperationNotFoundError("Forgotten.", status=404), RETRY, RETRY),
        (AuthenticationError("No.", status=403), FAIL, RETRY),
        (StorageNotFoundError("No.", status=404), FAIL, RETRY),
        (ServiceNotFoundError("Gone.", status=404), FAIL, FAIL),
        (ServiceNotFoundError("Gone."), FAIL, FAIL),
        (ValueError("A bug."), DEFAULT, DEFAULT),
        (KeyError("A bug."), DEFAULT, DEFAULT),
    ],
)
def test_decisions(error, plain, insistent):
    assert PLAIN.evaluate(error, 1, 5).action is plain
    assert INSISTENT.evaluate(error, 1, 70).action is insistent


@pytest.mark.parametrize("policy", [PLAIN, INSISTENT])
def test_the_error_determines_the_delay(policy):
    assert policy.evaluate(ThrottledError("Busy.", retry_after=42), 1, 5).retry_delay == timedelta(seconds=42)
    assert policy.evaluate(ThrottledError("Busy."), 1, 5).retry_delay is None
    assert policy.evaluate(ThrottledError("Busy.", retry_after=0), 1, 5).retry_delay is None


def test_a_domain_error_leaves_its_sentence():
    run = Run()
    with pytest.raises(BackupServiceError, match="It failed"), failure_pushed(run.context("step")):
        raise BackupServiceError("It failed.")
    assert run.xcom("step", "failure") == "It failed."


def test_a_bug_leaves_no_sentence_that_could_hold_anything():
    run = Run()
    with pytest.raises(ValueError, match="canary"), failure_pushed(run.context("step")):
        raise ValueError("canary")
    assert run.xcoms == {}


def test_a_request_id_is_the_same_in_every_try_and_unique():
    run, other = Run(), Run()
    names = [request_id(run.context("step", max_tries=tries)["ti"], "suspend") for tries in (0, 5)]
    assert names[0] == names[1]
    others = [
        request_id(run.context("step", map_index=1)["ti"], "suspend"),
        request_id(run.context("step")["ti"], "resume"),
        request_id(run.context("resume")["ti"], "suspend"),
        request_id(other.context("step")["ti"], "suspend"),
    ]
    assert len({*names, *others}) == 5


@pytest.mark.parametrize("kind", [ServiceOperator, LockingOperator])
def test_an_operator_without_a_step_cannot_be_made(kind):
    with pytest.raises(TypeError, match="abstract"):
        kind(task_id="step", service="a/b")


class TestTaskJournal:
    ENTRY: ClassVar = {"operation_id": "1"}

    def test_an_entry_survives_a_cleared_task(self):
        run = Run()
        TaskJournal(run.store("step"), "a/b").set("suspend", self.ENTRY)
        context = run.context("step", max_tries=11)
        assert TaskJournal(context["task_state_store"], "a/b").get("suspend") == self.ENTRY

    def test_an_entry_of_another_service_does_not_count(self):
        store = Run().store("step")
        TaskJournal(store, "a/b").set("suspend", self.ENTRY)
        other = TaskJournal(store, "a/c")
        assert other.get("suspend") is None
        other.set("suspend", {"operation_id": "2"})
        assert TaskJournal(store, "a/b").get("suspend") is None
        assert other.get("suspend") == {"operation_id": "2"}

    def test_instances_of_a_mapped_task_have_their_own_entries(self):
        run = Run()
        TaskJournal(run.store("step", 0), "a/b").set("suspend", self.ENTRY)
        assert TaskJournal(run.store("step", 1), "a/b").get("suspend") is None

    def test_a_deleted_entry_is_gone_and_may_be_deleted_again(self):
        journal = TaskJournal(Run().store("step"), "a/b")
        journal.set("suspend", self.ENTRY)
        for _ in range(2):
            journal.delete("suspend")
            assert journal.get("suspend") is None


EVIDENCE = dict.fromkeys(
    ("checked", "drained", "rechecked", "quiesced", "started", "finished", "recorded", "verified"), "task"
)
PUBLISH = {"evidence": EVIDENCE, "kind": "nightly"}
WRONG = [
    (CheckBackupOperator, {"backup_name": "x", "lock_minutes": 0}, "lock_minutes is 0"),
    (CheckBackupOperator, {"backup_name": "x", "lock_minutes": -1}, "lock_minutes is -1"),
    (SuspendServiceOperator, {"lock_minutes": 0}, "lock_minutes is 0"),
    (SuspendServiceOperator, {"resume_within_minutes": 0}, "resume_within_minutes is 0"),
    (
        RecheckBatchesOperator,
        {"refilled_batches_policy": "foo"},
        "refilled_batches_policy is 'foo'; it is one of record",
    ),
    (ResumeServiceOperator, {"suspension": None, "deadline_minutes": -1}, "deadline_minutes is -1"),
    (ResumeServiceOperator, {"suspension": None, "deadline_minutes": 1, "error_tolerance_seconds": -1}, "is -1"),
    (StartRestoreOperator, {"plan": None, "name_deadline_minutes": -1}, "name_deadline_minutes is -1"),
    (StartRestoreOperator, {"plan": None, "lock_minutes": 0}, "lock_minutes is 0"),
    (
        FirstNumbersSensor,
        {"plan": None, "numbers": None, "restored": None, "count": -1, "deadline_minutes": 1},
        "count is -1",
    ),
    (PublishBackupOperator, PUBLISH | {"kind": "x"}, "kind is 'x'; it is one of nightly, manual"),
    (PublishBackupOperator, PUBLISH | {"evidence": EVIDENCE | {"foo": "task"}}, "evidence names .*foo; it has to name"),
    (PublishBackupOperator, PUBLISH | {"evidence": {"checked": "task"}}, "it has to name checked, drained"),
]


@pytest.mark.parametrize(("kind", "arguments", "sentence"), WRONG, ids=lambda value: getattr(value, "__name__", None))
def test_a_wrong_argument_is_refused_when_an_operator_is_made(kind, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        kind(task_id="step", service="a/b", **arguments)


@pytest.mark.parametrize("kind", [ConfirmPlanOperator, FindSuspensionsOperator])
def test_a_wrong_time_is_refused_when_an_operator_is_made(kind):
    confirms = kind is ConfirmPlanOperator
    arguments = {"plan": None, "approved_hash": "", "lock_minutes": 0} if confirms else {"grace_minutes": -1}
    with pytest.raises(ValueError, match="lock_minutes is 0" if confirms else "grace_minutes is -1"):
        kind(task_id="step", **arguments)


def test_a_template_is_accepted_where_a_value_is_checked():
    operator = PublishBackupOperator(task_id="step", service="a/b", **PUBLISH | {"kind": "{{ kind }}"})
    operator.kind = "x"
    with pytest.raises(ValueError, match="kind is 'x'"):
        operator.run_step(Run().context("step"))
