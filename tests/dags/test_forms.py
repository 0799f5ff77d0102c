"""Forms whose values do not reach the run: its first step starts all the same, and refuses."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.sdk.definitions.param import process_params
from biztalk_services.flows.run_rules import form_checks
from biztalk_services.provider.run_checks import run_facts

from tests.conftest import ROOT

FIRST = {"biztalk_nightly_backup": "find_services", "biztalk_backup": "check_backup", "biztalk_restore": "plan"}
FORMS = {
    "biztalk_nightly_backup": {"services": ["contosoorders"]},
    "biztalk_backup": {"conn_id": "biztalk_default", "service": "west/contosoorders", "backup_name": "orders-1"},
    "biztalk_restore": {"service": "contosoorders"},
}


def broken(dag: DAG, conf: dict[str, Any] | None) -> list[str]:
    """The rules that a run with this form breaks, with the params that Airflow gives its first step."""
    task = dag.task_dict[FIRST[dag.dag_id]]
    params = process_params(dag, task, conf, suppress_exception=False)
    run = SimpleNamespace(run_type="manual", run_after=datetime.now(UTC), logical_date=None, conf=conf)
    checks = form_checks(run_facts({"dag": dag, "dag_run": run, "params": params}))
    return [check.rule for check in checks if not check.passed]


@pytest.fixture(params=["True", "False"])
def overrides(request, monkeypatch) -> str:
    """Airflow's option, as the DAG processor and the worker have it."""
    monkeypatch.setenv("AIRFLOW__CORE__DAG_RUN_CONF_OVERRIDES_PARAMS", request.param)
    return request.param


@pytest.mark.parametrize("dag_id", FIRST)
def test_a_form_reaches_the_run_or_is_refused(dag_id, overrides):
    dag = DagBag(dag_folder=ROOT / f"dags/{dag_id}.py").dags[dag_id]
    assert broken(dag, FORMS[dag_id]) == ([] if overrides == "True" else ["form-agrees"])
    assert "form-fields" in broken(dag, FORMS[dag_id] | {"no_such_field": 1})


@pytest.mark.parametrize("conf", [None, {}])
def test_a_run_without_a_form(conf, overrides):
    dag = DagBag(dag_folder=ROOT / "dags/biztalk_nightly_backup.py").dags["biztalk_nightly_backup"]
    assert broken(dag, conf) == []
