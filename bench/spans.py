"""Where the time goes for which a service stands still beyond its own work: by the journal and by Airflow."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

Change = tuple[datetime, str, str]
"""Moment, state before, state after."""

BACKUP = "biztalk_backup"
WAITS = {"back_up": "wait_until_suspended", "resume": "wait_for_backup"}
"""Of each step that ends a standstill, what it waits for."""

NAMES = [
    f"{event}: {span}"
    for event in ("suspended", "backed up")
    for span in ("its wait knows", "the next step is scheduled", "the step begins", "the step has requested")
]


def spans(changes: Iterable[Change], tasks: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds of each span of one service, in their order; empty when one of the moments is not known.

    :param changes: the service's.
    :param tasks: the task instances of its run, as Airflow's API has them.
    """
    became = {(before, after): at for at, before, after in changes}
    by_id = {task["task_id"]: task for task in tasks}

    def noted(task: str, what: str) -> datetime:
        return datetime.fromisoformat(by_id[task][what])

    try:
        suspended, backing_up = became["Suspending", "Suspended"], became["Suspended", "BackingUp"]
        backed_up, resuming = became["BackingUp", "Suspended"], became["Suspended", "Resuming"]
        found = []
        for began, step, requested in ((suspended, "back_up", backing_up), (backed_up, "resume", resuming)):
            known = noted(WAITS[step], "end_date"), noted(step, "scheduled_when"), noted(step, "start_date")
            found += [(end - start).total_seconds() for start, end in itertools.pairwise((began, *known, requested))]
    except (KeyError, TypeError):
        return {}
    return dict(zip(NAMES, found, strict=True))


def spans_of_night(
    changes: Mapping[str, Iterable[Change]], tasks: Iterable[Mapping[str, Any]], since: datetime
) -> dict[str, list[float]]:
    """The spans of all services of a night.

    :param changes: of each service.
    :param tasks: the task instances of all runs of the DAG that backs one service up.
    :param since: when the night began; runs before it do not count.
    """
    runs: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for task in tasks:
        if task["start_date"] and datetime.fromisoformat(task["start_date"]) >= since:
            service = task["dag_run_id"].rpartition(".")[2].rpartition("-")[0]
            runs[service].append(task)
    found: dict[str, list[float]] = defaultdict(list)
    for service, of_service in changes.items():
        for name, seconds in spans(of_service, runs[service]).items():
            found[name].append(seconds)
    return dict(found)
