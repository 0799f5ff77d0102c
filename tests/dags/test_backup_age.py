"""The watchdog over missing backups: on its own, whatever becomes of the nightly backup."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from biztalk_services.flows.backup_ages import BackupsOverdueError
from biztalk_services.provider.alerts import FirstFailureNotifier
from biztalk_services.provider.settings import WATCHDOG_POOL

from tests.conftest import ROOT
from tests.dags.processes import result_of

DAG_ID = "biztalk_backup_age"


@pytest.fixture
def dag(dags) -> DAG:
    return dags.dags[DAG_ID]


def test_it_checks_every_quarter_of_an_hour_no_catchup(dag):
    assert dag.timetable.expression == "*/15 * * * *"
    assert dag.catchup is False
    assert dag.is_paused_upon_creation is False
    assert dag.max_active_runs == 1


def test_a_check_ends_before_the_next_and_is_never_retried(dag):
    (step,) = dag.tasks
    assert step.retries == 0
    assert step.execution_timeout < dag.dagrun_timeout < timedelta(minutes=15)


def test_it_goes_behind_the_other_watchdog_in_its_pool(dag, dags):
    (step,) = dag.tasks
    assert step.pool == WATCHDOG_POOL
    assert step.priority_weight < min(other.priority_weight for other in dags.dags["biztalk_watchdog"].tasks)


def test_an_alert_is_sent_when_it_cannot_check(dag):
    (callback,) = dag.tasks[0].on_failure_callback
    assert isinstance(callback, FirstFailureNotifier)
    assert callback.unless == (BackupsOverdueError,)


def test_it_needs_no_other_dag(dag, tmp_path):
    shutil.copy(dag.fileloc, tmp_path)
    for name in ("biztalk_nightly_backup", "biztalk_restore", "biztalk_watchdog"):
        (tmp_path / f"{name}.py").write_text("import airflow.sdk\nraise ValueError('broken dag')\n")
    bag = DagBag(dag_folder=tmp_path)
    assert list(bag.dags) == [DAG_ID]
    assert len(bag.import_errors) == 3


PARSED = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
dag = DagBag(dag_folder=sys.argv[1]).dags["biztalk_backup_age"]
(step,) = dag.tasks
print("RESULT", json.dumps({"schedule": dag.timetable.expression, "doc": dag.doc_md, "step": {
    name: getattr(step, name) for name in ("conn_ids", "archive", "expected_hours", "problems")}}))
"""


def parsed(**options: str) -> dict:
    environment = {f"AIRFLOW__BIZTALK_SERVICES__{name.upper()}": value for name, value in options.items()}
    return result_of(PARSED, str(ROOT / "dags"), env=os.environ | environment)


def test_its_options():
    found = parsed(
        conn_id="first second", expected_backup_hours="8 orders=2", backup_age_schedule="0 * * * *", schedule="none"
    )
    assert found["schedule"] == "0 * * * *"
    assert found["step"]["conn_ids"] == ["first", "second"]
    assert (found["step"]["expected_hours"], found["step"]["problems"]) == ("8 orders=2", [])


def test_a_bad_option_of_its_own_is_shown_and_told():
    found = parsed(expected_backup_hours="soon", backup_age_schedule="often", schedule="nonsense")
    assert found["schedule"] == "*/15 * * * *"
    assert found["step"]["expected_hours"] == "30"
    problems = found["step"]["problems"]
    assert len(problems) == 2
    assert all(name in " ".join(problems) for name in ("expected_backup_hours", "backup_age_schedule"))
    assert "Misconfigured" in found["doc"]
