"""Waits for a service or an operation, on the worker and in the triggerer, against the emulator."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable
from dataclasses import fields
from datetime import timedelta
from uuid import uuid4

import pytest
from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import TaskFailedEvent, TaskSuccessEvent
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.flows import poll_loop
from biztalk_services.flows.waits import WAITS, Place, Succeeded, Wait
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.provider import waiting
from biztalk_services.provider.sensors import (
    DrainSensor,
    OperationSensor,
    ServiceDeletedSensor,
    ServiceStateSensor,
    SlotSensor,
)
from biztalk_services.provider.triggers import BoundedTrigger, PollTrigger, SlotTrigger
from biztalk_services.provider.waiting import WaitFailedError

from tests.archive.azurite import free_port
from tests.provider.connections import CLOUD_SERVICE, NAME, SERVICE, management
from tests.provider.fakes import EndedInTrigger, events_of, moved
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


def deleted_sensor(operation_id: str | None) -> ServiceDeletedSensor:
    return ServiceDeletedSensor(task_id="wait", service=SERVICE, operation_id=operation_id, deadline_minutes=5)


def suspend(emulator) -> str:
    """Start a suspension without Airflow; returns its operation id."""
    return emulator.act(NAME, "suspend").headers["x-ms-request-id"]


def deferral(sensor, run, **options) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute(run.context("wait", **options))
    return caught.value


def failure(sensor, run) -> str:
    """The sentence with which the wait fails, wherever it ends; it is in XCom as well."""
    with pytest.raises((EndedInTrigger, WaitFailedError)) as caught:
        run.execute(sensor)
    pushed = run.xcom("wait", "failure")
    assert pushed in (str(caught.value), json.dumps(str(caught.value)))
    return str(caught.value)


class TestOnTheWorker:
    def test_a_reached_state_needs_no_trigger(self, run, emulator):
        reached = run.execute(state_sensor("Active"))
        assert (reached["state"], reached["etag"]) == ("Active", emulator.etag(NAME))
        assert reached["reached_at"].endswith("+00:00")

    def test_one_of_several_states_is_enough(self, run):
        assert run.execute(state_sensor(["Suspended", "Active"]))["state"] == "Active"

    def test_a_failed_service_needs_no_trigger(self, run, emulator):
        emulator.force(NAME, "SuspendedFailed")
        with pytest.raises(WaitFailedError, match="went to SuspendedFailed") as caught:
            run.execute(state_sensor())
        assert caught.value.advice == "stop"
        assert run.xcom("wait", "failure") == str(caught.value)

    def test_a_passing_error_is_left_to_the_trigger(self, run, emulator):
        emulator.fault("status", "get_cloud_service")
        deferral(state_sensor("Active"), run)

    def test_a_service_that_does_not_exist_ends_it_at_once(self, run):
        with pytest.raises(WaitFailedError, match="holds no BizTalk service nothing"):
            run.execute(state_sensor(service=f"{CLOUD_SERVICE}/nothing"))

    def test_a_missing_connection_ends_it_with_its_name(self, run):
        with pytest.raises(Exception, match="no_such_connection"):
            run.execute(state_sensor(conn_id="no_such_connection"))

    def test_a_deadline_that_has_passed_ends_it_after_one_poll(self, run):
        with pytest.raises(WaitFailedError, match=r"Timed out waiting for service .* to be Suspended \(deadline "):
            run.execute(state_sensor(deadline_minutes=0))
        assert run.execute(state_sensor("Active", deadline_minutes="0"))["state"] == "Active"

    def test_a_return_to_the_worker_fails(self, run):
        with pytest.raises(WaitFailedError, match="instead of ending in the triggerer"):
            state_sensor().execute_complete(run.context("wait"), {"state": "Active"})


class TestFirstPoll:
    """A wait for what was requested just now goes to the triggerer at once; whether the worker polled shows in it."""

    @pytest.fixture
    def suspended(self, emulator) -> str:
        operation_id = suspend(emulator)
        emulator.reaches(NAME, "Suspended")
        return operation_id

    def test_in_the_first_try_there_is_none(self, suspended, run, requests):
        deferral(state_sensor(operation_id=suspended), run)
        deferral(operation_sensor(suspended), run)
        deferral(deleted_sensor(suspended), run)
        assert requests("get_cloud_service") == []

    def test_a_later_try_may_find_it_done(self, suspended, run):
        context = run.context("wait")
        context["ti"].try_number = 2
        assert state_sensor(operation_id=suspended).execute(context)["state"] == "Suspended"
        assert operation_sensor(suspended).execute(context)["state"] == "Suspended"

    def test_so_may_one_that_waits_for_no_request(self, suspended, run):
        assert state_sensor().execute(run.context("wait"))["state"] == "Suspended"
        assert operation_sensor(None).execute(run.context("wait"))["state"] == "Suspended"

    def test_it_can_be_told(self, suspended, run):
        sensor = state_sensor(operation_id=suspended, polls_first=True)
        assert sensor.execute(run.context("wait"))["state"] == "Suspended"
        deferral(state_sensor(polls_first=False), run)


class TestDeferral:
    def test_the_timeout_is_a_little_after_the_deadline(self, run, clock):
        deferred = deferral(state_sensor(), run)
        assert deferred.timeout == timedelta(minutes=17)
        assert deferred.trigger.deadline == (clock.time + timedelta(minutes=15)).isoformat()

    def test_the_last_poll_ends_well_before_that(self):
        assert timedelta(seconds=3 * poll_loop.LEAST_POLL_SECONDS) < waiting.GRACE

    def test_a_retry_keeps_the_deadline(self, run, clock):
        first = deferral(state_sensor(), run)
        clock.forward(minutes=10)
        second = deferral(state_sensor(), run)
        assert (second.trigger.deadline, second.trigger.since) == (first.trigger.deadline, first.trigger.since)
        assert second.timeout == timedelta(minutes=7)
        clock.forward(minutes=6)
        assert first.trigger.deadline in failure(state_sensor(), run)

    def test_a_cleared_task_has_a_new_one(self, run, clock):
        first = deferral(state_sensor(), run, max_tries=5)
        clock.forward(minutes=10)
        second = deferral(state_sensor(), run, max_tries=11)
        assert second.trigger.deadline == (clock.time + timedelta(minutes=15)).isoformat()
        assert second.trigger.deadline > first.trigger.deadline
        assert second.timeout == timedelta(minutes=17)

    @pytest.mark.parametrize(
        "sensor", [state_sensor(operation_id="0" * 32), operation_sensor("0" * 32), operation_sensor(None)]
    )
    def test_another_triggerer_can_go_on_with_it(self, sensor, run, emulator):
        emulator.fault("stuck", "suspend", service=NAME, count=1)
        suspend(emulator)
        trigger = deferral(sensor, run).trigger
        path, arguments = trigger.serialize()
        assert path == "biztalk_services.provider.triggers.PollTrigger"
        again = moved(trigger)
        assert again.serialize() == (path, arguments)
        assert type(again) is type(trigger)

    def test_no_secret_is_in_it_nor_in_the_logs(self, run, emulator, secrets, capfd, caplog):
        caplog.set_level(logging.DEBUG)
        emulator.fault("stuck", "suspend", service=NAME, count=1)
        trigger = deferral(state_sensor(operation_id=suspend(emulator)), run).trigger
        wait, place = trigger.wait()
        wait.poll(place)
        printed = capfd.readouterr()
        text = json.dumps(trigger.serialize()) + repr(trigger) + str(vars(trigger)) + caplog.text + str(printed)
        assert SERVICE in text
        assert [secret for secret in secrets if secret in text] == []


class TestInTheTriggerer:
    def test_it_ends_the_task_when_the_state_is_reached(self, run, emulator):
        emulator.fault("stuck", "suspend", service=NAME, count=1)
        operation_id = suspend(emulator)
        trigger = deferral(state_sensor(operation_id=operation_id), run).trigger
        emulator.admin("POST", f"/operations/{operation_id}/release")
        (event,) = events_of(moved(trigger))
        assert isinstance(event, TaskSuccessEvent)
        assert event.xcoms["return_value"]["state"] == "Suspended"

    def test_it_ends_the_task_when_the_operation_has_succeeded(self, run, emulator):
        operation_id = suspend(emulator)
        reached = run.execute(operation_sensor(operation_id))
        assert reached["state"] == "Suspended"
        assert reached["etag"] == emulator.etag(NAME)

    def test_an_operation_without_id_is_what_the_service_reports(self, run, emulator):
        suspend(emulator)
        reached = run.execute(operation_sensor(None))
        assert reached["state"] == "Suspended"

    @pytest.mark.usefixtures("fast_clock")
    def test_an_operation_of_others_is_not_the_one(self, run, emulator, clock):
        emulator.reaches(NAME, "Active")
        emulator.operation(emulator.act(NAME, "restart"))
        assert "Timed out waiting for" in failure(operation_sensor(None), run)

    @pytest.mark.parametrize("by_id", [True, False])
    def test_a_failed_operation_ends_it_with_its_message(self, by_id, run, emulator):
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

    def test_a_failed_operation_that_leaves_the_state_unchanged(self, run, emulator, clock, blobs):
        emulator.force(NAME, "Suspended")
        emulator.fault("operation-fails", "backup", service=NAME, count=1, message="No room.")
        store = StorageAccount(blobs).connection_string()
        operation_id = emulator.back_up(NAME, f"half-{uuid4().hex[:8]}", store).headers["x-ms-request-id"]
        assert "No room." in failure(state_sensor("Active", operation_id=operation_id), run)

    @pytest.mark.usefixtures("fast_clock")
    def test_a_stuck_operation_ends_at_the_deadline(self, run, emulator, clock):
        emulator.fault("stuck", "suspend", service=NAME, count=1)
        operation_id, start = suspend(emulator), clock.time
        sentence = failure(operation_sensor(operation_id), run)
        assert "Timed out waiting for" in sentence
        assert operation_id in sentence
        assert clock.time - start == timedelta(minutes=5)
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

    def test_for_a_forgotten_operation_the_state_counts(self, run, emulator):
        emulator.fault("operation-forgotten", "suspend", service=NAME, count=1)
        reached = run.execute(operation_sensor(suspend(emulator)))
        assert reached["state"] == "Suspended"

    def test_an_operation_that_is_not_known_at_first(self, run, emulator):
        operation_id = suspend(emulator)
        absent = {"status": 404, "code": "ResourceNotFound", "message": "No."}
        emulator.fault("status", "poll", count=4, **absent)
        emulator.fault("status", "get_cloud_service", count=1, **absent)
        reached = run.execute(operation_sensor(operation_id))
        assert reached["state"] == "Suspended"

    def test_an_undocumented_state_does_not_end_it(self, run, emulator):
        operation_id = suspend(emulator)
        emulator.fault("unknown-state", "get_cloud_service", count=2)
        assert run.execute(state_sensor(operation_id=operation_id))["state"] == "Suspended"

    @pytest.mark.usefixtures("fast_clock")
    def test_an_undocumented_state_ends_it_at_the_deadline(self, run, emulator):
        emulator.fault("unknown-state", "get_cloud_service")
        assert "Timed out waiting for" in failure(state_sensor("Active", deadline_minutes=2), run)

    def test_a_forgotten_operation_that_failed_is_a_failure(self, run, emulator):
        emulator.fault("operation-forgotten", "suspend", service=NAME, count=1)
        operation_id = suspend(emulator)
        emulator.force(NAME, "SuspendedFailed")
        assert "failed" in failure(operation_sensor(operation_id), run)

    @pytest.mark.usefixtures("fast_clock")
    def test_an_unknown_operation_does_not_end_the_wait_for_a_state(self, run, emulator, clock):
        emulator.fault("stuck", "suspend", service=NAME, count=1)
        suspend(emulator)
        sentence = failure(state_sensor(operation_id="f" * 32, deadline_minutes=2), run)
        assert "Timed out waiting for" in sentence

    @pytest.mark.usefixtures("fast_clock")
    def test_it_only_reads(self, run, emulator, before):
        emulator.fault("stuck", "suspend", service=NAME, count=1)
        suspend(emulator)
        trigger = deferral(state_sensor(deadline_minutes=1), run).trigger
        for _ in range(2):
            events_of(moved(trigger))
        methods = {entry["method"] for entry in emulator.journal(after=before, kind="request")[1:]}
        assert methods == {"GET"}


class ScriptedWait(Wait):
    """A wait whose polls are given: an error is raised, anything else returned; the last one is repeated."""

    def __init__(self, *polls) -> None:
        self.polls = list(polls)

    def description(self) -> str:
        return "the script"

    def poll(self, place):
        poll = self.polls.pop(0) if len(self.polls) > 1 else self.polls[0]
        if isinstance(poll, Exception):
            raise poll
        return poll


class Scripted(BoundedTrigger):
    def __init__(self, clock, *polls, minutes: float = 60, tolerance_seconds: float = 300) -> None:
        super().__init__(
            deadline=(clock.time + timedelta(minutes=minutes)).isoformat(),
            since=clock.time.isoformat(),
            tolerance_seconds=tolerance_seconds,
        )
        self.script = ScriptedWait(*polls)

    def wait(self, *, shared=False):
        return self.script, Place(SERVICE, driver=pytest.fail, archive=pytest.fail, log=self.log)


def error(advice: str = "retry", **facts) -> BackupServiceError:
    return BackupServiceError("There is trouble.", advice=advice, **facts)


@pytest.mark.usefixtures("fast_clock")
class TestTolerance:
    @pytest.fixture
    def end(self, clock) -> Callable[..., TaskSuccessEvent | TaskFailedEvent]:
        def run(*polls, **options):
            (event,) = events_of(Scripted(clock, *polls, **options))
            return event

        return run

    def test_errors_in_a_row_are_tolerated_for_so_long(self, end, clock):
        start = clock.time
        event = end(error(), tolerance_seconds=60)
        assert isinstance(event, TaskFailedEvent)
        assert event.xcoms["failure"] == (
            "Gave up waiting for the script: polls failed for too long. The last error: There is trouble."
        )
        assert timedelta(seconds=60) <= clock.time - start < timedelta(seconds=75)

    @pytest.mark.parametrize("advice", ["retry", "check"])
    def test_a_success_in_between_restores_it(self, end, advice):
        polls = [error(advice), error(advice), None] * 40
        event = end(*polls, Succeeded({"state": "Active"}), tolerance_seconds=90)
        assert event.xcoms == {"return_value": {"state": "Active"}}

    def test_a_final_error_ends_it_at_once(self, end, clock):
        event = end(error("stop"))
        assert event.xcoms == {"failure": "There is trouble."}
        assert len(clock.slept) == 1

    def test_no_tolerance_at_all(self, end, clock):
        assert isinstance(end(error(), tolerance_seconds=0), TaskFailedEvent)
        assert len(clock.slept) == 1

    def test_retry_after_is_kept_to(self, end, clock):
        end(error(retry_after=42), None, minutes=2)
        assert clock.slept[:2] == [0.5, 42]
        assert clock.slept[2] < 30

    def test_the_deadline_comes_before_tolerance_and_retry_after(self, end, clock):
        start = clock.time
        event = end(None, error(retry_after=200), None, minutes=1)
        assert "Timed out waiting for" in event.xcoms["failure"]
        assert clock.time - start == timedelta(minutes=1)

    def test_an_error_at_the_deadline_is_reported(self, end, clock):
        start = clock.time
        event = end(None, error(), minutes=1)
        assert event.xcoms["failure"] == (
            "Gave up waiting for the script: polls failed for too long. The last error: There is trouble."
        )
        assert clock.time - start == timedelta(minutes=1)

    @pytest.mark.parametrize("minutes", [10, -10])
    def test_a_machine_with_a_clock_off_by_ten_minutes_goes_on(self, clock, minutes):
        """The wait was started on another machine: by this clock, ten minutes later or earlier."""
        trigger = Scripted(clock, None, None, Succeeded({"state": "Active"}), minutes=15)
        clock.forward(minutes=minutes)
        (event,) = events_of(trigger)
        assert event.xcoms == {"return_value": {"state": "Active"}}
        assert max(clock.slept) <= 60

    def test_a_bug_does_not_end_it(self, clock):
        with pytest.raises(ZeroDivisionError):
            events_of(Scripted(clock, ZeroDivisionError()))

    def test_a_deadline_in_the_past_still_gets_one_poll(self, end, clock):
        assert end(Succeeded({}), minutes=-5).xcoms == {"return_value": {}}
        assert isinstance(end(None, minutes=-5), TaskFailedEvent)
        assert clock.slept == []


@pytest.mark.parametrize("kind", ["reset-before", "malformed-xml", "html", "status", "truncated"])
def test_a_short_disturbance_does_not_end_a_wait(kind, run, emulator, clock):
    operation_id = suspend(emulator)
    emulator.fault(kind, "get_cloud_service", count=4)
    assert run.execute(state_sensor(operation_id=operation_id))["state"] == "Suspended"


@pytest.mark.usefixtures("fast_clock")
def test_an_unreachable_service_ends_a_wait_after_the_tolerance(run, emulator, connect, clock):
    connect("biztalk_default", management(emulator) | {"port": free_port()})
    start = clock.time
    sentence = failure(state_sensor(error_tolerance_seconds=30), run)
    assert "polls failed for too long" in sentence
    assert "Could not connect" in sentence
    assert timedelta(seconds=30) <= clock.time - start < timedelta(seconds=60)


def test_a_certificate_that_is_refused_ends_a_wait_at_once(run, emulator, connect, clock):
    stranger = identity("stranger")
    mine = management(emulator)
    extra = mine["extra"] | {"certificate": stranger.certificate_pem}
    connect("biztalk_default", mine | {"password": stranger.key_pem, "extra": extra})
    assert "management certificate" in failure(state_sensor(), run)
    assert clock.slept == []


@pytest.mark.parametrize("kind", [PollTrigger, SlotTrigger])
def test_every_argument_of_a_trigger_is_serialized(kind):
    accepted = {
        parameter.name
        for owner in kind.__mro__
        if "__init__" in vars(owner) and issubclass(owner, BoundedTrigger)
        for parameter in inspect.signature(owner.__init__).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    assert accepted == {"deadline", "since", "tolerance_seconds", *kind.arguments}


@pytest.mark.parametrize("kind", WAITS.values(), ids=WAITS)
def test_a_trigger_survives_serialization_with_every_wait(kind):
    values = {each.name: ["Suspended"] if each.name == "expected" else f"a {each.name}" for each in fields(kind)}
    wait = kind(**values | {"service": SERVICE})
    bounds = {"since": "2026-01-01T02:00:00+00:00", "deadline": "2026-01-01T03:00:00+00:00", "tolerance_seconds": 60}
    trigger = PollTrigger.of(wait, conn_id="biztalk_default", archive="storage/archive", **bounds)
    again = moved(trigger)
    assert again.serialize() == trigger.serialize()
    continued, place = again.wait()
    assert (type(continued), continued) == (kind, wait)
    assert str(place.ref) == SERVICE
    assert again.serialize()[1].items() >= bounds.items()


@pytest.mark.parametrize("refused", ["soft_fail", "mode", "timeout", "poke_interval", "never_fail", "silent_fail"])
def test_a_sensor_refuses_what_it_would_not_honour(refused):
    sensors = {
        ServiceStateSensor: {},
        OperationSensor: {"operation_id": None, "operation_type": "Backup"},
        ServiceDeletedSensor: {"operation_id": None},
        DrainSensor: {},
        SlotSensor: {"max_parallel": 1, "longest_suspension_minutes": 60},
    }
    for sensor, arguments in sensors.items():
        with pytest.raises(ValueError, match=f"{sensor.__name__} does not take {refused}: .*deadline_minutes"):
            sensor(task_id="wait", service=SERVICE, deadline_minutes=1, **arguments, **{refused: 1})


def test_a_sensor_is_never_skipped():
    sensor = state_sensor()
    assert (sensor.soft_fail, sensor.never_fail, sensor.silent_fail) == (False, False, False)


@pytest.mark.parametrize(
    "wrong", [{"deadline_minutes": -1}, {"error_tolerance_seconds": -1}], ids=lambda wrong: next(iter(wrong))
)
def test_a_negative_time_is_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} is -1"):
        state_sensor(**wrong)


@pytest.mark.parametrize("wrong", ["max_parallel", "longest_suspension_minutes"])
def test_a_slot_sensor_refuses_to_let_no_service_in(wrong):
    arguments = {"max_parallel": 1, "longest_suspension_minutes": 1} | {wrong: 0}
    with pytest.raises(ValueError, match=f"{wrong} is 0"):
        SlotSensor(task_id="wait", service=SERVICE, deadline_minutes=1, **arguments)


def test_an_unknown_policy_is_refused():
    with pytest.raises(ValueError, match="unknown_batches_policy is 'foo'; it is one of refuse, proceed"):
        DrainSensor(task_id="wait", service=SERVICE, unknown_batches_policy="foo", deadline_minutes=1)


def test_an_unknown_policy_of_a_template_is_refused_when_it_runs(run):
    sensor = DrainSensor(task_id="wait", service=SERVICE, unknown_batches_policy="{{ foo }}", deadline_minutes=1)
    sensor.unknown_batches_policy = "foo"
    with pytest.raises(ValueError, match="unknown_batches_policy is 'foo'"):
        run.execute(sensor)
