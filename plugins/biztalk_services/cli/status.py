"""``status``: every service of the subscription, how it stands, and what our records say of it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from biztalk_services.cli.credentials import (
    management_options,
    storage,
    storage_is_given,
    storage_options,
    subscription,
)
from biztalk_services.cli.printing import moment, printable, table
from biztalk_services.flows.suspension import is_same_subscription
from biztalk_services.model.durations import spoken
from biztalk_services.model.errors import BackupServiceError

if TYPE_CHECKING:
    from biztalk_services.model.backup import BackupReference
    from biztalk_services.model.records import Lock, SuspensionRecord
    from biztalk_services.model.service import Service

WELL, NOT_WELL, NOT_ALL_SEEN = 0, 1, 2
_HEADINGS = ("service", "state", "edition")
_RECORD_HEADINGS = ("newest verified backup", "age", "worked on by", "suspended by us")
GONE = "(gone)"
"""Shown as the state of a service that a suspension ticket names and the subscription does not have."""


@dataclass
class Records:
    """What our records say of the services, by name in lower case; ``tickets`` by address in lower case.

    :param unusable: a sentence for each record that cannot be read.
    """

    backups: dict[str, BackupReference] = field(default_factory=dict)
    claims: dict[str, Lock] = field(default_factory=dict)
    tickets: dict[str, SuspensionRecord] = field(default_factory=dict)
    unusable: list[str] = field(default_factory=list)


def add_status(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Make the command known."""
    parser = commands.add_parser(
        "status",
        parents=[management_options(), storage_options()],
        help="show how every service stands",
        description="Shows every service of the subscription with its state, and what our records in the storage "
        "account say of it. Without the storage account's credentials the records are left out.",
        epilog="Ends with 0 when every service is Active and none is due to be back, 1 when one is not Active or is "
        "due, 2 when services or records cannot be read.",
    )
    parser.add_argument("--json", action="store_true", help="answer as JSON")
    parser.set_defaults(run=status)


def status(arguments: argparse.Namespace) -> int:
    """Print how every service stands.

    :returns: exit code.
    :raises BackupServiceError: the services cannot be read.
    """
    now = datetime.now(UTC)
    with subscription(arguments) as client:
        services = client.list_services()
    records, trouble = None, []
    if storage_is_given(arguments):
        try:
            records = _records(arguments, services)
            trouble = records.unusable
        except BackupServiceError as error:
            trouble = [f"What our records say cannot be read. {error}"]
    rows = [_row(service, records, now) for service in services] + _gone(services, records, now)
    if arguments.json:
        print(json.dumps({"services": rows, "trouble": trouble}, indent=2))
    else:
        print(printable(_shown(rows, with_records=records is not None)))
        for sentence in trouble:
            print(printable(sentence), file=sys.stderr)
    if trouble:
        return NOT_ALL_SEEN
    return NOT_WELL if any(row["state"] != "Active" or _is_due(row) for row in rows) else WELL


def _records(arguments: argparse.Namespace, services: list[Service]) -> Records:
    from biztalk_services.archive.backups import Catalog
    from biztalk_services.archive.locks import Locks
    from biztalk_services.archive.suspensions import SuspensionRecords

    client = storage(arguments).client
    claims = Locks(client, arguments.catalog)
    tickets, unusable = SuspensionRecords(client, arguments.catalog).look()
    found = Records(unusable=unusable)
    found.tickets = {ticket.service.lower(): ticket for ticket in tickets if _is_ours(ticket, arguments)}
    for reference in Catalog(client, arguments.catalog).list(on_unusable=lambda error: unusable.append(str(error))):
        if _is_ours(reference, arguments):
            found.backups.setdefault(reference.service.lower(), reference)
    for service in services:
        if claim := claims.of(service.address.name):
            found.claims[service.address.name.lower()] = claim
    return found


def _is_ours(record: BackupReference | SuspensionRecord, arguments: argparse.Namespace) -> bool:
    return is_same_subscription(record.subscription_id, arguments.subscription)


def _row(service: Service, records: Records | None, now: datetime) -> dict[str, Any]:
    row = {
        "service": str(service.address),
        "state": service.state,
        "edition": service.edition,
        "product_version": service.version,
        "region": service.region,
    }
    if records is None:
        return row
    name = service.address.name.lower()
    return row | {
        "backup": _backup(records.backups.get(name), now),
        "claim": _claim(records.claims.get(name)),
        "ticket": _ticket(records.tickets.get(str(service.address).lower()), now),
    }


def _gone(services: list[Service], records: Records | None, now: datetime) -> list[dict[str, Any]]:
    """A row for each service that is not there and has an open ticket."""
    there = {str(service.address).lower() for service in services}
    return [
        {"service": ticket.service, "state": GONE, "edition": None, "product_version": None, "region": None}
        | {
            "backup": _backup(records.backups.get(ticket.service.lower().rpartition("/")[2]), now),
            "claim": None,
            "ticket": _ticket(ticket, now),
        }
        for address, ticket in (records.tickets.items() if records else ())
        if address not in there
    ]


def _backup(reference: BackupReference | None, now: datetime) -> dict[str, Any] | None:
    return reference and {
        "name": reference.container,
        "account": reference.account,
        "finished_at": reference.finished_at.isoformat(),
        "age_seconds": round((now - reference.finished_at).total_seconds()),
        "verified": reference.verification.level,
    }


def _claim(claim: Lock | None) -> dict[str, Any] | None:
    return claim and {
        "dag_id": claim.run.dag_id,
        "run_id": claim.run.run_id,
        "purpose": claim.purpose,
        "until": claim.until.isoformat(),
        "over": claim.is_over(),
    }


def _ticket(ticket: SuspensionRecord | None, now: datetime) -> dict[str, Any] | None:
    return ticket and {
        "dag_id": ticket.run.dag_id,
        "run_id": ticket.run.run_id,
        "reason": ticket.reason,
        "opened_at": ticket.opened_at.isoformat(),
        "back_by": ticket.back_by.isoformat(),
        "due": ticket.back_by <= now,
    }


def _is_due(row: dict[str, Any]) -> bool:
    return bool(row.get("ticket") and row["ticket"]["due"])


def _shown(rows: list[dict[str, Any]], *, with_records: bool) -> str:
    if not rows:
        return "There is no service in this subscription."
    headings = _HEADINGS + (_RECORD_HEADINGS if with_records else ())
    parts = [table(headings, (_cells(row, with_records=with_records) for row in rows))]
    if due := [row["service"] for row in rows if _is_due(row)]:
        them = "it" if len(due) == 1 else "them"
        parts.append(
            f"Due: {', '.join(due)}. We suspended {them}, and the time is over. What brings {them} back: "
            "python -m biztalk_services resume --overdue"
        )
    return "\n\n".join(parts)


def _cells(row: dict[str, Any], *, with_records: bool) -> tuple[str, ...]:
    cells = (row["service"], row["state"], row["edition"] or "unknown")
    if not with_records:
        return cells
    backup, claim, ticket = row["backup"], row["claim"], row["ticket"]
    return (
        *cells,
        backup["name"] if backup else "none",
        spoken(backup["age_seconds"]) if backup else "",
        f"{claim['purpose']}{', over since' if claim['over'] else ', until'} {_time(claim['until'])}" if claim else "",
        f"{ticket['reason']}, {'DUE since' if ticket['due'] else 'back by'} {_time(ticket['back_by'])}"
        if ticket
        else "",
    )


def _time(text: str) -> str:
    return f"{moment(datetime.fromisoformat(text))} UTC"
