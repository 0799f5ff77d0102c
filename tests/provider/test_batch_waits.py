"""Batches: the wait until they are empty, and the check after the suspension, on real tracking databases."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferred
from airflow.triggers.base import TaskFailedEvent
from biztalk_services.drivers.biztalk.driver import BizTalkDriver
from biztalk_services.drivers.biztalk.tracking.queries import DEFAULT_DRAIN_QUERY
from biztalk_services.flows.waits import DrainWait
from biztalk_services.model.drain import DrainStatus, DrainUnknownError
from biztalk_services.model.requests import FAIL, PROCEED, RECORD, REFUSE
from biztalk_services.provider.hook import driver_for
from biztalk_services.provider.operators.backup import BatchesRefilledError, RecheckBatchesOperator
from biztalk_services.provider.sensors import DrainSensor
from biztalk_services.provider.waiting import WaitFailedError

from tests.provider.connections import NAME, SERVICE, TRACKING
from tests.provider.fakes import EndedInTrigger, Run, events_of, moved

UNKNOWN = f"It is unknown whether batches of service {SERVICE} hold messages"

pytestmark = pytest.mark.usefixtures("connections", "fast_clock")


def drain(**options) -> DrainSensor:
    return DrainSensor(
        **{
            "task_id": "drain",
            "service": SERVICE,
            "deadline_minutes": 5,
            "error_tolerance_seconds": 60,
        }
        | options
    )


Configure = Callable[..., None]


@pytest.fixture
def configure(monkeypatch) -> Configure:
    """Sets options of the configuration."""

    def configure(**options: str) -> None:
        for name, value in options.items():
            monkeypatch.setenv(f"AIRFLOW__BIZTALK_SERVICES__{name.upper()}", value)

    return configure


@pytest.fixture
def batch(emulator):
    """A batch that holds messages until the test is over."""
    batches = emulator.admin("GET", f"/services/{NAME}")["batches"]
    held = next(each for each in batches if each["BatchName"])
    place = {"agreement": held["AgreementName"], "batch": held["BatchName"]}
    emulator.admin("POST", f"/services/{NAME}/messages", {"agreement": place["agreement"], "messages": 3})
    yield place
    waiting = emulator.admin("GET", f"/services/{NAME}")["waiting_messages"]
    if waiting:
        emulator.admin("POST", f"/services/{NAME}/batches/release", place)


def deferral(sensor, run) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute(run.context("drain"))
    return caught.value


def failure(sensor, run) -> str:
    with pytest.raises((EndedInTrigger, WaitFailedError)) as caught:
        run.execute(sensor)
    return str(caught.value)


class TestDrain:
    def test_empty_batches_need_no_trigger(self, run):
        status = run.execute(drain())
        assert status["answer"] == "empty"
        assert TRACKING in status["source"]

    def test_messages_are_waited_for_until_they_are_released(self, run, emulator, batch):
        trigger = moved(deferral(drain(), run).trigger)
        emulator.admin("POST", f"/services/{NAME}/batches/release", batch)
        (event,) = events_of(trigger)
        assert event.xcoms["return_value"]["answer"] == "empty"

    def test_what_still_holds_messages_at_the_deadline_is_named(self, run, emulator, batch, requests):
        sentence = failure(drain(), run)
        assert f"{batch['agreement']}/{batch['batch']} (3 messages" in sentence
        assert "Nothing was suspended" in sentence
        assert sentence in json.loads(run.xcom("drain", "failure"))
        assert requests("suspend") == []

    def test_no_time_to_wait(self, run, batch):
        assert batch["batch"] in failure(drain(deadline_minutes="0"), run)

    @pytest.mark.parametrize("confirmed", [True, "True", "true"])
    def test_messages_outweigh_a_confirmation(self, confirmed, batch):
        run = Run(triggering_user_name="ada")
        assert batch["batch"] in failure(drain(batches_are_empty=confirmed, unknown_batches_policy=PROCEED), run)

    @pytest.mark.parametrize("query", ["", DEFAULT_DRAIN_QUERY])
    def test_an_empty_query_is_the_default_one(self, query, run, batch, configure):
        configure(drain_query=query)
        trigger = deferral(drain(), run).trigger
        assert [each["batch"] for each in trigger.values["active"]["batches"]] == [batch["batch"]]
        assert moved(trigger).serialize() == trigger.serialize()

    def test_another_query_gets_the_service(self, run, configure):
        configure(drain_query="SELECT :service AS agreement, 'b' AS batch, 2 AS messages, NULL AS oldest")
        assert f"{NAME}/b (2 messages)" in failure(drain(deadline_minutes=1), run)


MISSING = "no_such_connection"
NO_CONNECTION = {"tracking_conn_id": MISSING}
WRONG = {"drain_query": "SELECT nonsense FROM nowhere"}


class TestUnknown:
    def test_no_connection_is_final_and_refused(self, run, clock, configure):
        configure(**NO_CONNECTION)
        sentence = failure(drain(), run)
        assert f"There is no connection {MISSING}" in sentence
        assert "Nothing was suspended" in sentence
        assert clock.slept == []

    @pytest.mark.parametrize(
        "query",
        [
            WRONG["drain_query"],
            "SELECT 1 AS one",
            "SELECT 1 AS agreement, 2 AS batch, 'x' AS messages, 3 AS oldest",
        ],
    )
    def test_a_wrong_query_is_refused_after_the_tolerance(self, query, run, clock, configure):
        configure(drain_query=query)
        sentence = failure(drain(), run)
        assert UNKNOWN in sentence
        assert 60 <= sum(clock.slept) < 90

    def test_a_database_that_is_down_is_refused_after_the_tolerance(self, run, clock, connect, tmp_path):
        connect(TRACKING, {"conn_type": "sqlite", "host": str(tmp_path / "no/such.db"), "extra": {"mode": "ro"}})
        sentence = failure(drain(), run)
        assert "cannot be queried" in sentence
        assert 60 <= sum(clock.slept) < 90

    def test_a_database_that_comes_back_is_waited_for(self, run, clock, connect, emulator, tmp_path):
        connect(TRACKING, {"conn_type": "sqlite", "host": str(tmp_path / "no/such.db"), "extra": {"mode": "ro"}})
        trigger = deferral(drain(), run).trigger
        tracking = emulator.admin("GET", f"/services/{NAME}")["tracking_database"]
        connect(TRACKING, {"conn_type": "sqlite", "host": tracking, "extra": {"mode": "ro"}})
        (event,) = events_of(trigger)
        assert event.xcoms["return_value"]["answer"] == "empty"

    @pytest.mark.parametrize("options", [NO_CONNECTION, WRONG])
    def test_proceed_records_that_the_status_is_unknown(self, options, run, configure):
        configure(**options)
        status = DrainStatus.from_dict(run.execute(drain(unknown_batches_policy=PROCEED)))
        assert (status.answer, status.source) == ("unknown", "no source")
        assert status.reason

    @pytest.mark.parametrize("options", [NO_CONNECTION, WRONG])
    @pytest.mark.parametrize("policy", [REFUSE, PROCEED])
    def test_a_confirmation_counts_with_the_name(self, options, policy, configure):
        configure(**options)
        run = Run(triggering_user_name="ada")
        sensor = drain(unknown_batches_policy=policy, batches_are_empty="True")
        status = DrainStatus.from_dict(run.execute(sensor))
        assert (status.answer, status.source) == ("empty", "confirmation of ada for this run")
        assert status.reason

    def test_a_confirmation_without_a_name(self, run, configure):
        configure(**NO_CONNECTION)
        status = run.execute(drain(batches_are_empty=True))
        assert status["source"] == "confirmation of an unnamed user for this run"

    @pytest.mark.parametrize("confirmed", [False, "False", "", "no"])
    def test_no_confirmation_does_not_count(self, confirmed, configure):
        configure(**NO_CONNECTION)
        run = Run(triggering_user_name="ada")
        assert UNKNOWN in failure(drain(batches_are_empty=confirmed), run)

    def test_the_database_counts_rather_than_the_confirmation(self):
        run = Run(triggering_user_name="ada")
        assert TRACKING in run.execute(drain(batches_are_empty=True))["source"]

    def test_a_deadline_before_the_tolerance_ends(self, run, clock, configure):
        configure(**WRONG)
        trigger = deferral(drain(deadline_minutes=0.5), run).trigger
        (event,) = events_of(trigger)
        assert isinstance(event, TaskFailedEvent)
        assert UNKNOWN in event.xcoms["failure"]
        assert sum(clock.slept) == pytest.approx(30)

    @pytest.mark.parametrize("minutes", [0, 0.5])
    def test_confirmation_and_policy_count_at_an_early_deadline(self, minutes, configure):
        configure(**WRONG)
        run = Run(triggering_user_name="ada")
        confirmed = run.execute(drain(deadline_minutes=minutes, batches_are_empty=True))
        assert (confirmed["answer"], confirmed["source"]) == ("empty", "confirmation of ada for this run")
        accepted = run.execute(drain(deadline_minutes=minutes, unknown_batches_policy=PROCEED))
        assert (accepted["answer"], accepted["source"]) == ("unknown", "no source")

    def test_no_time_to_wait_and_no_status(self, run, configure):
        configure(**WRONG)
        assert UNKNOWN in failure(drain(deadline_minutes=0), run)


class TestUnknownAfterMessages:
    """A database that showed messages and then does not respond any more."""

    @pytest.fixture(params=[{"batches_are_empty": True}, {"unknown_batches_policy": PROCEED}, {}], ids=str)
    def options(self, request):
        return request.param

    @pytest.fixture(params=["down", "missing"])
    def disconnect(self, request, connect, tmp_path):
        down = {"conn_type": "sqlite", "host": str(tmp_path / "no/such.db"), "extra": {"mode": "ro"}}
        return lambda: connect(TRACKING, down if request.param == "down" else None)

    @staticmethod
    def check(event, batch) -> None:
        assert isinstance(event, TaskFailedEvent)
        sentence = event.xcoms["failure"]
        assert f"{batch['agreement']}/{batch['batch']} (3 messages" in sentence
        assert re.search(r"held 3 messages at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", sentence)
        assert "Nothing was suspended" in sentence

    def test_seen_by_the_worker(self, options, disconnect, batch):
        trigger = deferral(drain(**options), Run(triggering_user_name="ada")).trigger
        disconnect()
        (event,) = events_of(moved(trigger))
        self.check(event, batch)

    def test_seen_by_the_triggerer_only(self, options, disconnect, run, batch, connect, emulator, monkeypatch):
        trigger = moved(deferral(drain(**options), run).trigger)
        trigger.values["active"] = None
        poll, steps = DrainWait.poll, iter([None, disconnect])

        def poll_and_disconnect(wait, place):
            if step := next(steps, None):
                step()
            return poll(wait, place)

        monkeypatch.setattr(DrainWait, "poll", poll_and_disconnect)
        (event,) = events_of(trigger)
        self.check(event, batch)


def test_no_password_of_a_database_is_in_an_error(connect, configure, caplog):
    configure(drain_query="SELECT 1")
    connect(TRACKING, {"conn_type": "sqlite", "host": "/no/where.db", "login": "sa", "password": "canary-password"})
    with pytest.raises(DrainUnknownError) as caught:
        driver_for("biztalk_default").drain_status(NAME)
    everything = str(caught.value) + repr(caught.value.__dict__) + caplog.text
    assert "canary" not in everything
    assert caught.value.__suppress_context__


def test_a_connection_of_an_unknown_type_is_unknown_too(connect):
    connect(TRACKING, {"conn_type": "no-such-type", "host": "x"})
    with pytest.raises(DrainUnknownError):
        driver_for("biztalk_default").drain_status(NAME)


class TestRecheck:
    @staticmethod
    def recheck(**options) -> RecheckBatchesOperator:
        return RecheckBatchesOperator(task_id="recheck", service=SERVICE, **options)

    def test_still_empty(self, run):
        assert run.execute(self.recheck())["answer"] == "empty"

    def test_a_refilled_batch_is_recorded(self, run, batch):
        status = run.execute(self.recheck(refilled_batches_policy=RECORD))
        assert status["answer"] == "active"
        assert [each["batch"] for each in status["batches"]] == [batch["batch"]]

    def test_a_refilled_batch_fails_the_backup(self, run, batch):
        task = self.recheck(refilled_batches_policy=FAIL)
        with pytest.raises(BatchesRefilledError, match="not valid") as caught:
            run.execute(task)
        assert batch["batch"] in str(caught.value)
        assert task.retry_policy.evaluate(caught.value, 1, 5).action.value == "fail"

    @pytest.mark.parametrize("policy", [RECORD, FAIL])
    def test_an_unknown_status_is_recorded(self, policy, run, configure):
        configure(**NO_CONNECTION)
        status = run.execute(self.recheck(refilled_batches_policy=policy))
        assert status["answer"] == "unknown"
        assert MISSING in status["reason"]

    def test_a_source_that_hangs_makes_the_status_unknown(self, run, monkeypatch):
        def hang(driver, name):
            raise AirflowTaskTimeout

        monkeypatch.setattr(BizTalkDriver, "drain_status", hang)
        status = run.execute(self.recheck(execution_timeout=timedelta(minutes=1)))
        assert (status["answer"], status["batches"]) == ("unknown", [])
        assert status["reason"] == "The source did not respond within 0:01:00"
