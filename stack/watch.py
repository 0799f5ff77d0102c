"""Follows a run to its end, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

import requests

from stack.airflow_api import AirflowApi
from stack.errors import StackError

ENDED = ("success", "failed")
POLL_SECONDS = 1.0
START_SECONDS = 300
UNHEALTHY_SECONDS = 120
RUN_SECONDS = 3600


def require_startable(airflow: AirflowApi, dag_id: str) -> None:
    """Return once a run of the DAG can be started; raise `StackError` when it is not known, or paused."""
    airflow.wait_for_dag(dag_id)
    if airflow.get(f"/dags/{dag_id}")["is_paused"]:
        raise StackError(
            f"The DAG {dag_id} is paused, so no run would start; unpause it at {airflow.url}/dags/{dag_id}."
        )


def follow(
    airflow: AirflowApi, dag_id: str, run_id: str, show: Callable[[list[dict]], None], *, seconds: float = RUN_SECONDS
) -> str:
    """The final state of a run, `success` or `failed`; meanwhile `show` receives its task instances every second.

    Raises `StackError` when the run does not start (`START_SECONDS`), Airflow stays unhealthy (`UNHEALTHY_SECONDS`) or
    the run takes too long (`seconds`). The run itself goes on.
    """
    run, address = f"The run {run_id} of {dag_id}", f"{airflow.url}/dags/{dag_id}/runs/{run_id}"
    began = last_healthy = time.monotonic()
    while True:
        try:
            state = airflow.run(dag_id, run_id)["state"]
            show(airflow.task_instances(dag_id, run_id))
        except (requests.ConnectionError, requests.Timeout):
            state = "unknown"
        if state in ENDED:
            return state
        now = time.monotonic()
        if state != "unknown" and airflow.healthy():
            last_healthy = now
        elif now - last_healthy > UNHEALTHY_SECONDS:
            raise StackError(
                f"Airflow has not been healthy for {UNHEALTHY_SECONDS} seconds, so {run_id} is not watched any longer; "
                "check `make status`, and start what is not running with `make up`."
            )
        if state == "queued" and now - began > START_SECONDS:
            raise StackError(
                f"{run} has not started within {START_SECONDS} seconds; another run of this DAG may be under way, "
                f"or the DAG may be paused. Check {address}."
            )
        if now - began > seconds:
            raise StackError(f"{run} is still {state} after {seconds // 60:.0f} minutes; it goes on, see {address}.")
        time.sleep(POLL_SECONDS)
