"""Where each service of a run is, read from the task instances that Airflow's REST API lists."""

from __future__ import annotations

from collections import defaultdict
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
ENDED = {"success", "failed", "upstream_failed", "skipped"}
WHOLE_RUN = "(all services)"
OF_A_SERVICE = "service."
"""How the ids of the steps of a service begin; a run may map other steps too."""


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
    """One step a service, sorted by service, after it the task that works for all of them, if one does at the moment.

    Mapped steps of a service belong to the one that their map index stands for; its name is the rendered map index,
    which Airflow has as soon as one of them has begun. Before that, a service is left out.

    :param whole_run: name of the work that is not for one mapped service.
    """
    instances = [instance for instance in task_instances if instance["state"]]
    mapped = [instance for instance in instances if _of_a_service(instance)]
    names = _service_names(mapped)
    by_service = defaultdict(list)
    for instance in mapped:
        by_service[names[instance["map_index"]]].append(instance)
    steps = [
        _step(service, found)
        for service, found in sorted(by_service.items(), key=lambda item: item[0].lower())
        if not service.isdigit() or any(instance["state"] in ENDED for instance in found)
    ]
    common = [instance for instance in instances if not _of_a_service(instance) and instance["state"] in ACTIVE]
    return [*steps, _step(whole_run, common)] if common else steps


def failed_tasks(task_instances: Iterable[dict]) -> list[str]:
    """The failed tasks as `task (service)`."""
    instances = list(task_instances)
    names = _service_names(filter(_of_a_service, instances))
    return sorted(
        f"{_task(instance)} ({names[instance['map_index']]})" if _of_a_service(instance) else _task(instance)
        for instance in instances
        if instance["state"] == "failed"
    )


def _of_a_service(instance: dict) -> bool:
    return instance["map_index"] >= 0 and instance["task_id"].startswith(OF_A_SERVICE)


def _service_names(mapped: Iterable[dict]) -> dict[int, str]:
    """Map index -> service. A task without a template of its own, or not yet run, only has its number as a name."""
    names: dict[int, str] = {}
    for instance in mapped:
        index, name = instance["map_index"], instance["rendered_map_index"] or str(instance["map_index"])
        if names.get(index, str(index)) == str(index):
            names[index] = name
    return names


def _step(service: str, instances: Sequence[dict]) -> Step:
    """The active tasks, else the most informative one: the next one, the failed one, the one that ended last."""
    shown = sorted((each for each in instances if each["state"] in ACTIVE), key=_started) or [
        max(instances, key=_weight)
    ]
    states = dict.fromkeys(WORDS.get(each["state"], each["state"]) for each in shown)
    since = min(filter(None, map(_started, shown)), default=None)
    return Step(
        service=service,
        task=" + ".join(dict.fromkeys(map(_task, shown))),
        state=" + ".join(states),
        since=datetime.fromisoformat(since) if since else None,
    )


def _weight(instance: dict) -> tuple:
    rank = {"queued": 4, "scheduled": 3, "failed": 2, "upstream_failed": 0}.get(instance["state"], 1)
    return rank, _started(instance)


def _started(instance: dict) -> str:
    return instance["start_date"] or ""


def _task(instance: dict) -> str:
    return instance["task_id"].rpartition(".")[2]
