"""The result of a finished run: its table, and whether it is a success."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

BACKED_UP = "backed up"
EDITIONS_WITH_BACKUPS = {"basic", "standard", "premium"}


def result_table(report: Iterable[dict]) -> Table:
    """The list that the task `report` returns, as a table."""
    table = Table(box=None, pad_edge=False)
    for heading in ("service", "outcome", "backup", "items", "suspended", "state now"):
        table.add_column(heading, justify="right" if heading in ("items", "suspended") else "left", overflow="fold")
    for row in report:
        seconds = row["suspended_seconds"]
        cells = (
            row["service"],
            row["outcome"] + (f" at {row['failed_step']}: {row['reason']}" if row.get("failed_step") else ""),
            row["backup"] or "",
            "" if row["items"] is None else str(row["items"]),
            "" if seconds is None else f"{seconds:.1f} s",
            row["state"] or "unknown",
        )
        table.add_row(*map(Text, cells))
    return table


def shortcomings(report: Iterable[dict], services: Iterable[dict]) -> list[str]:
    """Why a run is no success, one sentence each; empty: every service that can have a backup has one and is Active.

    :param report: the list that the task `report` returns.
    :param services: the services after the run, by the emulator's records.
    """
    rows = {row["service"].lower(): row for row in report}
    found = []
    for service in services:
        name, edition, state = service["name"], service["edition"].lower(), service["state"]
        row = rows.pop(name.lower(), None)
        if edition not in EDITIONS_WITH_BACKUPS:
            continue
        if row is None:
            found.append(f"{name} is missing in the report.")
        elif row["outcome"] != BACKED_UP or not row["backup"]:
            found.append(f"{name} was not backed up: {row['reason'] or row['outcome']}")
        if state != "Active":
            found.append(f"{name} is {state} by the emulator's record; it should be Active again.")
    found += [f"{row['service']} is in the report, but the emulator has no such service." for row in rows.values()]
    return found
