"""The runs of single services that a nightly run has started, read in a few requests, however many there are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stack.airflow_api import AirflowApi
from stack.steps import UNDER_WAY, WORDS, Step, failed_tasks, step_of

NIGHTLY, BACKUP = "biztalk_nightly_backup", "biztalk_backup"
MOST_ROWS = 25
"""With more services only those at work have a row."""
PAGE = 100


@dataclass(frozen=True)
class Look:
    """A night at one moment.

    :param services: how many there are; None before they are found.
    :param done: how many have ended, ``failed`` of them without success.
    :param at_work: how many have begun and not ended.
    :param steps: where the services are: all of them, or with too many only some that are at work.
    """

    services: int | None
    done: int
    failed: int
    at_work: int
    steps: Sequence[Step]

    @property
    def waiting(self) -> int:
        return max((self.services or 0) - self.done - self.at_work, 0)

    def sentence(self) -> str:
        """What is done, at work and waiting; empty before the services are found."""
        if self.services is None:
            return ""
        failed = f" ({self.failed} failed)" if self.failed else ""
        return f"{self.done} of {self.services} services done{failed}, {self.at_work} at work, {self.waiting} waiting."


class Night:
    """The runs that a nightly run has started.

    :param run_id: of the nightly run.
    """

    def __init__(self, airflow: AirflowApi, run_id: str) -> None:
        self._airflow = airflow
        self._run_id = run_id
        self._labels: dict[tuple[str, str], str] | None = None
        self._latest: dict[str, Step] = {}

    def look(self) -> Look:
        """The night now. Costs two requests for what has ended, and one for each hundred runs that are under way and
        for each hundred of their tasks that are."""
        labels = self._labels = self._labels or self._found()
        if labels is None:
            return Look(None, 0, 0, 0, [])
        running = self._runs("running")
        ended = {state: self._page("dagRuns", state) for state in ("success", "failed")}
        done, failed = (ended[state]["total_entries"] for state in ended)
        steps = self._steps({run["dag_run_id"]: self._label(run) for run in running})
        if len(labels) > MOST_ROWS:
            steps = sorted(steps, key=lambda step: (step.since is None, step.since))[:MOST_ROWS]
        else:
            rows = {label: Step(label, BACKUP, "not begun", None) for label in labels.values()}
            for state, page in ended.items():
                rows |= {
                    self._label(run): Step(self._label(run), BACKUP, WORDS[state], None) for run in page["dag_runs"]
                }
            steps = sorted(
                (rows | {step.service: step for step in steps}).values(), key=lambda step: step.service.lower()
            )
        return Look(len(labels), done + failed, failed, len(running), steps)

    def failed_tasks(self) -> list[str]:
        """The failed tasks of the runs as `task (service)`."""
        labels = {run["dag_run_id"]: self._label(run) for run in self._runs("failed")}
        instances = self._instances(labels, ["failed"])
        return sorted(f"{task} ({labels[each['dag_run_id']]})" for each in instances for task in failed_tasks([each]))

    def _found(self) -> dict[tuple[str, str], str] | None:
        """Connection and address of each service -> what it is called: its name, with all of these where another has
        the same one; None before the services are found."""
        jobs = self._airflow.xcom(NIGHTLY, self._run_id, "find_services")
        if jobs is None:
            return None
        names = Counter(_name(job["service"]).lower() for job in jobs)
        return {
            (job["conn_id"], job["service"]): _name(job["service"])
            if names[_name(job["service"]).lower()] == 1
            else f"{job['conn_id']}/{job['service']}"
            for job in jobs
        }

    def _label(self, run: dict) -> str:
        conf = run["conf"]
        return (self._labels or {}).get((conf["conn_id"], conf["service"]), conf["service"])

    def _steps(self, labels: Mapping[str, str]) -> list[Step]:
        """Where these runs are; one between two of its tasks is where it was."""
        instances = defaultdict(list)
        for each in self._instances(labels, sorted(UNDER_WAY)):
            instances[each["dag_run_id"]].append(each)
        self._latest |= {label: step_of(label, instances[run]) for run, label in labels.items() if run in instances}
        about_to_start = {label: Step(label, BACKUP, WORDS["queued"], None) for label in labels.values()}
        return [self._latest.get(label, step) for label, step in about_to_start.items()]

    def _instances(self, run_ids: Collection[str], states: list[str]) -> list[dict]:
        """The task instances of these runs that are in one of these states. Not by the POST that lists them: Airflow
        records it, and on SQLite answers nobody while that record waits for a lock."""
        if not run_ids:
            return []
        found = _all(lambda offset: self._page("dagRuns/~/taskInstances", states, offset), "task_instances")
        return [each for each in found if each["dag_run_id"] in run_ids]

    def _runs(self, state: str) -> list[dict]:
        return _all(lambda offset: self._page("dagRuns", state, offset), "dag_runs")

    def _page(self, path: str, state: str | list[str], offset: int = 0) -> dict[str, Any]:
        """A page of what is in a state. No other night has an id that begins so: it ends with its moment."""
        return self._airflow.get(
            f"/dags/{BACKUP}/{path}", run_id_prefix_pattern=self._run_id, state=state, limit=PAGE, offset=offset
        )


def _all(page: Callable[[int], dict[str, Any]], what: str) -> list[dict]:
    found: list[dict] = []
    while True:
        response = page(len(found))
        found += response[what]
        if not response[what] or len(found) >= response["total_entries"]:
            return found


def _name(address: str) -> str:
    return address.rpartition("/")[2]
