"""``list``, ``show``, ``verify``: the backups in the catalog, and whether one is whole."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from biztalk_services.archive.errors import BackupDamagedError
from biztalk_services.cli.options import open_archive, storage_options
from biztalk_services.cli.printing import moment, printable, warn
from biztalk_services.flows.overview import backup_summary
from biztalk_services.model.durations import spoken
from biztalk_services.model.tables import table

if TYPE_CHECKING:
    from biztalk_services.archive.catalog import QuarantinedBackup
    from biztalk_services.model.backup import BackupReference, InvalidReferenceError

LISTED, NOT_ALL_LISTED = 0, 1
WHOLE, NOT_WHOLE = 0, 1
_HEADINGS = ("backup", "service", "finished (UTC)", "age", "kind", "edition", "items", "verified", "batches", "label")
_LEVELS = {"matched": "every blob", "read": "read only"}


def add_list(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "list",
        parents=[storage_options()],
        help="list the backups in the catalog",
        description="Lists the backups in the catalog, the newest first, and those in quarantine, which are not valid.",
        epilog="Ends with 0 when all are listed, 1 when a record cannot be read, 2 when the catalog cannot be read.",
    )
    meant = "only those of this service (name or scope/name); also one that is deleted"
    parser.add_argument("service", nargs="?", help=meant)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=list_backups)


def list_backups(arguments: argparse.Namespace) -> int:
    """Print what the catalog lists."""
    scope, _, name = (arguments.service or "").strip().rpartition("/")
    service = name or None
    catalog = open_archive(arguments).catalog
    invalid: list[InvalidReferenceError] = []
    backups = catalog.list_references(service, on_invalid=invalid.append)
    quarantined = catalog.list_quarantined(service, on_invalid=invalid.append)
    if scope:
        backups = [each for each in backups if each.scope.lower() == scope.lower()]
        quarantined = [each for each in quarantined if each.reference.scope.lower() == scope.lower()]
    if arguments.json:
        listed = {
            "backups": [backup_summary(each) for each in backups],
            "quarantined": [backup_summary(each.reference) | {"reason": each.reason} for each in quarantined],
            "invalid": [str(error) for error in invalid],
        }
        print(json.dumps(listed, indent=2))
    else:
        where = f"{arguments.catalog}{f', service {arguments.service.strip()}' if service else ''}"
        print(printable(_listed(backups, quarantined, where)))
        for error in invalid:
            warn(str(error))
    return NOT_ALL_LISTED if invalid else LISTED


def add_show(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "show",
        parents=[storage_options()],
        help="show all that is recorded of one backup",
        description="Shows the whole reference of a backup as JSON.",
        epilog="Ends with 0 when it is shown, 2 when there is no such backup or it cannot be read.",
    )
    parser.add_argument("backup", help="name of the backup")
    parser.set_defaults(run=show)


def show(arguments: argparse.Namespace) -> int:
    """Print a backup reference."""
    print(json.dumps(open_archive(arguments).catalog.find(arguments.backup).to_dict(), indent=2))
    return LISTED


def add_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "verify",
        parents=[storage_options()],
        help="read a backup back and compare it with its reference",
        description="Reads every blob of a backup and compares it with what was recorded when it was taken.",
        epilog="Ends with 0 when all is as it was, 1 when a blob is missing, changed or too much, 2 when there is no "
        "such backup or it cannot be read.",
    )
    parser.add_argument("backup", help="name of the backup")
    parser.set_defaults(run=verify)


def verify(arguments: argparse.Namespace) -> int:
    """Read a backup back and print the result."""
    archive = open_archive(arguments)
    reference = archive.catalog.find(arguments.backup)
    try:
        print(f"{reference.place}: {archive.verify(reference)}")
    except BackupDamagedError as error:
        print(printable("\n".join([f"Backup {error.subject} is damaged:", *error.disagreements])))
        return NOT_WHOLE
    return WHOLE


def _listed(backups: list[BackupReference], quarantined: list[QuarantinedBackup], where: str) -> str:
    now = datetime.now(UTC)
    references = [*backups, *(each.reference for each in quarantined)]
    # Only where there are several, for it is long: services of one address then differ by it alone.
    subscriptions = len({each.subscription_id.lower() for each in references}) > 1
    headings = (*_HEADINGS, "subscription") if subscriptions else _HEADINGS
    rows = [_row(each, now)[: len(headings)] for each in backups]
    parts = [table(headings, rows) if rows else f"There is no backup in catalog {where}."]
    if quarantined:
        rows = [(*_row(each.reference, now)[:3], each.reason) for each in quarantined]
        parts += ["In quarantine; these are not valid:", table((*_HEADINGS[:3], "why"), rows)]
    return "\n\n".join(parts)


def _row(reference: BackupReference, now: datetime) -> tuple[str, ...]:
    items, level = reference.item_count, reference.verification.level
    return (
        reference.container,
        f"{reference.scope}/{reference.service}",
        moment(reference.finished_at),
        spoken((now - reference.finished_at).total_seconds()),
        reference.kind,
        reference.edition,
        "unknown" if items is None else str(items),
        _LEVELS.get(level, level),
        "empty" if reference.drain.drained else "not certain",
        reference.label or "",
        reference.subscription_id,
    )
