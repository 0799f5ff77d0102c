"""Batches: the wait until they are empty, and the second look, on real tracking databases."""

from __future__ import annotations

import json
import re

import pytest
from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import TaskFailedEvent
from biztalk_services.drivers.biztalk.tracking import DEFAULT_DRAIN_QUERY
from biztalk_services.hooks.tracking import read_batches
from biztalk_services.model.drain import DrainStatus, DrainUnknownError
from biztalk_services.model.requests import FAIL, PROCEED, RECORD, REFUSE
from biztalk_services.provider.operators.backup import BatchesRefilledError, RecheckBatchesOperator
from biztalk_services.provider.sensors import DrainSensor
from biztalk_services.provider.waiting import WaitFailedError

from tests.provider.connections import NAME, SERVICE, TRACKING
from tests.provider.fakes import EndedInTrigger, Run, events_of, moved

pytestmark = pytest.mark.usefixtures("connections", "hurried")


def drain(**options) -> DrainSensor:
    return DrainSensor(
        **{
            "task_id": "drain",
            "service": SERVICE,
            "tracking_conn_id": TRACKING,
            "deadline_minutes": 5,
            "patience_seconds": 60,
        }
        | options
    )


@pytest.fixture
def batch(emulator):
    """A batch that holds messages until the test is over."""
    found = emulator.admin("GET", f"/services/{NAME}")["batches"]
    held = next(each for each in found if each["BatchName"])
    place = {"agreement": held["AgreementName"], "batch": held["BatchName"]}
    emulator.admin("POST", f"/services/{NAME}/messages", {"agreement": place["agreement"], "messages": 3})
    yield place
    with_messages = emulator.admin("GET", f"/services/{NAME}")["waiting_messages"]
    if with_messages:
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
        found = run.execute(drain())
        assert found["answer"] == "empty"
        assert TRACKING in found["source"]

    def test_messages_are_waited_for_until_they_are_gone(self, run, emulator, batch):
        trigger = moved(deferral(drain(), run).trigger)
        emulator.admin("POST", f"/services/{NAME}/batches/release", batch)
        (event,) = events_of(trigger)
        assert event.xcoms["return_value"]["answer"] == "empty"

    def test_what_still_holds_messages_at_the_deadline_is_named(self, run, emulator, batch, asked):
        sentence = failure(drain(), run)
        assert f"{batch['agreement']}/{batch['batch']} (3 messages" in sentence
        assert "Nothing was suspended" in sentence
        assert sentence in json.loads(run.xcom("drain", "failure"))
        assert asked("suspend") == []

    def test_no_time_to_wait(self, run, batch):
        assert batch["batch"] in failure(drain(deadline_minutes="0"), run)

    @pytest.mark.parametrize("said", [True, "True", "true"])
    def test_messages_that_are_seen_outweigh_a_persons_word(self, said, batch):
        run = Run(triggering_user_name="ada")
        assert batch["batch"] in failure(drain(batches_are_empty=said, when_unknown=PROCEED), run)

    def test_the_default_query_and_an_empty_one_are_the_same(self, run, batch):
        trigger = deferral(drain(query=""), run).trigger
        assert trigger.serialize()[1]["query"] == DEFAULT_DRAIN_QUERY
        assert moved(trigger).serialize() == trigger.serialize()

    def test_a_query_of_ones_own_gets_the_service(self, run):
        query = "SELECT :service AS agreement, 'b' AS batch, 2 AS messages, NULL AS oldest"
        assert f"{NAME}/b (2 messages)" in failure(drain(query=query, deadline_minutes=1), run)


GONE = "no_such_connection"
WRONG = {"query": "SELECT nonsense FROM nowhere"}


class TestUnknown:
    def test_no_connection_is_final_and_refused(self, run, clock):
        sentence = failure(drain(tracking_conn_id=GONE), run)
        assert f"There is no connection {GONE}" in sentence
        assert "Nothing was suspended" in sentence
        assert clock.slept == []

    @pytest.mark.parametrize(
        "query",
        [
            WRONG["query"],
            "SELECT 1 AS one",
            "SELECT 1 AS agreement, 2 AS batch, 'x' AS messages, 3 AS oldest",
            "DELETE FROM batch_events",
        ],
    )
    def test_a_wrong_query_is_refused_when_patience_ends(self, query, run, clock):
        sentence = failure(drain(query=query), run)
        assert "Nobody can say" in sentence
        assert 60 <= sum(clock.slept) < 90

    def test_a_database_that_is_down_is_refused_when_patience_ends(self, run, clock, connect, tmp_path):
        connect(TRACKING, {"conn_type": "sqlite", "host": str(tmp_path / "no/such.db"), "extra": {"mode": "ro"}})
        sentence = failure(drain(), run)
        assert "cannot be asked" in sentence
        assert 60 <= sum(clock.slept) < 90

    def test_a_database_that_comes_back_is_waited_for(self, run, clock, connect, emulator, tmp_path):
        connect(TRACKING, {"conn_type": "sqlite", "host": str(tmp_path / "no/such.db"), "extra": {"mode": "ro"}})
        trigger = deferral(drain(), run).trigger
        tracking = emulator.admin("GET", f"/services/{NAME}")["tracking_database"]
        connect(TRACKING, {"conn_type": "sqlite", "host": tracking, "extra": {"mode": "ro"}})
        (event,) = events_of(trigger)
        assert event.xcoms["return_value"]["answer"] == "empty"

    @pytest.mark.parametrize("options", [{"tracking_conn_id": GONE}, WRONG])
    def test_proceed_records_that_nobody_knows(self, options, run):
        found = DrainStatus.from_dict(run.execute(drain(when_unknown=PROCEED, **options)))
        assert (found.answer, found.source) == ("unknown", "nobody")
        assert found.reason

    @pytest.mark.parametrize("options", [{"tracking_conn_id": GONE}, WRONG])
    @pytest.mark.parametrize("policy", [REFUSE, PROCEED])
    def test_a_persons_word_counts_with_the_name(self, options, policy):
        run = Run(triggering_user_name="ada")
        found = DrainStatus.from_dict(run.execute(drain(when_unknown=policy, batches_are_empty="True", **options)))
        assert (found.answer, found.source) == ("empty", "the word of ada for this run")
        assert found.reason

    def test_a_word_without_a_name(self, run):
        found = run.execute(drain(tracking_conn_id=GONE, batches_are_empty=True))
        assert found["source"] == "the word of somebody for this run"

    @pytest.mark.parametrize("said", [False, "False", "", "no"])
    def test_no_word_is_no_word(self, said):
        run = Run(triggering_user_name="ada")
        assert "Nobody can say" in failure(drain(tracking_conn_id=GONE, batches_are_empty=said), run)

    def test_the_database_is_believed_rather_than_the_word(self):
        run = Run(triggering_user_name="ada")
        assert TRACKING in run.execute(drain(batches_are_empty=True))["source"]

    def test_a_deadline_before_patience_ends_says_that_nobody_answered(self, run, clock):
        trigger = deferral(drain(deadline_minutes=0.5, **WRONG), run).trigger
        (event,) = events_of(trigger)
        assert isinstance(event, TaskFailedEvent)
        assert "Nobody can say" in event.xcoms["failure"]
        assert sum(clock.slept) <= 30

    @pytest.mark.parametrize("minutes", [0, 0.5])
    def test_word_and_policy_count_when_the_deadline_comes_before_patience_ends(self, minutes):
        run = Run(triggering_user_name="ada")
        said = run.execute(drain(deadline_minutes=minutes, batches_are_empty=True, **WRONG))
        assert (said["answer"], said["source"]) == ("empty", "the word of ada for this run")
        accepted = run.execute(drain(deadline_minutes=minutes, when_unknown=PROCEED, **WRONG))
        assert (accepted["answer"], accepted["source"]) == ("unknown", "nobody")

    def test_no_time_to_wait_and_no_answer(self, run):
        assert "Nobody can say" in failure(drain(deadline_minutes=0, **WRONG), run)


class TestSilenceAfterMessages:
    """A database that showed messages and then has no answer any more."""

    @pytest.fixture(params=[{"batches_are_empty": True}, {"when_unknown": PROCEED}, {}], ids=str)
    def options(self, request):
        return request.param

    @pytest.fixture(params=["down", "gone"])
    def silence(self, request, connect, tmp_path):
        down = {"conn_type": "sqlite", "host": str(tmp_path / "no/such.db"), "extra": {"mode": "ro"}}
        return lambda: connect(TRACKING, down if request.param == "down" else None)

    @staticmethod
    def check(event, batch) -> None:
        assert isinstance(event, TaskFailedEvent)
        sentence = event.xcoms["failure"]
        assert f"{batch['agreement']}/{batch['batch']} (3 messages" in sentence
        assert re.search(r"held 3 messages at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", sentence)
        assert "Nothing was suspended" in sentence

    def test_seen_by_the_worker(self, options, silence, batch):
        trigger = deferral(drain(**options), Run(triggering_user_name="ada")).trigger
        silence()
        (event,) = events_of(moved(trigger))
        self.check(event, batch)

    def test_seen_by_the_triggerer_only(self, options, silence, run, batch, connect, emulator, monkeypatch):
        trigger = moved(deferral(drain(**options), run).trigger)
        trigger.seen = None
        look, looks = trigger.look, iter([None, silence])

        def looking():
            if then := next(looks, None):
                then()
            return look()

        monkeypatch.setattr(trigger, "look", looking)
        (event,) = events_of(trigger)
        self.check(event, batch)


def test_no_password_of_a_database_is_told(connect, caplog):
    connect(TRACKING, {"conn_type": "sqlite", "host": "/no/where.db", "login": "sa", "password": "canary-password"})
    with pytest.raises(DrainUnknownError) as caught:
        read_batches(TRACKING, "SELECT 1", NAME)
    told = str(caught.value) + repr(caught.value.__dict__) + caplog.text
    assert "canary" not in told
    assert caught.value.__suppress_context__


def test_a_connection_of_a_type_that_nobody_knows_is_unknown_too(connect):
    connect(TRACKING, {"conn_type": "no-such-type", "host": "x"})
    with pytest.raises(DrainUnknownError):
        read_batches(TRACKING, "SELECT 1", NAME)


class TestLookAgain:
    @staticmethod
    def look(**options) -> RecheckBatchesOperator:
        return RecheckBatchesOperator(
            **{"task_id": "look_again", "service": SERVICE, "tracking_conn_id": TRACKING} | options
        )

    def test_still_empty(self, run):
        assert run.execute(self.look())["answer"] == "empty"

    def test_a_message_that_slipped_in_is_recorded(self, run, batch):
        found = run.execute(self.look(when_slipped_in=RECORD))
        assert found["answer"] == "active"
        assert [each["batch"] for each in found["batches"]] == [batch["batch"]]

    def test_or_ends_the_backup(self, run, batch):
        task = self.look(when_slipped_in=FAIL)
        with pytest.raises(BatchesRefilledError, match="does not count") as caught:
            run.execute(task)
        assert batch["batch"] in str(caught.value)
        assert task.retry_policy.evaluate(caught.value, 1, 5).action.value == "fail"

    @pytest.mark.parametrize("policy", [RECORD, FAIL])
    def test_not_knowing_is_recorded(self, policy, run):
        found = run.execute(self.look(when_slipped_in=policy, tracking_conn_id=GONE))
        assert found["answer"] == "unknown"
        assert GONE in found["reason"]
