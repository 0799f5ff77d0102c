"""``status``: every service of the subscription, its state, and what the archive has of it."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from typing import Any

from biztalk_services.cli.options import open_archive, storage_is_given, storage_options
from biztalk_services.cli.printing import moment, printable, warn
from biztalk_services.cli.shell import shell
from biztalk_services.flows.expected import ExpectedBackups
from biztalk_services.flows.night import NightSeen, nights_now
from biztalk_services.flows.overview import is_due, is_overdue, read_records, service_rows
from biztalk_services.model.choices import add_option
from biztalk_services.model.durations import spoken
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.service import Phase
from biztalk_services.model.tables import table

HEALTHY, NOT_HEALTHY, NOT_ALL_READ = 0, 1, 2
_HEADINGS = ("service", "state", "edition")
_RECORD_HEADINGS = ("newest verified backup", "age", "locked for", "suspended by a run")


def add_status(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "status",
        parents=[shell().connection_options(), storage_options()],
        help="show the state of every service",
        description="Shows every service of the subscription with its state, and what the archive in the storage "
        "account has of it; and how far the nightly backup is, or how the last one ended. Without the storage "
        "account's credentials the archive is left out.",
        epilog="Ends with 0 when every service is running, none is due to be resumed and no backup is overdue; 1 when "
        "one is not running, is due, or has an overdue backup; 2 when services or records cannot be read.",
    )
    add_option(
        parser,
        "--expected-backup-hours",
        type=_expected,
        default="30",
        help="how old the newest verified backup of a service may be, in hours; behind that pattern=hours or "
        "pattern=never for services of other names, separated by blanks. A service that never had a backup is overdue "
        "so long after Airflow first saw it (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=status)


def status(arguments: argparse.Namespace) -> int:
    """Print the state of every service."""
    with shell().open_driver(arguments) as driver:
        problems: list[str] = []
        services, subscription_id = driver.list_services(on_unread=problems.append), driver.subscription_id
    nights: list[NightSeen] = []
    records, now = None, datetime.now(UTC)
    if storage_is_given(arguments):
        try:
            archive = open_archive(arguments)
            records = read_records(archive, services, subscription_id, arguments.expected_backup_hours, now)
            problems += records.invalid
            nights, unread = nights_now(archive, now)
            problems += unread
        except BackupServiceError as error:
            problems.append(f"The archive cannot be read. {error}")
    rows = service_rows(services, records, now)
    if arguments.json:
        seen = [each.to_dict(now) for each in nights]
        print(json.dumps({"services": rows, "nights": seen, "problems": problems}, indent=2))
    else:
        sentences = [each.sentence(now) for each in nights]
        print(printable(_shown(rows, sentences, with_records=records is not None)))
        for sentence in problems:
            warn(sentence)
    if problems:
        return NOT_ALL_READ
    is_healthy = all(row["phase"] == Phase.RUNNING and not is_due(row) and not is_overdue(row) for row in rows)
    return HEALTHY if is_healthy else NOT_HEALTHY


def _expected(text: str) -> ExpectedBackups:
    try:
        return ExpectedBackups.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _shown(rows: list[dict[str, Any]], nights: list[str], *, with_records: bool) -> str:
    if not rows:
        return "There is no service in this subscription."
    headings = _HEADINGS + (_RECORD_HEADINGS if with_records else ())
    parts = [table(headings, [_cells(row, with_records=with_records) for row in rows]), *nights]
    if due := [row["service"] for row in rows if is_due(row)]:
        them = "it" if len(due) == 1 else "them"
        parts.append(
            f"Due: {', '.join(due)}. A run suspended {them}, and the deadline has passed. This resumes {them}: "
            "python -m biztalk_services resume --overdue"
        )
    if overdue := [row["service"] for row in rows if is_overdue(row)]:
        parts.append(
            f"Overdue: {', '.join(overdue)}. No verified backup is recent enough (--expected-backup-hours). Check "
            "whether the nightly backup runs."
        )
    return "\n\n".join(parts)


def _cells(row: dict[str, Any], *, with_records: bool) -> tuple[str, ...]:
    cells = (row["service"], row["state"], row["edition"] or "unknown")
    if not with_records:
        return cells
    backup, lock, suspension = row["backup"], row["lock"], row["suspension"]
    return (
        *cells,
        backup["name"] if backup else "none",
        ", ".join([*([spoken(backup["age_seconds"])] if backup else []), *(["OVERDUE"] if is_overdue(row) else [])]),
        f"{_purpose(lock, 'purpose')}, {'expired' if lock['expired'] else 'until'} {_time(lock['until'])}"
        if lock
        else "",
        f"{_purpose(suspension, 'reason')}, {'DUE since' if suspension['due'] else 'until'} "
        f"{_time(suspension['resume_by'])}"
        if suspension
        else "",
    )


def _purpose(record: dict[str, Any], name: str) -> str:
    """What a run works on the service for, and in which Airflow, where that is recorded."""
    return f"{record[name]} in Airflow {record['airflow']}" if record["airflow"] else str(record[name])


def _time(text: str) -> str:
    return f"{moment(datetime.fromisoformat(text))} UTC"
