"""Suspend and resume: once, whatever dies in between; what others suspended is left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from biztalk_services.archive.errors import StorageAuthenticationError
from biztalk_services.archive.suspensions import SuspensionRecords
from biztalk_services.flows.suspend import ServiceNotRunningError
from biztalk_services.model.errors import (
    AuthenticationError,
    OperationNotAllowedError,
    ServerError,
    ServiceNotFoundError,
    ThrottledError,
)
from biztalk_services.model.service import ServiceRef
from biztalk_services.provider.hook import BizTalkServicesHook
from biztalk_services.provider.operators.suspend import ResumeServiceOperator, SuspendServiceOperator
from biztalk_services.provider.waiting import WaitFailedError

from tests.airflow_layer.connections import CLOUD_SERVICE, NAME, SERVICE, storage
from tests.airflow_layer.fakes import Died, EndedInTrigger, Run, dies_once, loses_the_answer
from tests.airflow_layer.surroundings import fresh

pytestmark = pytest.mark.usefixtures("connections", "clock")

BY_US = {"found_state": "Active", "suspended_by_us": True, "expected_state": "Suspended"}


@pytest.fixture
def catalog() -> dict[str, str]:
    return {"catalog_container": fresh("suspended")}


@pytest.fixture
def suspend(catalog) -> SuspendServiceOperator:
    return SuspendServiceOperator(task_id="suspend", service=SERVICE, backup_name=fresh("backup"), **catalog)


@pytest.fixture
def resume(catalog) -> ResumeServiceOperator:
    return ResumeServiceOperator(
        task_id="resume", service=SERVICE, suspension=BY_US | {"operation_id": None}, deadline_minutes=15, **catalog
    )


def test_suspends_and_brings_back(suspend, resume, run, emulator, happened, asked):
    answer = run.execute(suspend)
    (begun,) = happened("suspend")
    assert answer == BY_US | {"operation_id": begun["operation_id"]}
    assert run.xcom("suspend") == answer
    emulator.reaches(NAME, "Suspended")
    resume.suspension = answer
    back = run.execute(resume)
    assert (back["state"], back["etag"]) == ("Active", emulator.etag(NAME))
    assert emulator.state(NAME) == "Active"
    assert len(happened("resume")) == 1
    (request,) = asked("suspend")
    assert request["client_request_id"] == f"nightly:{run.run_id}:suspend:0:suspend"


@pytest.mark.parametrize("state", ["Suspended", "Stopped"])
def test_what_somebody_else_suspended_is_left_alone(state, suspend, resume, run, emulator, asked):
    emulator.force(NAME, state)
    for _ in range(2):
        answer = run.execute(suspend)
        assert answer == {
            "found_state": state, "suspended_by_us": False, "expected_state": state, "operation_id": None
        }  # fmt: skip
    resume.suspension = answer
    assert run.execute(resume)["state"] == state
    assert (asked("suspend"), asked("resume")) == ([], [])
    assert emulator.state(NAME) == state


class TestSuspendOnce:
    """The worker dies, or the answer is lost; then another try."""

    def again(self, suspend, run, emulator, happened) -> dict:
        """Another try, while the service is on its way or has arrived."""
        answer = run.execute(suspend)
        assert {name: answer[name] for name in BY_US} == BY_US
        emulator.reaches(NAME, "Suspended")
        assert run.execute(suspend) == BY_US | {"operation_id": None}
        assert len(happened("suspend")) == 1
        return answer

    def test_before_the_request(self, suspend, run, emulator, happened, monkeypatch):
        dies_once(monkeypatch, BizTalkServicesHook, "suspend", after=False)
        with pytest.raises(Died):
            run.execute(suspend)
        assert happened("suspend") == []
        assert self.again(suspend, run, emulator, happened)["operation_id"]

    def test_before_the_state_is_stored(self, suspend, run, emulator, happened):
        run.store("suspend").dies_at = "asked"
        with pytest.raises(Died):
            run.execute(suspend)
        assert happened("suspend") == []
        assert self.again(suspend, run, emulator, happened)["operation_id"]

    @pytest.mark.parametrize("kind", ["reset-after", "truncated", "html"])
    @pytest.mark.parametrize("arrived", [False, True])
    def test_the_answer_is_lost(self, kind, arrived, suspend, run, emulator, happened):
        emulator.fault(kind, "suspend", service=NAME, count=1)
        loses_the_answer(run, suspend)
        if arrived:
            emulator.reaches(NAME, "Suspended")
        self.again(suspend, run, emulator, happened)

    def test_after_the_answer(self, suspend, run, emulator, happened, monkeypatch):
        dies_once(monkeypatch, BizTalkServicesHook, "suspend", after=True)
        with pytest.raises(Died):
            run.execute(suspend)
        self.again(suspend, run, emulator, happened)

    def test_after_all(self, suspend, run, emulator, happened):
        run.execute(suspend)
        self.again(suspend, run, emulator, happened)


def test_a_busy_service_is_asked_again(suspend, run, emulator, happened):
    emulator.fault("status", "suspend", service=NAME, count=1, retry_after=7)
    with pytest.raises(ThrottledError) as caught:
        run.execute(suspend)
    assert (caught.value.advice, caught.value.retry_after) == ("retry", 7)
    assert run.execute(suspend)["operation_id"]
    assert len(happened("suspend")) == 1


def test_a_troubled_service_is_looked_at_before_it_is_asked_again(suspend, run, emulator, happened):
    emulator.fault("status", "suspend", service=NAME, count=1, status=500, code="InternalError")
    with pytest.raises(ServerError) as caught:
        run.execute(suspend)
    assert caught.value.advice == "look"
    assert run.execute(suspend)["operation_id"]
    assert len(happened("suspend")) == 1


def test_somebody_elses_operation_is_waited_for_not_taken_for_ours(suspend, run, emulator, asked):
    emulator.fault("stuck", "restart", service=NAME, count=1)
    emulator.act(NAME, "restart")
    for _ in range(2):
        with pytest.raises(OperationNotAllowedError, match="Restarting") as caught:
            run.execute(suspend)
        assert caught.value.advice in ("look", "retry")
    assert asked("suspend") == []
    emulator.force(NAME, "Active")
    assert run.execute(suspend)["suspended_by_us"]


def test_a_suspension_that_somebody_else_began_stays_theirs(suspend, resume, run, emulator, happened):
    emulator.fault("stuck", "suspend", service=NAME, count=1)
    emulator.act(NAME, "suspend")
    with pytest.raises(OperationNotAllowedError, match="Suspending"):
        run.execute(suspend)
    emulator.force(NAME, "Suspended")
    answer = run.execute(suspend)
    assert (answer["suspended_by_us"], answer["expected_state"]) == (False, "Suspended")
    resume.suspension = answer
    run.execute(resume)
    assert emulator.state(NAME) == "Suspended"


def test_a_suspension_that_came_between_look_and_refused_request_stays_theirs(
    suspend, run, emulator, happened, monkeypatch
):
    """Somebody else suspends the service after we saw it Active and before our request, which is refused."""
    see = BizTalkServicesHook.get_service

    def see_and_lose_the_race(hook, address):
        service = see(hook, address)
        monkeypatch.setattr(BizTalkServicesHook, "get_service", see)
        emulator.fault("stuck", "suspend", service=NAME, count=1)
        emulator.act(NAME, "suspend")
        return service

    monkeypatch.setattr(BizTalkServicesHook, "get_service", see_and_lose_the_race)
    with pytest.raises(OperationNotAllowedError):
        run.execute(suspend)
    emulator.force(NAME, "Suspended")
    assert run.execute(suspend)["suspended_by_us"] is False


@pytest.mark.parametrize("what", ["the state", "the storage", "the request"])
def test_while_our_request_may_be_out_nothing_is_final(what, suspend, run, emulator, azurite, connect):
    kind = "reset-before" if what == "the request" else "reset-after"
    emulator.fault(kind, "suspend", service=NAME, count=1)
    loses_the_answer(run, suspend)
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
def test_a_service_that_would_not_be_as_it_was_is_not_asked(state, suspend, run, emulator, asked):
    emulator.force(NAME, state)
    with pytest.raises(ServiceNotRunningError, match=f"is {state} now") as caught:
        run.execute(suspend)
    assert suspend.retry_policy.evaluate(caught.value, 1, 70).action.value == "fail"
    assert asked("suspend") == []


def test_what_another_service_stored_here_is_not_ours(suspend, run, emulator):
    """After a cleared find_services the same map index may be another service."""
    run.store("suspend").values["asked"] = '{"service": "elsewhere/another", "found_state": "Active"}'
    emulator.force(NAME, "Suspended")
    assert run.execute(suspend)["suspended_by_us"] is False


def test_a_pending_suspension_is_waited_for_before_the_service_counts_as_back(
    suspend, resume, run, emulator, monkeypatch
):
    """The state lags behind: still Active, though the suspension was accepted."""
    emulator.fault("stuck", "suspend", service=NAME, count=1)
    resume.suspension = run.execute(suspend)
    lagging = replace(BizTalkServicesHook().get_service(ServiceRef.parse(SERVICE)), state="Active")
    monkeypatch.setattr(BizTalkServicesHook, "get_service", lambda hook, address: lagging)
    with pytest.raises(OperationNotAllowedError, match="under way"):
        run.execute(resume)


def test_a_failed_suspension_is_tried_again(suspend, resume, run, emulator, happened):
    emulator.fault("operation-fails", "suspend", service=NAME, count=1)
    run.execute(suspend)
    emulator.reaches(NAME, "SuspendedFailed")
    answer = run.execute(suspend)
    assert answer["suspended_by_us"]
    assert answer["operation_id"]
    emulator.reaches(NAME, "Suspended")
    resume.suspension = answer
    run.execute(resume)
    emulator.reaches(NAME, "Active")
    assert len(happened("suspend")) == 2


def test_a_cleared_task_suspends_anew(suspend, run, emulator, happened):
    run.execute(suspend)
    emulator.reaches(NAME, "Suspended")
    emulator.force(NAME, "Active")
    assert run.execute(suspend)["operation_id"]
    assert len(happened("suspend")) == 2


class TestClearedWhenAllIsOver:
    """Airflow clears the setup of every service with one step of one of them."""

    @pytest.fixture(autouse=True)
    def over(self, connections, before, suspend, resume, run, emulator) -> None:
        resume.suspension = run.execute(suspend)
        emulator.reaches(NAME, "Suspended")
        run.execute(resume)

    def test_a_service_whose_backup_was_begun_is_not_suspended_again(
        self, suspend, resume, run, emulator, blobs, happened
    ):
        blobs.create_container(suspend.backup_name)
        answer = run.execute(suspend)
        assert (answer["suspended_by_us"], answer["expected_state"]) == (False, "Active")
        resume.suspension = answer
        assert run.execute(resume)["state"] == "Active"
        assert (len(happened("suspend")), len(happened("resume"))) == (1, 1)

    def test_a_service_whose_backup_was_not_begun_is(self, suspend, run, emulator, happened, blobs, catalog):
        assert run.execute(suspend)["operation_id"]
        assert len(happened("suspend")) == 2
        assert len(SuspensionRecords(blobs, catalog["catalog_container"]).look()[0]) == 1

    def test_what_somebody_else_suspended_since_is_left_alone(self, suspend, resume, run, emulator, asked):
        emulator.force(NAME, "Suspended")
        answer = run.execute(suspend)
        assert (answer["suspended_by_us"], answer["found_state"]) == (False, "Suspended")
        resume.suspension = answer
        run.execute(resume)
        assert (emulator.state(NAME), len(asked("resume"))) == ("Suspended", 1)


def test_a_service_that_another_run_has_left_suspended_is_not_taken_for_one_that_is_to_stay_so(
    suspend, run, emulator, asked
):
    other = Run()
    other.execute(suspend)
    emulator.reaches(NAME, "Suspended")
    with pytest.raises(OperationNotAllowedError, match=f"is suspended by run {other.run_id}") as caught:
        run.execute(suspend)
    assert suspend.retry_policy.evaluate(caught.value, 1, 70).action.value == "retry"
    assert len(asked("suspend")) == 1


@pytest.mark.parametrize("service", [f"{CLOUD_SERVICE}/nothing", f"nowhere/{NAME}"])
@pytest.mark.parametrize("operator", [SuspendServiceOperator, ResumeServiceOperator])
def test_a_service_that_is_gone_is_final(operator, service, run):
    options = {"suspension": BY_US, "deadline_minutes": 15} if operator is ResumeServiceOperator else {}
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
    """The worker dies, or the answer is lost; then tries until it is done."""

    def again(self, resume, run, emulator, happened) -> None:
        assert run.execute(resume)["state"] == "Active"
        assert run.execute(resume)["state"] == "Active"
        assert emulator.state(NAME) == "Active"
        assert len(happened("resume")) == 1

    def test_before_the_request(self, resume, run, emulator, happened, monkeypatch):
        dies_once(monkeypatch, BizTalkServicesHook, "resume", after=False)
        with pytest.raises(Died):
            run.execute(resume)
        self.again(resume, run, emulator, happened)

    @pytest.mark.parametrize("kind", ["reset-after", "truncated", "empty-body"])
    def test_the_answer_is_lost(self, kind, resume, run, emulator, happened):
        emulator.fault(kind, "resume", service=NAME, count=1)
        loses_the_answer(run, resume)
        self.again(resume, run, emulator, happened)

    def test_answered_but_not_stored(self, resume, run, emulator, happened):
        run.store("resume").dies_at = "asked"
        with pytest.raises(Died):
            run.execute(resume)
        self.again(resume, run, emulator, happened)

    def test_stored(self, resume, run, emulator, happened):
        run.store("resume").dies_at = "bounds"
        with pytest.raises(Died):
            run.execute(resume)
        self.again(resume, run, emulator, happened)

    def test_already_on_its_way(self, resume, run, emulator, happened, asked):
        emulator.fault("stuck", "resume", service=NAME, count=1)
        emulator.act(NAME, "resume")
        with pytest.raises(EndedInTrigger, match="to be Active until"):
            run.execute(resume)
        assert len(asked("resume")) == 1
        emulator.force(NAME, "Active")
        assert run.execute(resume)["state"] == "Active"

    def test_a_failed_resumption_is_tried_again(self, resume, run, emulator, happened):
        emulator.fault("operation-fails", "resume", service=NAME, count=1)
        with pytest.raises((EndedInTrigger, WaitFailedError), match="InjectedFault"):
            run.execute(resume)
        assert run.execute(resume)["state"] == "Active"
        assert len(happened("resume")) == 2

    def test_a_wait_in_vain_is_tried_again(self, resume):
        missed = WaitFailedError("Waited in vain.")
        assert resume.retry_policy.evaluate(missed, 1, 70).action.value == "retry"

    def test_a_backup_that_still_runs_is_waited_for(self, resume, run, emulator, asked):
        emulator.fault("stuck", "suspend", service=NAME, count=1)
        emulator.force(NAME, "Active")
        emulator.act(NAME, "suspend")
        with pytest.raises(OperationNotAllowedError) as caught:
            run.execute(resume)
        decision = resume.retry_policy.evaluate(caught.value, 1, 70)
        assert decision.action.value == "retry"


def test_an_active_service_is_not_asked_to_resume(resume, run, asked):
    assert run.execute(resume)["state"] == "Active"
    assert asked("resume") == []
