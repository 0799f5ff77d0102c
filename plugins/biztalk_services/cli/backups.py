"""``list``, ``show``, ``verify``: the backups that the catalog knows, and whether one is whole."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from biztalk_services.cli.credentials import storage, storage_options
from biztalk_services.cli.printing import moment, printable, table
from biztalk_services.model.durations import spoken

if TYPE_CHECKING:
    from biztalk_services.archive.backups import Catalog, QuarantinedBackup
    from biztalk_services.model.backup import BackupReference

LISTED, NOT_ALL_LISTED = 0, 1
WHOLE, NOT_WHOLE = 0, 1
_HEADINGS = ("backup", "service", "finished (UTC)", "age", "edition", "items", "verified", "batches", "label")
_LEVELS = {"matched": "every blob", "read": "read only"}


def add_list(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Make the command known."""
    parser = commands.add_parser(
        "list",
        parents=[storage_options()],
        help="list the backups in the catalog",
        description="Lists the backups in the catalog, the newest first, and those that were set aside because they do "
        "not count.",
        epilog="Ends with 0 when all are listed, 1 when a record cannot be read, 2 when the catalog cannot be read.",
    )
    parser.add_argument("service", nargs="?", help="only those of this service (its name); also one that is gone")
    parser.add_argument("--json", action="store_true", help="answer as JSON")
    parser.set_defaults(run=list_backups)


def list_backups(arguments: argparse.Namespace) -> int:
    """Print what the catalog lists.

    :param arguments: ``service`` (name, or None for all), ``json``.
    :returns: exit code.
    :raises BackupServiceError: the catalog cannot be read.
    """
    service = (arguments.service or "").rpartition("/")[2] or None
    catalog, unusable = _catalog(arguments), []
    backups = catalog.list(service, on_unusable=unusable.append)
    aside = catalog.list_quarantined(service, on_unusable=unusable.append)
    if arguments.json:
        told = {
            "backups": [_summary(each) for each in backups],
            "set_aside": [_summary(each.reference) | {"reason": each.reason} for each in aside],
            "unusable": [str(error) for error in unusable],
        }
        print(json.dumps(told, indent=2))
    else:
        print(printable(_listed(backups, aside, f"{arguments.catalog}{f', service {service}' if service else ''}")))
        for error in unusable:
            print(printable(str(error)), file=sys.stderr)
    return NOT_ALL_LISTED if unusable else LISTED


def add_show(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Make the command known."""
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
    """Print a backup reference.

    :returns: exit code.
    :raises BackupServiceError: there is no such backup, or it cannot be read.
    """
    reference = find(_catalog(arguments), arguments.backup)
    print(json.dumps(reference.to_dict(), indent=2))
    return LISTED


def add_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Make the command known."""
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
    """Print what reading a backup back has found.

    :returns: exit code.
    :raises BackupServiceError: there is no such backup, or it cannot be read.
    """
    from biztalk_services.archive.verification import BackupDamagedError, compare_with_reference

    reference = find(_catalog(arguments), arguments.backup)
    try:
        print(f"{reference.place}: {compare_with_reference(storage(arguments).client, reference)}")
    except BackupDamagedError as error:
        print(printable("\n".join([f"Backup {error.subject} is not whole:", *error.disagreements])))
        return NOT_WHOLE
    return WHOLE


def find(catalog: Catalog, name: str) -> BackupReference:
    """The reference of a backup by its name, or by its place (``account/name``)."""
    return catalog.find(name.strip().rpartition("/")[2])


def _catalog(arguments: argparse.Namespace) -> Catalog:
    from biztalk_services.archive.backups import Catalog

    return Catalog(storage(arguments).client, arguments.catalog)


def items_of(reference: BackupReference) -> int | None:
    """How many items are in a backup, None when nobody counted."""
    counts = [count for count in reference.items.values() if count is not None]
    return sum(counts) if counts else None


def _summary(reference: BackupReference) -> Mapping[str, Any]:
    return {
        "backup": reference.container,
        "account": reference.account,
        "service": f"{reference.cloud_service}/{reference.service}",
        "subscription_id": reference.subscription_id,
        "edition": reference.edition,
        "product_version": reference.product_version,
        "finished_at": reference.finished_at.isoformat(),
        "items": items_of(reference),
        "bytes": reference.size,
        "verified": reference.verification.level,
        "drained": reference.drain.drained,
        "label": reference.label,
    }


def _listed(backups: list[BackupReference], aside: list[QuarantinedBackup], where: str) -> str:
    parts = []
    if backups:
        now = datetime.now(UTC)
        parts.append(table(_HEADINGS, (_row(each, now) for each in backups)))
    else:
        parts.append(f"There is no backup in catalog {where}.")
    if aside:
        parts.append("Set aside; these do not count:")
        parts.append(
            table(
                ("backup", "service", "finished (UTC)", "why"),
                (
                    (
                        note.reference.container,
                        _address(note.reference),
                        moment(note.reference.finished_at),
                        note.reason,
                    )
                    for note in aside
                ),
            )
        )
    return "\n\n".join(parts)


def _row(reference: BackupReference, now: datetime) -> tuple[str, ...]:
    items, level = items_of(reference), reference.verification.level
    return (
        reference.container,
        _address(reference),
        moment(reference.finished_at),
        spoken((now - reference.finished_at).total_seconds()),
        reference.edition,
        "unknown" if items is None else str(items),
        _LEVELS.get(level, level),
        "empty" if reference.drain.drained else "not certain",
        reference.label or "",
    )


def _address(reference: BackupReference) -> str:
    return f"{reference.cloud_service}/{reference.service}"
