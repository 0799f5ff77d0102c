"""When a step is tried again, and what all steps leave behind."""

from __future__ import annotations

from datetime import timedelta

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
from biztalk_services.provider.base import AdvicePolicy, BizTalkStep, failure_told, request_id

from tests.provider.fakes import Run

PATIENT, INSISTENT = AdvicePolicy(), AdvicePolicy(insist=True)
RETRY, FAIL, DEFAULT = RetryAction.RETRY, RetryAction.FAIL, RetryAction.DEFAULT


@pytest.mark.parametrize(
    ("error", "patient", "insistent"),
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
def test_decisions(error, patient, insistent):
    assert PATIENT.evaluate(error, 1, 5).action is patient
    assert INSISTENT.evaluate(error, 1, 70).action is insistent


@pytest.mark.parametrize("policy", [PATIENT, INSISTENT])
def test_the_service_says_when(policy):
    assert policy.evaluate(ThrottledError("Busy.", retry_after=42), 1, 5).retry_delay == timedelta(seconds=42)
    assert policy.evaluate(ThrottledError("Busy."), 1, 5).retry_delay is None
    assert policy.evaluate(ThrottledError("Busy.", retry_after=0), 1, 5).retry_delay is None


def test_a_domain_error_leaves_its_sentence_and_goes_on():
    run = Run()
    with pytest.raises(BackupServiceError, match="There is trouble"), failure_told(run.context("step")):
        raise BackupServiceError("There is trouble.")
    assert run.xcom("step", "failure") == "There is trouble."


def test_a_bug_leaves_no_sentence_that_could_hold_anything():
    run = Run()
    with pytest.raises(ValueError, match="canary"), failure_told(run.context("step")):
        raise ValueError("canary")
    assert run.xcoms == {}


def test_the_name_of_a_request_is_the_same_in_every_try_and_unlike_any_other():
    run, other = Run(), Run()
    names = [request_id(run.context("step", max_tries=tries), "suspend") for tries in (0, 5)]
    assert names[0] == names[1]
    others = [
        request_id(run.context("step", map_index=1), "suspend"),
        request_id(run.context("step"), "resume"),
        request_id(run.context("back"), "suspend"),
        request_id(other.context("step"), "suspend"),
    ]
    assert len({*names, *others}) == 5


def test_a_step_without_work_is_none():
    with pytest.raises(TypeError, match="abstract"):
        BizTalkStep(task_id="step", service="a/b")
