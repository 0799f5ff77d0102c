"""The check of the connections: a button that a person presses."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG


@pytest.fixture
def dag(dags) -> DAG:
    return dags.dags["biztalk_check_connections"]


def test_it_is_started_by_hand_only_and_never_waits_to_be_switched_on(dag):
    assert dag.timetable.can_be_scheduled is False
    assert dag.is_paused_upon_creation is False


def test_its_form_takes_services(dag):
    assert list(dag.params) == ["services"]
    param = dag.params.get_param("services")
    assert param.resolve() is None
    assert param.resolve(["contoso-west-us/contosoorders", "contosoeurope"]) is not None


def test_one_look_is_enough_and_alerts_nobody(dag):
    (step,) = dag.tasks
    assert (step.retries, step.on_failure_callback) == (0, [])
    assert step.services == "{{ (params.services or []) | join(' ') }}"
