"""Whether a cell ended as it has to: nothing left suspended, nothing done twice, nothing lost, the colour honest."""

from __future__ import annotations

from typing import Any

from chaos.books import Left
from chaos.cells import BACKUP

_ONCE = ("suspend", "backup", "delete", "restore")


def shortcomings(job: str, green: bool, left: Left, before: Any) -> list[str]:
    """
    What is wrong, one sentence each; empty when all is well.

    :param job: id of the DAG
    :param green: whether the run says that all went well with the service
    :param left: what it has left
    :param before: what the service held before
    """
    found = [f"{left.operations[kind]} effective operations {kind}" for kind in _ONCE if left.operations[kind] > 1]
    found += [f"the reference of {name} is published, and the backup is not whole" for name in left.broken]
    found += [f"ticket {name} is open" for name in left.open_tickets]
    return found + (_backup if job == BACKUP else _restore)(green, left, before)


def _backup(green: bool, left: Left, before: Any) -> list[str]:
    found = [] if left.state == "Active" else [f"the service is {left.state or 'gone'}"]
    if left.content != before:
        found.append("the service does not hold what it held")
    if left.operations["resume"] != left.operations["suspend"]:
        found.append(f"{left.operations['suspend']} suspensions and {left.operations['resume']} resumptions")
    if green and len(left.whole) != 1:
        found.append(f"green with {len(left.whole)} whole backups")
    return found


def _restore(green: bool, left: Left, before: Any) -> list[str]:
    if green:
        found = [] if left.state == "Active" else [f"green, and the service is {left.state or 'gone'}"]
        if not (left.operations["delete"] == left.operations["restore"] == len(left.whole) == 1):
            found.append(f"green with {dict(left.operations)} and {len(left.whole)} safety backups")
        if _names(left.content) != _names(before):
            found.append("green, and the service does not hold what it held")
        return found
    if left.operations["delete"] and not left.whole:
        return ["deleted without a whole backup of it"]
    if not left.operations["delete"] and left.state != "Active":
        return [f"nothing was deleted, and the service is {left.state or 'gone'}"]
    return []


def _names(content: Any) -> Any:
    """What a service holds, by name: a restore gives new ids, and settling raises bounds."""
    if not content:
        return content
    return {
        kind: sorted(str(item.get("Name")) for item in items) for kind, items in content.items() if _are_items(items)
    }


def _are_items(items: Any) -> bool:
    return isinstance(items, list) and all(isinstance(item, dict) for item in items)
