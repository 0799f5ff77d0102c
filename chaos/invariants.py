"""Invariants of the end state: no service left suspended, nothing done twice, no data lost, no false success."""

from __future__ import annotations

from typing import Any

from chaos.cells import RESTORE
from chaos.ground_truth import EndState

_AT_MOST_ONCE = ("suspend", "backup", "delete", "restore")


def violations(job: str, green: bool, end: EndState, content_before: Any) -> list[str]:
    """
    Return a sentence for each violated invariant; an empty list when all of them hold.

    :param job: id of the DAG of the run
    :param green: whether the run reports success for the service
    :param end: end state of the service
    :param content_before: content of the service before the run
    """
    result = [
        f"{end.operations[kind]} effective operations {kind}" for kind in _AT_MOST_ONCE if end.operations[kind] > 1
    ]
    result += [f"the reference of {name} is published, and the backup is not whole" for name in end.damaged_backups]
    result += [f"suspension record {name} is open" for name in end.open_records]
    return result + (_restore_violations if job == RESTORE else _backup_violations)(green, end, content_before)


def _backup_violations(green: bool, end: EndState, content_before: Any) -> list[str]:
    result = [] if end.state == "Active" else [f"the service is {end.state or 'gone'}"]
    if end.content != content_before:
        result.append("the service does not hold what it held")
    if end.operations["resume"] != end.operations["suspend"]:
        result.append(f"{end.operations['suspend']} suspensions and {end.operations['resume']} resumptions")
    if green and len(end.intact_backups) != 1:
        result.append(f"green with {len(end.intact_backups)} whole backups")
    if len(end.started_runs) > 1 or (green and not end.started_runs):
        result.append(f"{len(end.started_runs)} runs of the service were started")
    return result + [f"run {name} had not ended when the night ended" for name in end.unended_runs]


def _restore_violations(green: bool, end: EndState, content_before: Any) -> list[str]:
    if green:
        result = [] if end.state == "Active" else [f"green, and the service is {end.state or 'gone'}"]
        if not (end.operations["delete"] == end.operations["restore"] == len(end.intact_backups) == 1):
            result.append(f"green with {dict(end.operations)} and {len(end.intact_backups)} safety backups")
        if _names(end.content) != _names(content_before):
            result.append("green, and the service does not hold what it held")
        return result
    if end.operations["delete"] and not end.intact_backups:
        return ["deleted without a whole backup of it"]
    if not end.operations["delete"] and end.state != "Active":
        return [f"nothing was deleted, and the service is {end.state or 'gone'}"]
    return []


def _names(content: Any) -> Any:
    """Return the names of a service's items by kind: a restore assigns new ids, and may raise control numbers."""
    if not content:
        return content
    return {
        kind: sorted(str(item.get("Name")) for item in items) for kind, items in content.items() if _are_items(items)
    }


def _are_items(items: Any) -> bool:
    return isinstance(items, list) and all(isinstance(item, dict) for item in items)
