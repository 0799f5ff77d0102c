"""Airflow's REST API, as far as running and watching a DAG needs it."""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import datetime
from functools import cached_property
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from stack.errors import StackError

RESPONSE_SECONDS = 60
READ_RETRIES = 4
CHANGE_TRIES = 4
POLL_SECONDS = 0.5
COMPONENTS = {
    "scheduler": "latest_scheduler_heartbeat",
    "triggerer": "latest_triggerer_heartbeat",
    "dag_processor": "latest_dag_processor_heartbeat",
}


class AirflowApi:
    """The REST API of an Airflow in which every user is an administrator without a login.

    Threads may share it. Changes are requested one after another: on SQLite two at the same time can each wait for the
    lock of the other one, until it times out.

    Every method raises `requests.RequestException` when Airflow cannot be reached or refuses.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._change = threading.Lock()

    def healthy(self, since: float = 0) -> bool:
        """Whether the API and every component respond, each with a heartbeat after `since` (epoch seconds)."""
        try:
            health = _direct().get(f"{self.url}/api/v2/monitor/health", timeout=RESPONSE_SECONDS).json()
        except (requests.RequestException, ValueError):
            return False
        return health.get("metadatabase", {}).get("status") == "healthy" and all(
            health.get(component, {}).get("status") == "healthy" and _epoch(health[component].get(heartbeat)) >= since
            for component, heartbeat in COMPONENTS.items()
        )

    def alive(self, job_type: str, since: float) -> int:
        """How many programs of a kind, for example `SchedulerJob`, have sent a heartbeat after `since`."""
        jobs = self.get("/jobs", job_type=job_type, job_state="running", order_by="-latest_heartbeat")["jobs"]
        return sum(_epoch(job["latest_heartbeat"]) >= since for job in jobs)

    def wait_for_dag(self, dag_id: str, seconds: float = 60) -> None:
        """Return once the DAG is known and free of import errors; raise `StackError` after `seconds`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._send("GET", f"/dags/{dag_id}").status_code == requests.codes.ok:
                return
            time.sleep(POLL_SECONDS)
        errors = self.get("/importErrors")["import_errors"]
        reasons = "".join(f"\n{error['filename']}: {error['stack_trace'].strip()}" for error in errors)
        raise StackError(f"Airflow has not loaded the DAG {dag_id} within {seconds:.0f} seconds.{reasons}")

    def ensure_pool(self, name: str, slots: int, description: str) -> None:
        """Create a pool unless there is one of this name, which is left unchanged."""
        body = {"name": name, "slots": slots, "description": description}
        response = self._send("POST", "/pools", json=body)
        if response.status_code != requests.codes.conflict:
            response.raise_for_status()

    def trigger(self, dag_id: str, conf: dict | None = None, run_id: str | None = None) -> str:
        """Start a run of the DAG; returns its run id."""
        body = {"logical_date": None, "conf": conf or {}} | ({"dag_run_id": run_id} if run_id else {})
        return self._json("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"]

    def mark_failed(self, dag_id: str, run_id: str) -> None:
        """Mark a run as failed, as a person does; its running tasks are ended."""
        self.patch(f"/dags/{dag_id}/dagRuns/{run_id}", {"state": "failed"})

    def pause(self, dag_id: str) -> None:
        """Pause a DAG, as a person does: no step of it begins any more, also of the active runs."""
        self.patch(f"/dags/{dag_id}", {"is_paused": True})

    def forget(self, dag_id: str, run_id: str) -> None:
        """Delete a run and all of Airflow's records of it."""
        self._send("DELETE", f"/dags/{dag_id}/dagRuns/{run_id}").raise_for_status()

    def run(self, dag_id: str, run_id: str) -> dict:
        """The DAG run, as the API describes it."""
        return self.get(f"/dags/{dag_id}/dagRuns/{run_id}")

    def wait_run(self, dag_id: str, run_id: str, seconds: float = 300) -> str:
        """The final state of a run (`success` or `failed`); raise `StackError` when it has none after `seconds`."""
        deadline = time.monotonic() + seconds
        while (state := self.run(dag_id, run_id)["state"]) not in ("success", "failed"):
            if time.monotonic() > deadline:
                raise StackError(f"The run {run_id} of {dag_id} is still {state} after {seconds:.0f} seconds.")
            time.sleep(POLL_SECONDS)
        return state

    def task_instances(self, dag_id: str, run_id: str) -> list[dict]:
        """All task instances of a run, mapped ones included."""
        path, found = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", []
        while True:
            page = self.get(path, limit=100, offset=len(found))
            found += page["task_instances"]
            if not page["task_instances"] or len(found) >= page["total_entries"]:
                return found

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """The value that a task has returned; None when it returned none."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        response = self._send("GET", path, params={"map_index": map_index, "stringify": False})
        if response.status_code == requests.codes.not_found:
            return None
        response.raise_for_status()
        return response.json()["value"]

    def approve(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Give the approval that a task waits for."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        self.patch(path, {"chosen_options": ["Approve"], "params_input": {}})

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """The log of one try of a task, one line an event."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        entries = self.get(path, map_index=map_index, full_content=True)["content"]
        return "\n".join(entry if isinstance(entry, str) else str(entry["event"]) for entry in entries)

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON response to a GET of `/api/v2<path>`."""
        return self._json("GET", path, params=parameters)

    def patch(self, path: str, body: dict) -> Any:
        """The JSON response to a PATCH of `/api/v2<path>`."""
        return self._json("PATCH", path, json=body)

    def post(self, path: str, body: dict) -> Any:
        """The JSON response to a POST to `/api/v2<path>`."""
        return self._json("POST", path, json=body)

    def _json(self, method: str, path: str, **arguments: Any) -> Any:
        response = self._send(method, path, **arguments)
        response.raise_for_status()
        return response.json()

    def _send(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """The response; a change is requested again when Airflow's SQLite was locked (500): it had no effect."""
        for _ in range(CHANGE_TRIES):
            with contextlib.nullcontext() if method == "GET" else self._change:
                response = self._session.request(
                    method, f"{self.url}/api/v2{path}", timeout=RESPONSE_SECONDS, **arguments
                )
            if method == "GET" or response.status_code != requests.codes.server_error:
                break
            time.sleep(POLL_SECONDS)
        return response

    @cached_property
    def _session(self) -> requests.Session:
        session = _direct()
        response = session.get(f"{self.url}/auth/token", timeout=RESPONSE_SECONDS)
        response.raise_for_status()
        session.headers["Authorization"] = f"Bearer {response.json()['access_token']}"
        return session


def _direct() -> requests.Session:
    """A session that ignores proxies and credentials of the environment: Airflow is on this machine.

    Reads are tried again a few times when the machine is too busy to respond.
    """
    session = requests.Session()
    session.trust_env = False
    retries = Retry(total=READ_RETRIES, connect=0, backoff_factor=0.5, allowed_methods=["GET"])
    session.mount("http://", HTTPAdapter(max_retries=retries))
    return session


def _epoch(moment: str | None) -> float:
    return datetime.fromisoformat(moment).timestamp() if moment else 0
