"""The stack itself: complete, and for this machine only."""

from __future__ import annotations

import requests

from tests.system.sockets import LOOPBACK, listening
from tests.system.world import BACKUP, DAG_ID


def test_every_part_runs_and_airflow_has_loaded_everything(airflow_stack):
    assert all(airflow_stack.running().values())
    for dag_id in (DAG_ID, BACKUP):
        airflow_stack.airflow.wait_for_dag(dag_id)
    assert airflow_stack.airflow.get("/importErrors")["import_errors"] == []
    assert airflow_stack.airflow.get("/plugins/importErrors")["import_errors"] == []


def test_every_server_listens_on_the_loopback_interface_only(airflow_stack):
    ours = listening(airflow_stack)
    assert len(ours) >= 4
    assert {address.split(":")[0] for address in ours} == {LOOPBACK}


def test_the_api_is_this_stacks_own(airflow_stack):
    assert requests.get(f"{airflow_stack.url}/api/v2/version", timeout=60).json()["version"] == "3.3.2"
