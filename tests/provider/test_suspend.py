"""Suspend and resume: once, whatever dies in between; what others suspended is left alone."""

from __future__ import annotations

from datetime import datetime

import pytest
from biztalk_services.archive.errors import StorageAuthenticationError
from biztalk_services.drivers.biztalk.driver import BizTalkDriver
from biztalk_services.drivers.biztalk.states import biztalk_service
from biztalk_services.flows.suspend import ServiceNotRunningError
from biztalk_services.model.errors import (
    AuthenticationError,
    OperationNotAllowedError,
    ServerError,
    ServiceNotFoundError,
    ThrottledError,
)
from biztalk_services.model.service import ServiceRef
from biztalk_services.provider.connections import open_archive
from biztalk_services.provider.operators.suspend import ResumeServiceOperator, SuspendServiceOperator
from biztalk_services.provider.waiting import WaitFailedError

from tests.conftest import AIRFLOW_ID
from tests.provider.connections import CLOUD_SERVICE, NAME, SERVICE, storage
from tests.provider.fakes import Died, EndedInTrigger, Run, dies_once, loses_response
from tests.provider.surroundings import fresh

pytestmark = pytest.mark.usefixtures("connections", "clock")

BY_US = {"found_state": "Active", "suspended_by_us": True, "expected_state": "Suspended"}
NO_ID = BY_US | {"operation_id": None, "requested_at": "2026-02-24T02:00:00+00:00"}


@pytest.fixture
def archive() -> dict[str, str]:
    return {"archive": f"biztalk_backup_storage/{fresh('suspended')}"}


@pytest.fixture
def suspend(archive) -> SuspendServiceOperator:
    return SuspendServiceOperator(task_id="suspend", service=SERVICE, backup_name=fresh("backup"), **archive)


@pytest.fixture
def resume(archive) -> ResumeServiceOperator:
    return ResumeServiceOperator(task_id="resume", service=SERVICE, suspension=NO_ID, deadline_minutes=15, **archive)


def test_suspends_and_resumes(suspend, resume, run, emulator, operations, requests):
    suspension = run.execute(suspend)
    (started,) = operations("suspend")
    assert {name: suspension[name] for name in BY_US} == BY_US
    assert suspension["operation_id"] == started["operation_id"]
    assert datetime.fromisoformat(suspension["requested_at"]).tzinfo
    assert run.xcom("suspend") == suspension
    emulator.reaches(NAME, "Suspended")
    resume.suspension = suspension
    resumed = run.execute(resume)
    assert (resumed["state"], resumed["etag"]) == ("Active", emulator.etag(NAME))
    assert emulator.state(NAME) == "Active"
    assert len(operations("resume")) == 1
    (request,) = requests("suspend")
    assert request["client_request_id"] == f"{AIRFLOW_ID}:nightly:{run.run_id}:suspend:-1:suspend"


@pytest.mark.parametrize("state", ["Suspended", "Stopped"])
def test_what_others_suspended_is_left_alone(state, suspend, resume, run, emulator, requests):
    emulator.force(NAME, state)
    for _ in range(2):
        suspension = run.execute(suspend)
        assert suspension == {
            "found_state": state, "suspended_by_us": False, "expected_state": state, "operation_id": None,
            "requested_at": None,
        }  # fmt: skip
    resume.suspension = suspension
    assert run.execute(resume)["state"] == state
    assert (requests("suspend"), requests("resume")) == ([], [])
    assert emulator.state(NAME) == state


class TestSuspendOnce:
    """The worker dies, or the response is lost; then another try."""

    def again(self, suspend, run, emulator, operations) -> dict:
        """Another try, while the service is on its way or has arrived."""
        suspension = run.execute(suspend)
        assert {name: suspension[name] for name in BY_US} == BY_US
        emulator.reaches(NAME, "Suspended")
        adopted = run.execute(suspend)
        assert adopted == suspension | {"operation_id": None}
        assert len(operations("suspend")) == 1
        return suspension

    def test_before_the_request(self, suspend, run, emulator, operations, monkeypatch):
        dies_once(monkeypatch, BizTalkDriver, "suspend", after=False)
        with pytest.raises(Died):
            run.execute(suspend)
        assert operations("suspend") == []
        assert self.again(suspend, run, emulator, operations)["operation_id"]

    def test_before_the_intent_is_stored(self, suspend, run, emulator, operations):
        run.store("suspend").dies_at = "suspend"
        with pytest.raises(Died):
            run.execute(suspend)
        assert operations("suspend") == []
        assert self.again(suspend, run, emulator, operations)["operation_id"]

    @pytest.mark.parametrize("kind", ["reset-after", "truncated", "html"])
    @pytest.mark.parametrize("arrived", [False, True])
    def test_the_response_is_lost(self, kind, arrived, suspend, run, emulator, operations):
        emulator.fault(kind, "suspend", service=NAME, count=1)
        loses_response(run, suspend)
        if arrived:
            emulator.reaches(NAME, "Suspended")
        self.again(suspend, run, emulator, operations)

    def test_after_the_response(self, suspend, run, emulator, operations, monkeypatch):
        dies_once(monkeypatch, BizTalkDriver, "suspend", after=True)
        with pytest.raises(Died):
            run.execute(suspend)
        self.again(suspend, run, emulator, operations)

    def test_after_all(self, suspend, run, emulator, operations):
        run.execute(suspend)
        self.again(suspend, run, emulator, operations)


def test_a_busy_service_is_requested_again(suspend, run, emulator, operations):
    emulator.fault("status", "suspend", service=NAME, count=1, retry_after=7)
    with pytest.raises(ThrottledError) as caught:
        run.execute(suspend)
    assert (caught.value.advice, caught.value.retry_after) == ("retry", 7)
    assert run.execute(suspend)["operation_id"]
    assert len(operations("suspend")) == 1


def test_after_a_server_error_the_service_is_checked_first(suspend, run, emulator, operations):
    emulator.fault("status", "suspend", service=NAME, count=1, status=500, code="InternalError")
    with pytest.raises(ServerError) as caught:
        run.execute(suspend)
    assert caught.value.advice == "check"
    assert run.execute(suspend)["operation_id"]
    assert len(operations("suspend")) == 1


def test_an_operation_of_others_is_waited_for_not_adopted(suspend, run, emulator, requests):
    emulator.fault("stuck", "restart", service=NAME, count=1)
    emulator.act(NAME, "restart")
    for _ in range(2):
        with pytest.raises(OperationNotAllowedError, match="Restarting") as caught:
            run.execute(suspend)
        assert caught.value.advice in ("check", "retry")
    assert requests("suspend") == []
    emulator.force(NAME, "Active")
    assert run.execute(suspend)["suspended_by_us"]


def test_a_suspension_that_others_started_stays_theirs(suspend, resume, run, emulator, operations):
    emulator.fault("stuck", "suspend", service=NAME, count=1)
    emulator.act(NAME, "suspend")
    with pytest.raises(OperationNotAllowedError, match="Suspending"):
        run.execute(suspend)
    emulator.force(NAME, "Suspended")
    suspension = run.execute(suspend)
    assert (suspension["suspended_by_us"], suspension["expected_state"]) == (False, "Suspended")
    resume.suspension = suspension
    run.execute(resume)
    assert emulator.state(NAME) == "Suspended"


def test_a_suspension_between_check_and_refusal_stays_theirs(suspend, run, emulator, operations, monkeypatch):
    """Others suspend the service after we read that it is Active and before our request, which is refused."""
    get_service = BizTalkDriver.get_service

    def get_service_and_lose_the_race(driver, ref):
        service = get_service(driver, ref)
        monkeypatch.setattr(BizTalkDriver, "get_service", get_service)
        emulator.fault("stuck", "suspend", service=NAME, count=1)
        emulator.act(NAME, "suspend")
        return service

    monkeypatch.setattr(BizTalkDriver, "get_service", get_service_and_lose_the_race)
    with pytest.raises(OperationNotAllowedError):
        run.execute(suspend)
    emulator.force(NAME, "Suspended")
    assert run.execute(suspend)["suspended_by_us"] is False


@pytest.mark.parametrize("what", ["the state", "the storage", "the request"])
def test_while_our_request_may_be_under_way_errors_are_retried(what, suspend, run, emulator, azurite, connect):
    kind = "reset-before" if what == "the request" else "reset-after"
    emulator.fault(kind, "suspend", service=NAME, count=1)
    loses_response(run, suspend)
    if what == "the storage":
        connect("biztalk_backup_storage", storage(azurite, password="d3Jvbmc="))
    else:
        refused = "suspend" if what == "the request" else "get_cloud_service"
        emulator.fault("status", refused, count=1, status=403, code="AuthenticationFailed")
    with pytest.raises((AuthenticationError, StorageAuthenticationError)) as caught:
        run.execute(suspend)
    connect("biztalk_backup_storage", storage(azurite))
    assert suspend.retry_policy.evaluate(caught.value, 2, 70).action.value == "retry"
    assert run.execute(suspend)["suspended_by_us"]


@pytest.mark.parametrize("state", ["SuspendedFailed", "ResumeFailed", "ConfigUpdateFailed", "Disabled"])
def test_a_service_that_a_resume_would_not_restore_is_left_alone(state, suspend, run, emulator, requests):
    emulator.force(NAME, state)
    with pytest.raises(ServiceNotRunningError, match=f"is {state}, so it was not suspended") as caught:
        run.execute(suspend)
    assert suspend.retry_policy.evaluate(caught.value, 1, 70).action.value == "fail"
    assert requests("suspend") == []


def test_an_entry_of_another_service_is_not_ours(suspend, run, emulator):
    """After a cleared find_services the same map index may be another service."""
    run.store("suspend").values["suspend"] = '{"owner": "elsewhere/another", "entry": {"found_state": "Active"}}'
    emulator.force(NAME, "Suspended")
    assert run.execute(suspend)["suspended_by_us"] is False


def test_a_pending_suspension_is_waited_for_before_a_resume(suspend, resume, run, emulator, monkeypatch):
    """The state lags behind: still Active, though the suspension was accepted."""
    emulator.fault("stuck", "suspend", service=NAME, count=1)
    resume.suspension = run.execute(suspend)
    lagging = biztalk_service(ServiceRef.parse(SERVICE), "Active", "standard")
    monkeypatch.setattr(BizTalkDriver, "get_service", lambda driver, ref: lagging)
    with pytest.raises(OperationNotAllowedError, match="under way"):
        run.execute(resume)


def test_a_failed_suspension_is_requested_again(suspend, resume, run, emulator, operations):
    emulator.fault("operation-fails", "suspend", service=NAME, count=1)
    run.execute(suspend)
    emulator.reaches(NAME, "SuspendedFailed")
    suspension = run.execute(suspend)
    assert suspension["suspended_by_us"]
    assert suspension["operation_id"]
    emulator.reaches(NAME, "Suspended")
    resume.suspension = suspension
    run.execute(resume)
    emulator.reaches(NAME, "Active")
    assert len(operations("suspend")) == 2


def test_a_cleared_task_suspends_anew(suspend, run, emulator, operations):
    run.execute(suspend)
    emulator.reaches(NAME, "Suspended")
    emulator.force(NAME, "Active")
    assert run.execute(suspend)["operation_id"]
    assert len(operations("suspend")) == 2


class TestClearedAfterTheBackup:
    """Airflow clears the setup of every service with one step of one of them."""

    @pytest.fixture(autouse=True)
    def resumed(self, connections, before, suspend, resume, run, emulator) -> None:
        resume.suspension = run.execute(suspend)
        emulator.reaches(NAME, "Suspended")
        run.execute(resume)

    def test_a_service_whose_backup_was_started_is_left_alone(self, suspend, resume, run, emulator, blobs, operations):
        blobs.create_container(suspend.backup_name)
        suspension = run.execute(suspend)
        assert (suspension["suspended_by_us"], suspension["expected_state"]) == (False, "Active")
        resume.suspension = suspension
        assert run.execute(resume)["state"] == "Active"
        assert (len(operations("suspend")), len(operations("resume"))) == (1, 1)

    def test_a_service_whose_backup_was_not_started_is_suspended(
        self, suspend, run, emulator, operations, blobs, archive
    ):
        assert run.execute(suspend)["operation_id"]
        assert len(operations("suspend")) == 2
        assert len(open_archive(archive["archive"]).suspensions.list_open()[0]) == 1

    def test_what_others_suspended_since_is_left_alone(self, suspend, resume, run, emulator, requests):
        emulator.force(NAME, "Suspended")
        suspension = run.execute(suspend)
        assert (suspension["suspended_by_us"], suspension["found_state"]) == (False, "Suspended")
        resume.suspension = suspension
        run.execute(resume)
        assert (emulator.state(NAME), len(requests("resume"))) == ("Suspended", 1)


def test_a_service_that_another_run_left_suspended_is_waited_for(suspend, run, emulator, requests):
    other = Run()
    other.execute(suspend)
    emulator.reaches(NAME, "Suspended")
    with pytest.raises(OperationNotAllowedError, match=f"is suspended by run {other.run_id}") as caught:
        run.execute(suspend)
    assert suspend.retry_policy.evaluate(caught.value, 1, 70).action.value == "retry"
    assert len(requests("suspend")) == 1


@pytest.mark.parametrize("service", [f"{CLOUD_SERVICE}/nothing", f"nowhere/{NAME}"])
@pytest.mark.parametrize("operator", [SuspendServiceOperator, ResumeServiceOperator])
def test_a_service_that_does_not_exist_is_final(operator, service, run):
    resumes = operator is ResumeServiceOperator
    options = {"suspension": NO_ID, "deadline_minutes": 15} if resumes else {}
    task = operator(task_id="step", service=service, **options)
    with pytest.raises(ServiceNotFoundError) as caught:
        run.execute(task)
    assert run.xcom("step", "failure") == str(caught.value)
    decision = task.retry_policy.evaluate(caught.value, 1, 70)
    assert decision.action.value == "fail"


@pytest.fixture
def suspended(emulator) -> None:
    emulator.force(NAME, "Suspended")


@pytest.mark.usefixtures("suspended")
class TestResumeOnce:
    """The worker dies, or the response is lost; then tries until it is resumed."""

    def again(self, resume, run, emulator, operations) -> None:
        assert run.execute(resume)["state"] == "Active"
        assert run.execute(resume)["state"] == "Active"
        assert emulator.state(NAME) == "Active"
        assert len(operations("resume")) == 1

    def test_before_the_request(self, resume, run, emulator, operations, monkeypatch):
        dies_once(monkeypatch, BizTalkDriver, "resume", after=False)
        with pytest.raises(Died):
            run.execute(resume)
        self.again(resume, run, emulator, operations)

    @pytest.mark.parametrize("kind", ["reset-after", "truncated", "empty-body"])
    def test_the_response_is_lost(self, kind, resume, run, emulator, operations):
        emulator.fault(kind, "resume", service=NAME, count=1)
        loses_response(run, resume)
        self.again(resume, run, emulator, operations)

    def test_the_response_is_not_stored(self, resume, run, emulator, operations):
        run.store("resume").dies_at = "resume"
        with pytest.raises(Died):
            run.execute(resume)
        self.again(resume, run, emulator, operations)

    def test_stored(self, resume, run, emulator, operations):
        run.store("resume").dies_at = "bounds"
        with pytest.raises(Died):
            run.execute(resume)
        self.again(resume, run, emulator, operations)

    def test_already_under_way(self, resume, run, emulator, operations, requests):
        emulator.fault("stuck", "resume", service=NAME, count=1)
        emulator.act(NAME, "resume")
        with pytest.raises(EndedInTrigger, match="to be Active"):
            run.execute(resume)
        assert len(requests("resume")) == 1
        emulator.force(NAME, "Active")
        assert run.execute(resume)["state"] == "Active"

    def test_a_failed_resumption_is_requested_again(self, resume, run, emulator, operations):
        emulator.fault("operation-fails", "resume", service=NAME, count=1)
        with pytest.raises((EndedInTrigger, WaitFailedError), match="InjectedFault"):
            run.execute(resume)
        assert run.execute(resume)["state"] == "Active"
        assert len(operations("resume")) == 2

    def test_a_wait_that_timed_out_is_retried(self, resume):
        missed = WaitFailedError("Timed out.")
        assert resume.retry_policy.evaluate(missed, 1, 70).action.value == "retry"

    def test_an_operation_that_is_under_way_is_waited_for(self, resume, run, emulator, requests):
        emulator.fault("stuck", "suspend", service=NAME, count=1)
        emulator.force(NAME, "Active")
        emulator.act(NAME, "suspend")
        with pytest.raises(OperationNotAllowedError) as caught:
            run.execute(resume)
        decision = resume.retry_policy.evaluate(caught.value, 1, 70)
        assert decision.action.value == "retry"


def test_an_active_service_is_not_requested_to_resume(resume, run, requests):
    assert run.execute(resume)["state"] == "Active"
    assert requests("resume") == []
