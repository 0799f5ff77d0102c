"""The watchdog: every minute, on its own, sharing nothing with the backups that may block it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk import DAG
from biztalk_services.notifications.alert import FirstFailureNotifier
from biztalk_services.settings import Settings

from stack.settings import WATCHDOG_POOL

SETTINGS = Settings()


@pytest.fixture
def dag(dags) -> DAG:
    return dags.dags["biztalk_watchdog"]


def test_it_looks_every_minute_one_look_at_a_time_and_makes_up_for_none(dag):
    assert dag.timetable.expression == "* * * * *"
    assert dag.catchup is False
    assert dag.max_active_runs == 1
    assert dag.dagrun_timeout == timedelta(minutes=10)


def test_a_look_is_short_and_never_tried_again_for_the_next_one_comes(dag):
    for step in dag.tasks:
        assert step.retries == 0
        assert step.execution_timeout == timedelta(minutes=3)


def test_its_pool_is_its_own_and_the_stack_makes_it(dag, dags):
    assert {step.pool for step in dag.tasks} == {SETTINGS.watchdog_pool} == {WATCHDOG_POOL["name"]}
    others = [other for name, other in dags.dags.items() if name != "biztalk_watchdog"]
    assert len(others) >= 2
    assert all(step.pool != SETTINGS.watchdog_pool for other in others for step in other.tasks)


def test_it_goes_before_everything_else(dag, dags):
    lowest = min(step.priority_weight for step in dag.tasks)
    assert all(step.weight_rule.__class__ is dag.tasks[0].weight_rule.__class__ for step in dag.tasks)
    assert lowest > max(
        step.priority_weight for name, other in dags.dags.items() if name != "biztalk_watchdog" for step in other.tasks
    )


def test_when_it_sees_nothing_it_says_so(dag):
    (callback,) = dag.task_dict["find_suspensions"].on_failure_callback
    assert isinstance(callback, FirstFailureNotifier)
