"""Waits for a service or an operation, on the worker and in the triggerer, against the emulator."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import TaskFailedEvent, TaskSuccessEvent
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.provider.sensors import OperationSensor, ServiceStateSensor
from biztalk_services.provider.triggers import Reached, WaitTrigger
from biztalk_services.provider.waiting import WaitFailedError
from biztalk_services.triggers.service import OperationTrigger, StateTrigger

from tests.provider.connections import CLOUD_SERVICE, NAME, SERVICE, management
from tests.provider.fakes import EndedInTrigger, events_of, moved
from tests.archive.azurite import free_port
from tests.wire.pki import identity

pytestmark = pytest.mark.usefixtures("connections", "clock")


def state_sensor(expected: str | list[str] = "Suspended", **options) -> ServiceStateSensor:
    return ServiceStateSensor(
        **{"task_id": "wait", "service": SERVICE, "expected": expected, "deadline_minutes": 15} | options
    )


def operation_sensor(operation_id: str | None) -> OperationSensor:
    return OperationSensor(
        task_id="wait", service=SERVICE, operation_id=operation_id, operation_type="Suspend", deadline_minutes=5
    )


def suspend(emulator) -> str:
    """Begin a suspension behind Airflow's back; its operation id."""
    return emulator.act(NAME, "suspend").headers["x-ms-request-id"]


def deferral(sensor, run, **options) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute(run.context("wait", **options))
    return caught.value


def failure(sensor, run) -> str:
    """The sentence with which the wait fails, wherever it ends; it is in XCom as well."""
    with pytest.raises((EndedInTrigger, WaitFailedError)) as caught:
        run.execute(sensor)
    told = run.xcom("wait", "failure")
    assert told in (str(caught.value), json.dumps(str(caught.value)))
    return str(caught.value)


class TestOnTheWorker:
    def test_what_is_there_already_needs_no_trigger(self, run, emulator):
        found = run.execute(state_sensor("Active"))
        assert (found["state"], found["etag"]) == ("Active", emulator.etag(NAME))
        assert found["seen_at"].endswith("+00:00")

    def test_one_of_several_states_is_enough(self, run):
        assert run.execute(state_sensor(["Suspended", "Active"]))["state"] == "Active"

    def test_what_has_failed_already_needs_no_trigger(self, run, emulator):
        emulator.force(NAME, "SuspendedFailed")
        with pytest.raises(WaitFailedError, match="went to SuspendedFailed") as caught:
            run.execute(state_sensor())
        assert caught.value.advice == "stop"
        assert run.xcom("wait", "failure") == str(caught.value)

    def test_passing_trouble_is_left_to_the_trigger(self, run, emulator):
        emulator.fault("status", "get_cloud_service")
        deferral(state_sensor("Active"), run)

    def test_a_service_that_is_not_there_ends_it_at_once(self, run):
        with pytest.raises(WaitFailedError, match="holds no BizTalk service nothing"):
            run.execute(state_sensor(service=f"{CLOUD_SERVICE}/nothing"))

    def test_a_missing_connection_ends_it_with_its_name(self, run):
        with pytest.raises(Exception, match="no_such_connection"):
            run.execute(state_sensor(conn_id="no_such_connection"))

    def test_a_deadline_that_has_passed_ends_it_after_one_look(self, run):
        with pytest.raises(WaitFailedError, match="the deadline, in vain"):
            run.execute(state_sensor(deadline_minutes=0))
        assert run.execute(state_sensor("Active", deadline_minutes="0"))["state"] == "Active"

    def test_coming_back_to_the_worker_is_told(self, run):
        with pytest.raises(WaitFailedError, match="instead of ending in the triggerer"):
            state_sensor().execute_complete(run.context("wait"), {"state": "Active"})


class TestDeferral:
    def test_the_timeout_is_a_little_after_the_deadline(self, run, clock):
        deferred = deferral(state_sensor(), run)
        assert deferred.timeout == timedelta(minutes=16)
        assert deferred.trigger.deadline == (clock.time + timedelta(minutes=15)).isoformat()

    def test_a_retry_keeps_the_deadline(self, run, clock):
        first = deferral(state_sensor(), run)
        clock.forward(minutes=10)
        second = deferral(state_sensor(), run)
        assert (second.trigger.deadline, second.trigger.since) == (first.trigger.deadline, first.trigger.since)
        assert second.timeout == timedelta(minutes=6)
        clock.forward(minutes=6)
        assert first.trigger.deadline in failure(state_sensor(), run)

    def test_a_cleared_task_has_a_new_one(self, run, clock):
        first = deferral(state_sensor(), run, max_tries=5)
        clock.forward(minutes=10)
        second = deferral(state_sensor(), run, max_tries=11)
        assert second.trigger.deadline == (clock.time + timedelta(minutes=15)).isoformat()
        assert second.trigger.deadline > first.trigger.deadline
        assert second.timeout == timedelta(minutes=16)

    @pytest.mark.parametrize(
        "sensor", [state_sensor(operation_id="0" * 32), operation_sensor("0" * 32), operation_sensor(None)]
    )
    def test_another_triggerer_can_go_on_with_it(self, sensor, run, emulator):
        emulator.fault("stuck", "suspend", service=NAME, count=1)
        suspend(emulator)
        trigger = deferral(sensor, run).trigger
        path, arguments = trigger.serialize()
        assert path == f"biztalk_services.triggers.service.{type(trigger).__name__}"
        again = moved(trigger)
        assert again.serialize() == (path, arguments)
        assert type(again) is type(trigger)

    def test_no_secret_is_in_it_nor_in_the_logs(self, run, emulator, secrets, capfd, caplog):
        caplog.set_level(logging.DEBUG)
        emulator.fault("stuck", "suspend", service=NAME, count=1)
        trigger = deferral(state_sensor(operation_id=suspend(emulator)), run).trigger
        trigger.look()
        printed = capfd.readouterr()
        shown = json.dumps(trigger.serialize()) + repr(trigger) + str(vars(trigger)) + caplog.text + str(printed)
        assert SERVICE in shown
        assert [secret for secret in secrets if secret in shown] == []


class TestInTheTriggerer:
    def test_it_ends_the_task_when_the_state_has_come(self, run, emulator):
        emulator.fault("stuck", "suspend", service=NAME, count=1)
        operation_id = suspend(emulator)
        trigger = deferral(state_sensor(operation_id=operation_id), run).trigger
        emulator.admin("POST", f"/operations/{operation_id}/release")
        (event,) = events_of(moved(trigger))
        assert isinstance(event, TaskSuccessEvent)
        assert event.xcoms["return_value"]["state"] == "Suspended"

    def test_it_ends_the_task_when_the_operation_has_succeeded_and_the_service_is_settled(self, run, emulator):
        operation_id = suspend(emulator)
        found = run.execute(operation_sensor(operation_id))
        assert (found["operation_id"], found["result"], found["state"]) == (operation_id, "Succeeded", "Suspended")
        assert found["etag"] == emulator.etag(NAME)

    def test_an_operation_without_id_is_what_the_service_reports(self, run, emulator):
        suspend(emulator)
        found = run.execute(operation_sensor(None))
        assert (found["operation_id"], found["result"], found["state"]) == (None, "Succeeded", "Suspended")

    @pytest.mark.usefixtures("hurried")
    def test_somebody_elses_operation_is_not_the_one(self, run, emulator, clock):
        emulator.reaches(NAME, "Active")
        emulator.operation(emulator.act(NAME, "restart"))
        assert "in vain" in failure(operation_sensor(None), run)

    @pytest.mark.parametrize("by_id", [True, False])
    def test_a_failed_operation_ends_it_with_the_services_words(self, by_id, run, emulator):
        emulator.fault("operation-fails", "suspend", service=NAME, count=1, message="The disk is full.")
        operation_id = suspend(emulator)
        sentence = failure(operation_sensor(operation_id if by_id else None), run)
        assert "failed" in sentence
        assert "The disk is full." in sentence
        assert SERVICE in sentence

    def test_a_failed_operation_ends_the_wait_for_a_state(self, run, emulator):
        emulator.fault("operation-fails", "suspend", service=NAME, count=1)
        sentence = failure(state_sensor(operation_id=suspend(emulator)), run)
        assert "SuspendedFailed" in sentence or "failed" in sentence

    def test_a_failed_operation_that_leaves_the_state_as_it_was(self, run, emulator, clock, blobs):
        emulator.force(NAME, "Suspended")
        emulator.fault("operation-fails", "backup", service=NAME, count=1, message="No room.")
        store = StorageAccount(blobs).connection_string()
        operation_id = emulator.back_up(NAME, f"half-{uuid4().hex[:8]}", store).headers["x-ms-request-id"]
        assert "No room." in failure(state_sensor("Active", operation_id=operation_id), run)

    @pytest.mark.usefixtures("hurried")
    def test_a_stuck_operation_ends_at_the_deadline(self, run, emulator, clock):
        emulator.fault("stuck", "suspend", service=NAME, count=1)
        operation_id, began = suspend(emulator), clock.time
        sentence = failure(operation_sensor(operation_id), run)
        assert "the deadline, in vain" in sentence
        assert operation_id in sentence
        assert clock.time - began == timedelta(minutes=5)
        assert max(clock.slept) <= 30
        assert clock.slept[0] == 0.5

    def test_a_service_that_is_deleted_meanwhile_ends_it_at_once(self, run, emulator, clock):
        emulator.create("shortlived")
        emulator.reaches("shortlived", "Active")
        sensor = state_sensor(service=f"{CLOUD_SERVICE}/shortlived")
        trigger = deferral(sensor, run).trigger
        emulator.request("DELETE", emulator.path("shortlived", through=False))
        (event,) = events_of(trigger)
        assert "holds no BizTalk service shortlived" in event.xcoms["failure"]
        assert clock.time.isoformat() < trigger.deadline

    def test_an_operation_that_the_service_forgot_is_judged_by_what_the_service_reports(self, run, emulator):
        emulator.fault("operation-forgotten", "suspend", service=NAME, count=1)
        found = run.execute(operation_sensor(suspend(emulator)))
        assert (found["result"], found["state"]) == ("Succeeded", "Suspended")

    def test_an_operation_that_is_not_known_at_first(self, run, emulator):
        operation_id = suspend(emulator)
        absent = {"status": 404, "code": "ResourceNotFound", "message": "No."}
        emulator.fault("status", "poll", count=4, **absent)
        emulator.fault("status", "get_cloud_service", count=1, **absent)
        found = run.execute(operation_sensor(operation_id))
        assert (found["operation_id"], found["state"]) == (operation_id, "Suspended")

    def test_a_state_that_no_document_has_is_no_ending(self, run, emulator):
        operation_id = suspend(emulator)
        emulator.fault("unknown-state", "get_cloud_service", count=2)
        assert run.execute(state_sensor(operation_id=operation_id))["state"] == "Suspended"

    @pytest.mark.usefixtures("hurried")
    def test_a_state_that_no_document_has_ends_at_the_deadline(self, run, emulator):
        emulator.fault("unknown-state", "get_cloud_service")
        assert "the deadline, in vain" in failure(state_sensor("Active", deadline_minutes=2), run)

    def test_a_forgotten_operation_that_failed_is_a_failure(self, run, emulator):
        emulator.fault("operation-forgotten", "suspend", service=NAME, count=1)
        operation_id = suspend(emulator)
        emulator.force(NAME, "SuspendedFailed")
        assert "failed" in failure(operation_sensor(operation_id), run)

    @pytest.mark.usefixtures("hurried")
    def test_an_unknown_operation_does_not_end_the_wait_for_a_state(self, run, emulator, clock):
        emulator.fault("stuck", "suspend", service=NAME, count=1)
        suspend(emulator)
        sentence = failure(state_sensor(operation_id="f" * 32, deadline_minutes=2), run)
        assert "the deadline, in vain" in sentence

    @pytest.mark.usefixtures("hurried")
    def test_it_asks_for_nothing(self, run, emulator, before):
        emulator.fault("stuck", "suspend", service=NAME, count=1)
        suspend(emulator)
        trigger = deferral(state_sensor(deadline_minutes=1), run).trigger
        for _ in range(2):
            events_of(moved(trigger))
        methods = {entry["method"] for entry in emulator.journal(after=before, kind="request")[1:]}
        assert methods == {"GET"}


class Scripted(WaitTrigger):
    """A wait whose looks are given: an error is raised, anything else returned; the last one stays."""

    def __init__(self, clock, *looks, minutes: float = 60, patience_seconds: float = 300) -> None:
        super().__init__(
            deadline=(clock.time + timedelta(minutes=minutes)).isoformat(),
            since=clock.time.isoformat(),
            patience_seconds=patience_seconds,
        )
        self.looks = list(looks)

    def waiting_for(self) -> str:
        return "the script"

    def look(self):
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(look, Exception):
            raise look
        return look


def trouble(advice: str = "retry", **facts) -> BackupServiceError:
    return BackupServiceError("There is trouble.", advice=advice, **facts)


@pytest.mark.usefixtures("hurried")
class TestPatience:
    @pytest.fixture
    def end(self, clock) -> Callable[..., TaskSuccessEvent | TaskFailedEvent]:
        def run(*looks, **options):
            (event,) = events_of(Scripted(clock, *looks, **options))
            return event

        return run

    def test_trouble_in_a_row_is_put_up_with_for_so_long(self, end, clock):
        began = clock.time
        event = end(trouble(), patience_seconds=60)
        assert isinstance(event, TaskFailedEvent)
        assert event.xcoms["failure"] == (
            "Gave up waiting for the script: no proper answer in time. The last trouble: There is trouble."
        )
        assert timedelta(seconds=60) <= clock.time - began < timedelta(seconds=75)

    @pytest.mark.parametrize("advice", ["retry", "look"])
    def test_an_answer_in_between_restores_it(self, end, advice):
        looks = [trouble(advice), trouble(advice), None] * 40
        event = end(*looks, Reached({"state": "Active"}), patience_seconds=90)
        assert event.xcoms == {"return_value": {"state": "Active"}}

    def test_trouble_for_good_ends_it_at_once(self, end, clock):
        event = end(trouble("stop"))
        assert event.xcoms == {"failure": "There is trouble."}
        assert len(clock.slept) == 1

    def test_no_patience_at_all(self, end, clock):
        assert isinstance(end(trouble(), patience_seconds=0), TaskFailedEvent)
        assert len(clock.slept) == 1

    def test_retry_after_is_kept_to(self, end, clock):
        end(trouble(retry_after=42), None, minutes=2)
        assert clock.slept[:2] == [0.5, 42]
        assert clock.slept[2] < 30

    def test_the_deadline_comes_before_patience_and_retry_after(self, end, clock):
        began = clock.time
        event = end(None, trouble(retry_after=200), None, minutes=1)
        assert "the deadline, in vain" in event.xcoms["failure"]
        assert clock.time - began == timedelta(minutes=1)

    def test_trouble_at_the_deadline_is_told(self, end, clock):
        began = clock.time
        event = end(None, trouble(), minutes=1)
        assert event.xcoms["failure"] == (
            "Gave up waiting for the script: no proper answer in time. The last trouble: There is trouble."
        )
        assert clock.time - began == timedelta(minutes=1)

    @pytest.mark.parametrize("minutes", [10, -10])
    def test_another_machine_whose_clock_is_off_by_ten_minutes_goes_on(self, clock, minutes):
        """The wait was begun elsewhere: seen from here, ten minutes from now or ten minutes ago too many."""
        trigger = Scripted(clock, None, None, Reached({"state": "Active"}), minutes=15)
        clock.forward(minutes=minutes)
        (event,) = events_of(trigger)
        assert event.xcoms == {"return_value": {"state": "Active"}}
        assert max(clock.slept) <= 60

    def test_a_bug_is_no_ending(self, clock):
        with pytest.raises(ZeroDivisionError):
            events_of(Scripted(clock, ZeroDivisionError()))

    def test_a_deadline_in_the_past_still_gets_one_look(self, end, clock):
        assert end(Reached({}), minutes=-5).xcoms == {"return_value": {}}
        assert isinstance(end(None, minutes=-5), TaskFailedEvent)
        assert set(clock.slept) == {0.0}


@pytest.mark.parametrize("kind", ["reset-before", "malformed-xml", "html", "status", "truncated"])
def test_a_short_disturbance_does_not_end_a_wait(kind, run, emulator, clock):
    operation_id = suspend(emulator)
    emulator.fault(kind, "get_cloud_service", count=4)
    assert run.execute(state_sensor(operation_id=operation_id))["state"] == "Suspended"


@pytest.mark.usefixtures("hurried")
def test_a_service_that_does_not_answer_any_more_ends_a_wait_when_patience_does(run, emulator, connect, clock):
    connect("biztalk_default", management(emulator) | {"port": free_port()})
    began = clock.time
    sentence = failure(state_sensor(patience_seconds=30), run)
    assert "no proper answer in time" in sentence
    assert "Could not connect" in sentence
    assert timedelta(seconds=30) <= clock.time - began < timedelta(seconds=60)


def test_a_certificate_that_is_refused_ends_a_wait_at_once(run, emulator, connect, clock):
    stranger = identity("stranger")
    mine = management(emulator)
    extra = mine["extra"] | {"certificate": stranger.certificate_pem}
    connect("biztalk_default", mine | {"password": stranger.key_pem, "extra": extra})
    assert "management certificate" in failure(state_sensor(), run)
    assert clock.slept == []


@pytest.mark.parametrize("kind", [StateTrigger, OperationTrigger])
def test_every_argument_of_a_trigger_is_serialized(kind):
    accepted = {
        parameter.name
        for owner in kind.__mro__
        if "__init__" in vars(owner) and issubclass(owner, WaitTrigger)
        for parameter in inspect.signature(owner.__init__).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    assert accepted == {"deadline", "since", "patience_seconds", *kind.fields}
