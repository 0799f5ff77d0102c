"""Airflow's REST API as `make backup` sees it, with the runs of a nightly run as they were or as they are made up."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stack.night import BACKUP, NIGHTLY

RUN_ID = "manual__2026-11-29T04:43:12.191027+00:00"
RECORDED = json.loads((Path(__file__).parent / "recorded/nightly_run.json").read_text())
FLEET = ["contosoeurope", "contosonordic", "contosoorders", "ContosoRetail"]


@dataclass
class Look:
    """What Airflow has at one moment.

    :param jobs: what `find_services` left; None before that.
    :param parent: task instances of the nightly run.
    :param runs: of single services.
    :param instances: the task instances of those that are under way or failed.
    """

    jobs: list[dict] | None
    parent: list[dict] = field(default_factory=list)
    runs: list[dict] = field(default_factory=list)
    instances: list[dict] = field(default_factory=list)


def recorded() -> list[Look]:
    """A night of the sample fleet, from its first to its last moment."""
    return [Look(**look) for look in RECORDED["looks"]]


@dataclass
class Airflow:
    """Goes from one look to the next whenever it is asked for the state of the nightly run.

    :param requests: method, path and state of each request for runs or instances.
    """

    looks: list[Look]
    report: list[dict] = field(default_factory=list)
    state: str = "success"
    paused: tuple[str, ...] = ()
    page: int = 100
    triggered: list[str] = field(default_factory=list)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    at: int = -1
    url: str = "http://127.0.0.1:1"

    @property
    def now(self) -> Look:
        return self.looks[max(self.at, 0)]

    def healthy(self) -> bool:
        return True

    def wait_for_dag(self, dag_id: str) -> None: ...

    def trigger(self, dag_id: str) -> str:
        self.triggered.append(dag_id)
        return RUN_ID

    def run(self, dag_id: str, run_id: str) -> dict:
        self.at = min(self.at + 1, len(self.looks) - 1)
        return {"state": self.state if self.at == len(self.looks) - 1 else "running"}

    def task_instances(self, dag_id: str, run_id: str) -> list[dict]:
        assert (dag_id, run_id) == (NIGHTLY, RUN_ID)
        return self.now.parent

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        return {"find_services": self.now.jobs, "report": self.report}[task_id]

    def get(self, path: str, **parameters: Any) -> dict:
        kinds = {
            "dagRuns": ("dag_runs", self.now.runs),
            "dagRuns/~/taskInstances": ("task_instances", self.now.instances),
        }
        kind = path.removeprefix(f"/dags/{BACKUP}/")
        if kind not in kinds:
            return {"is_paused": path.removeprefix("/dags/") in self.paused}
        assert parameters["run_id_prefix_pattern"] == RUN_ID
        states = parameters["state"]
        self.requests.append((kind, states if isinstance(states, str) else ",".join(states)))
        name, all_of_it = kinds[kind]
        found = [each for each in all_of_it if each["state"] in ([states] if isinstance(states, str) else states)]
        return self._page(name, found, parameters["offset"], parameters["limit"])

    def _page(self, name: str, found: list[dict], offset: int, limit: int) -> dict:
        return {name: found[offset : offset + min(limit, self.page)], "total_entries": len(found)}


def run(number: int, state: str, **changes: Any) -> dict:
    """The run of a made up service."""
    conf = {"conn_id": "biztalk_default", "service": f"contoso/service{number:03}"} | changes
    return {"dag_run_id": f"{RUN_ID}__contoso.service{number:03}-3f0a11", "state": state, "conf": conf}


def instance(number: int, task_id: str, state: str, since: str | None = None) -> dict:
    """A task instance of the run of a made up service."""
    return {
        "dag_run_id": f"{RUN_ID}__contoso.service{number:03}-3f0a11",
        "task_id": task_id,
        "state": state,
        "start_date": since,
    }


def jobs(count: int) -> list[dict]:
    """What `find_services` leaves for so many made up services."""
    return [{"conn_id": "biztalk_default", "service": f"contoso/service{number:03}"} for number in range(count)]
