"""The watchdog: every minute, on its own, sharing nothing with the backups that may block it."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from airflow.sdk import DAG
from biztalk_services.provider.alerts import FirstFailureNotifier
from biztalk_services.provider.settings import WATCHDOG_POOL as POOL

from stack.settings import WATCHDOG_POOL
from tests.conftest import ROOT
from tests.dags.processes import result_of


@pytest.fixture
def dag(dags) -> DAG:
    return dags.dags["biztalk_watchdog"]


def test_it_checks_every_minute_one_run_at_a_time_no_catchup(dag):
    assert dag.timetable.expression == "* * * * *"
    assert dag.catchup is False
    assert dag.max_active_runs == 1
    assert dag.dagrun_timeout == timedelta(minutes=10)


CREATION = """
import json, sys
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.utils.db import initdb
from airflow.utils.session import create_session
initdb()
with create_session() as session:
    session.add(DagBundleModel(name="dags"))
    session.commit()
    sync_bag_to_db(DagBag(dag_folder=sys.argv[1], bundle_name="dags"), "dags", None, session=session)
    print("RESULT", json.dumps({dag.dag_id: dag.is_paused for dag in session.query(DagModel)}))
"""


def test_it_is_not_paused_at_creation_whatever_the_default(tmp_path):
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
    }
    paused = result_of(CREATION, str(ROOT / "dags"), env=environment)
    assert paused == {
        "biztalk_backup": False,
        "biztalk_backup_age": False,
        "biztalk_check_connections": False,
        "biztalk_nightly_backup": True,
        "biztalk_restore": True,
        "biztalk_watchdog": False,
    }


def test_a_check_is_short_and_never_retried(dag):
    for step in dag.tasks:
        assert step.retries == 0
        assert step.execution_timeout == timedelta(minutes=3)


def test_its_pool_is_its_own_and_the_stack_makes_it(dag, dags):
    assert {step.pool for step in dag.tasks} == {POOL} == {WATCHDOG_POOL["name"]}
    others = [other for name, other in dags.dags.items() if name not in ("biztalk_watchdog", "biztalk_backup_age")]
    assert len(others) >= 2
    assert all(step.pool != POOL for other in others for step in other.tasks)


def test_it_goes_before_everything_else(dag, dags):
    lowest = min(step.priority_weight for step in dag.tasks)
    assert all(step.weight_rule.__class__ is dag.tasks[0].weight_rule.__class__ for step in dag.tasks)
    assert lowest > max(
        step.priority_weight for name, other in dags.dags.items() if name != "biztalk_watchdog" for step in other.tasks
    )


def test_an_alert_is_sent_when_it_cannot_read_the_records(dag):
    (callback,) = dag.task_dict["find_suspensions"].on_failure_callback
    assert isinstance(callback, FirstFailureNotifier)
