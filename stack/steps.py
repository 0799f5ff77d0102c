"""Where a run is, read from the task instances that Airflow's REST API lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

WORDS = {
    "scheduled": "about to start",
    "queued": "about to start",
    "running": "running",
    "deferred": "waiting",
    "awaiting_input": "waiting for a person",
    "up_for_retry": "will be tried again",
    "up_for_reschedule": "waiting",
    "restarting": "will be tried again",
    "success": "done",
    "failed": "failed",
    "upstream_failed": "not reached",
    "skipped": "skipped",
    "removed": "removed",
}
ACTIVE = {"running", "deferred", "awaiting_input", "up_for_retry", "up_for_reschedule", "restarting"}
UNDER_WAY = ACTIVE | {"scheduled", "queued"}
WHOLE_RUN = "(all services)"


@dataclass(frozen=True)
class Step:
    """The step that a service is at: the names of the tasks, joined by ` + ` where several are under way, their state
    in plain words, and since when (None: not started).
    """

    service: str
    task: str
    state: str
    since: datetime | None


def current_steps(task_instances: Iterable[dict], whole_run: str = WHOLE_RUN) -> list[Step]:
    """The step that a run is at; none where nothing of it is under way at the moment.

    :param whole_run: name of what the run works for.
    """
    active = [instance for instance in task_instances if instance["state"] in ACTIVE]
    return [step_of(whole_run, active)] if active else []


def step_of(service: str, instances: Sequence[dict]) -> Step:
    """The tasks of a run that are active, else the one that is next.

    :param instances: of which none has ended; at least one.
    """
    shown = sorted((each for each in instances if each["state"] in ACTIVE), key=_started) or [instances[0]]
    states = dict.fromkeys(WORDS.get(each["state"], each["state"]) for each in shown)
    since = min(filter(None, map(_started, shown)), default=None)
    return Step(
        service=service,
        task=" + ".join(dict.fromkeys(each["task_id"].rpartition(".")[2] for each in shown)),
        state=" + ".join(states),
        since=datetime.fromisoformat(since) if since else None,
    )


def failed_tasks(task_instances: Iterable[dict]) -> list[str]:
    """The names of the failed tasks."""
    failed = (each["task_id"] for each in task_instances if each["state"] == "failed")
    return sorted(task_id.rpartition(".")[2] for task_id in failed)


def _started(instance: dict) -> str:
    return instance["start_date"] or ""
