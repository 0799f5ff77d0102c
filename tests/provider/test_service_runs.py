"""The runs of single services: how a nightly run names, starts and follows them."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.configuration import conf
from biztalk_services.flows import night
from biztalk_services.model.options import BACKUP
from biztalk_services.model.steps import BackupJob
from biztalk_services.provider.night_trigger import ServiceRunsTrigger
from biztalk_services.provider.operators.night import BackUpServicesOperator, ServiceRunsFailedError
from biztalk_services.provider.service_runs import STEPS, ServiceRunError, service_run_id, step_states

from tests.provider.fakes import Died, Run, events_of, moved
from tests.provider.walk import load_dag

FORM = {
    "services": None,
    "run_for_another_moment": False,
    "label": "x",
    "kind": "manual",
    "start_before": None,
    "drain_deadline_minutes": 7,
    "batches_are_empty": True,
    "unknown_batches_policy": "proceed",
    "refilled_batches_policy": "fail",
}


def job(service: str = "west/orders", conn_id: str = "north") -> BackupJob:
    return BackupJob(conn_id, service, "orders-20260101-020000-abcdef")


def fleet(count: int) -> list[BackupJob]:
    return [job(f"west/orders{number:04}") for number in range(count)]


class TestId:
    @pytest.mark.parametrize("parent", ["manual__1", "scheduled__2026-11-28T02:00:00+00:00", "x" * 250, "y" * 233])
    @pytest.mark.parametrize(
        "service", ["w/o", "contoso-west-us/Contoso_EDI.1-a", "west./.orders..x", "_" * 63 + "a/-1"]
    )
    def test_airflow_takes_it(self, parent, service):
        """As its model of a run checks it."""
        run_id = service_run_id(parent, job(service))
        assert re.match(conf.get("scheduler", "allowed_run_id_pattern"), run_id)
        assert ".." not in run_id
        assert len(run_id) <= 250

    def test_it_names_the_run_and_the_service(self):
        assert re.fullmatch("manual__1__west.orders-[0-9a-f]{6}", service_run_id("manual__1", job()))

    def test_it_follows_from_them(self):
        again = BackupJob("north", "west/orders", "another-name", "A problem.")
        assert service_run_id("manual__1", job()) == service_run_id("manual__1", again)

    def test_it_is_one_of_its_own(self):
        long = "x" * 249
        others = [
            ("manual__1", job()),
            ("manual__1", job(conn_id="south")),
            ("manual__1", job("east/orders")),
            ("manual__1", job("west/order.s")),
            ("manual__2", job()),
            (f"{long}1", job()),
            (f"{long}2", job()),
            (long, job("a" * 64 + "/" + "b" * 64)),
            (long, job("c" + "a" * 63 + "/" + "b" * 64)),
        ]
        assert len({service_run_id(parent, each) for parent, each in others}) == len(others)


@pytest.fixture
def begin(run: Run) -> Callable[..., Any]:
    """Carries the operator out: so many services, four runs at a time unless told otherwise."""

    def begin(services: int, meanwhile: Callable[[], Any] = lambda: None, **options: Any) -> Any:
        run.params = FORM
        run.xcoms["find", -1, "return_value"] = [each.to_xcom() for each in fleet(services)]
        how = {"at_once": 3, "ahead": 4, "window_minutes": 240, "longest_run_minutes": 60} | options
        operator = BackUpServicesOperator(task_id="back_up_services", find="find", **how)
        return run.execute(operator, meanwhile=meanwhile)

    return begin


def running(run: Run) -> list[Run]:
    return [each for each in run.services.runs.values() if each.state == "running"]


def ends(run: Run, state: str = "success", most: int = 1000) -> Callable[[], None]:
    """The first runs of those that have not ended do so."""

    def end() -> None:
        for each in running(run)[:most]:
            each.state = state

    return end


def ids(run: Run, count: int) -> list[str]:
    return [service_run_id(run.run_id, each) for each in fleet(count)]


def late(run: Run, **how_far: float) -> None:
    """The step was first tried so long ago."""
    store = run.store("back_up_services")
    entry = json.loads(store.values["moment"])
    entry["entry"]["at"] = (datetime.now(UTC) - timedelta(**how_far)).isoformat()
    store.values["moment"] = json.dumps(entry)


class TestNight:
    def test_runs_are_started_in_order_a_few_ahead(self, run, begin):
        seen = []

        def one_ends() -> None:
            seen.append(len(running(run)))
            ends(run, most=1 if len(run.services.runs) < 10 else 4)()

        assert begin(10, one_ends) == {"services": 10}
        assert run.services.requested == list(run.services.runs) == ids(run, 10)
        assert seen[:7] == [4] * 7, "a place that is free is taken"
        assert all(arguments["most"] == 3 for _, arguments in run.triggers[:6])
        assert [arguments["most"] for _, arguments in run.triggers[6:]] == [0] * len(run.triggers[6:])

    def test_all_of_a_large_fleet_are_started_and_waited_for(self, run, begin):
        assert begin(450, ends(run), ahead=260) == {"services": 450}
        assert len(run.services.requested) == 450
        assert len(run.triggers) == 2

    def test_none_needs_no_dag(self, run, begin):
        run.services.paused = None
        assert begin(0) == {"services": 0}

    def test_the_list_was_not_handed_on(self, run):
        run.params = FORM
        operator = BackUpServicesOperator(
            task_id="b", find="find", at_once=1, ahead=1, window_minutes=1, longest_run_minutes=1
        )
        assert run.execute(operator) == {"services": 0}

    @pytest.mark.parametrize(
        ("paused", "told", "advice"),
        [
            (True, "is paused, so no backup would begin. Switch it on, and clear this step.", "stop"),
            (None, f"Airflow does not have DAG {BACKUP}", "check"),
        ],
    )
    def test_a_dag_that_would_not_begin_is_refused(self, paused, told, advice, run, begin):
        """At once where only a person helps; a DAG that is not there may be about to be read."""
        run.services.paused = paused
        with pytest.raises(ServiceRunError) as caught:
            begin(3)
        assert told in str(caught.value)
        assert caught.value.advice == advice
        assert run.xcom("back_up_services", "failure") == str(caught.value)
        assert run.services.requested == []
        run.services.paused = False
        assert begin(3, ends(run)) == {"services": 3}

    def test_runs_that_failed_fail_it_and_stop_none(self, run, begin):
        def all_end() -> None:
            next(iter(run.services.runs.values())).state = "failed"
            ends(run)()

        with pytest.raises(ServiceRunsFailedError) as caught:
            begin(6, all_end)
        assert str(caught.value) == f"1 of 6 runs of DAG {BACKUP} failed. The report names them."
        assert len(run.services.runs) == 6
        step = load_dag("biztalk_nightly_backup").get_task("back_up_services")
        assert step.retry_policy.evaluate(caught.value, 1, step.retries).action.value == "fail"

    def test_one_that_a_person_deletes_has_failed(self, run, begin):
        def one_is_deleted() -> None:
            del run.services.runs[ids(run, 6)[2]]
            ends(run)()

        with pytest.raises(ServiceRunsFailedError, match=f"^1 of 6 runs of DAG {BACKUP} failed"):
            begin(6, one_is_deleted, ahead=6)

    def test_another_try_adopts_what_was_started(self, run, begin):
        def dies() -> None:
            raise Died("worker")

        with pytest.raises(Died):
            begin(6, dies)
        ends(run, most=2)()
        assert begin(6, ends(run)) == {"services": 6}
        assert run.services.requested == ids(run, 6), "none twice"

    def test_a_clear_starts_none_again(self, run, begin):
        with pytest.raises(ServiceRunsFailedError):
            begin(3, ends(run, "failed"))
        ends_before = len(run.triggers)
        for each in run.services.runs.values():  # a person has cleared what failed in them
            each.state = "success"
        late(run, hours=30)
        assert begin(3) == {"services": 3}
        assert (len(run.services.requested), len(run.triggers)) == (3, ends_before)

    def test_a_clear_waits_for_what_was_cleared(self, run, begin):
        begin(3, ends(run))
        late(run, hours=2)
        next(iter(run.services.runs.values())).state = "running"
        assert begin(3, ends(run)) == {"services": 3}
        assert run.triggers[-1][1]["run_ids"] == ids(run, 3)[:1]

    def test_a_clear_is_a_night_of_what_was_left(self, run, begin, monkeypatch):
        nights: list[list[str]] = []
        monkeypatch.setattr(night, "begin_night", lambda _, __, jobs, *more: nights.append([j.service for j in jobs]))
        services = [each.service for each in fleet(3)]
        begin(3, ends(run))
        begin(3)  # nothing was left
        next(iter(run.services.runs.values())).state = "running"
        begin(3, ends(run))
        assert nights == [services, services[:1]]

    def test_each_that_failed_is_noted_once(self, run, begin, monkeypatch):
        noted: list[str] = []
        tell = night.progress_sentence

        def told(*given: Any, failed_since: list[BackupJob], **more: Any) -> str:
            noted.extend(each.service for each in failed_since)
            return tell(*given, failed_since=failed_since, **more)

        monkeypatch.setattr(night, "progress_sentence", told)
        with pytest.raises(ServiceRunsFailedError):
            begin(30, ends(run, "failed", most=3))
        assert noted == [each.service for each in fleet(30)]

    def test_one_that_was_started_unseen_is_taken(self, run, begin):
        """Airflow had started it, and its answer was lost."""
        lost = ids(run, 3)[1]
        run.services.runs[lost] = Run(run_id=lost)
        assert begin(3, ends(run)) == {"services": 3}
        assert len(run.services.runs) == 3

    def test_one_that_cannot_be_started_is_tried_again(self, run, begin):
        run.services.refused = {ids(run, 3)[1]}
        with pytest.raises(ServiceRunError, match="cannot be started") as caught:
            begin(3)
        assert caught.value.advice != "stop"
        run.services.refused.clear()
        assert begin(3, ends(run)) == {"services": 3}
        assert list(run.services.runs) == ids(run, 3)

    def test_none_begins_after_the_window_and_those_before_are_waited_for(self, run, begin):
        def the_window_ends() -> None:
            late(run, hours=4)
            ends(run)()

        with pytest.raises(ServiceRunsFailedError) as caught:
            begin(10, the_window_ends)
        assert str(caught.value) == (
            "6 were not begun within 4:00:00 (option completion_window_minutes). The report names them."
        )
        assert run.services.requested == ids(run, 4)

    def test_it_ends_when_runs_do_not(self, run, begin):
        begin(3, ends(run))
        for each in run.services.runs.values():
            each.state = "running"
        late(run, hours=5)
        with pytest.raises(ServiceRunsFailedError, match=r"^3 did not end in time\."):
            begin(3)

    def test_the_deferral_ends_too(self, run, begin):
        """Should the trigger not do it."""
        begin(3, ends(run))
        _, arguments = run.triggers[0]
        end = datetime.now(UTC) + timedelta(hours=5)
        assert abs(datetime.fromisoformat(arguments["until"]) - end) < timedelta(minutes=1)

    @pytest.mark.parametrize(("run_type", "kind"), [("scheduled", "nightly"), ("manual", "manual")])
    def test_a_run_is_told_of_its_own_service_only(self, run_type, kind, run, begin):
        run.run_type = run_type
        begin(2, ends(run))
        first = next(iter(run.services.runs.values())).conf
        until = datetime.fromisoformat(first["start_before"])
        assert abs(until - datetime.now(UTC) - timedelta(hours=4)) < timedelta(minutes=1)
        assert first == {
            "conn_id": "north",
            "service": "west/orders0000",
            "backup_name": "orders-20260101-020000-abcdef",
            "problem": "",
            "kind": kind,
            "label": "x",
            "drain_deadline_minutes": 7,
            "batches_are_empty": True,
            "unknown_batches_policy": "proceed",
            "refilled_batches_policy": "fail",
            "start_before": first["start_before"],
        }
        params = copy.deepcopy(load_dag(BACKUP).params)
        params.update(first)
        assert params.validate() == first

    def test_whoever_started_the_night_has_started_its_runs(self, run, begin):
        """As Airflow 3.3 hands it on; the confirmation about batches bears this name."""
        run.triggering_user_name = "ada"
        begin(1, ends(run))
        assert next(iter(run.services.runs.values())).triggering_user_name == "ada"

    def test_no_place_is_no_night(self):
        with pytest.raises(ValueError, match="ahead is 0"):
            BackUpServicesOperator(
                task_id="b", find="find", at_once=1, ahead=0, window_minutes=1, longest_run_minutes=1
            )


class TestTrigger:
    @staticmethod
    def trigger(run: Run, most: int, **until: float) -> ServiceRunsTrigger:
        moment = datetime.now(UTC) + timedelta(**until)
        return ServiceRunsTrigger(run_ids=list(run.services.runs), most=most, until=moment.isoformat())

    @pytest.fixture(autouse=True)
    def three(self, run) -> None:
        run.services.runs = {name: Run(run_id=name) for name in "abc"}

    def test_another_triggerer_goes_on(self, run):
        trigger = self.trigger(run, 1, hours=1)
        assert moved(trigger).serialize() == trigger.serialize()

    @pytest.mark.parametrize("state", ["success", "failed"])
    def test_it_fires_when_few_enough_are_left(self, state, run, monkeypatch):
        count, seen = run.services.get_dr_count, []

        def one_more_ends(dag_id: str, **which: Any) -> int:
            seen.append(len(running(run)))
            ended = count(dag_id, **which)
            ends(run, state, most=1)()
            return ended

        monkeypatch.setattr(run.services, "get_dr_count", one_more_ends)
        with run.services.answering(run):
            (event,) = events_of(moved(self.trigger(run, 1, hours=1)))
        assert (event.payload, seen) == ({"left": 1}, [3, 2, 1])

    def test_it_fires_at_its_moment(self, run):
        with run.services.answering(run):
            (event,) = events_of(self.trigger(run, 0, hours=-1))
        assert event.payload == {"left": 3}

    def test_a_run_that_a_person_deletes_is_not_waited_for(self, run):
        trigger = self.trigger(run, 2, hours=1)
        del run.services.runs["b"]
        with run.services.answering(run):
            (event,) = events_of(trigger)
        assert event.payload == {"left": 2}


def test_states_of_many_runs_are_asked_in_parts(run):
    run.services.runs = {name: Run(run_id=name, states={"suspend": "failed"}) for name in map(str, range(250))}
    with run.services.answering(run):
        found = step_states([*run.services.runs, "absent"])
    assert set(found) == set(run.services.runs)
    assert found["249"] == dict.fromkeys(STEPS) | {"suspend": "failed"}


def test_the_steps_are_those_of_the_dag_in_order():
    dag = load_dag(BACKUP)
    assert sorted(STEPS) == sorted(dag.task_ids)
    for task in dag.tasks:
        earlier = task.get_flat_relative_ids(upstream=True)
        assert {STEPS.index(each) for each in earlier} <= set(range(STEPS.index(task.task_id)))
