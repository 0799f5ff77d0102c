"""What a person requests: every service, its state, and what the archive has of it; the backups of the catalog."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from biztalk_services.model.backup import BackupReference
from biztalk_services.model.records import Lock, SuspensionRecord
from biztalk_services.model.service import Service

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive

DELETED = "(deleted)"
"""Shown as the state of a service that a suspension record names and the subscription does not have."""


@dataclass
class Records:
    """What the archive has of the services of a subscription.

    :param backups: the newest of each service, like its lock by its name in lower case.
    :param suspensions: by address in lower case.
    :param invalid: a sentence for each record that cannot be read.
    """

    backups: dict[str, BackupReference]
    locks: dict[str, Lock]
    suspensions: dict[str, SuspensionRecord]
    invalid: list[str]


def read_records(archive: Archive, services: Sequence[Service], subscription_id: str) -> Records:
    """What the archive has of these services.

    :raises StorageError: the account was not reached or refused.
    """
    open_records, invalid = archive.suspensions.list_open()
    suspensions = {each.service.lower(): each for each in open_records if each.is_of(subscription_id)}
    backups: dict[str, BackupReference] = {}
    for reference in archive.catalog.list_references(on_invalid=lambda error: invalid.append(str(error))):
        if reference.subscription_id.lower() == subscription_id.lower():
            backups.setdefault(reference.service.lower(), reference)
    names = [service.ref.name for service in services]
    locks = {name.lower(): lock for name in names if (lock := archive.locks.of(name))}
    return Records(backups, locks, suspensions, invalid)


def service_rows(services: Sequence[Service], records: Records | None, now: datetime) -> list[dict[str, Any]]:
    """One row a service, plain JSON: also one that does not exist any more and has an open suspension record.

    :param records: None: without what the archive has.
    :param now: aware.
    """
    rows = []
    for service in services:
        row: dict[str, Any] = {
            "service": str(service.ref),
            "state": service.state,
            "phase": service.phase.value,
            "edition": service.edition,
            "product_version": service.version,
            "region": service.region,
        }
        rows.append(row | _recorded(row["service"], records, now))
    existing = {str(service.ref).lower() for service in services}
    for address, record in records.suspensions.items() if records else ():
        if address not in existing:
            unknown = dict.fromkeys(("phase", "edition", "product_version", "region"))
            row = {"service": record.service, "state": DELETED, **unknown}
            rows.append(row | _recorded(record.service, records, now))
    return rows


def is_due(row: dict[str, Any]) -> bool:
    """Whether the service of a row was suspended by a run, and had to be resumed by now."""
    return bool(row.get("suspension") and row["suspension"]["due"])


def backup_summary(reference: BackupReference) -> dict[str, Any]:
    """A backup in a list, plain JSON."""
    return {
        "backup": reference.container,
        "account": reference.account,
        "service": f"{reference.scope}/{reference.service}",
        "subscription_id": reference.subscription_id,
        "kind": reference.kind,
        "edition": reference.edition,
        "product_version": reference.product_version,
        "finished_at": reference.finished_at.isoformat(),
        "items": reference.item_count,
        "bytes": reference.size,
        "verified": reference.verification.level,
        "drained": reference.drain.drained,
        "label": reference.label,
    }


def _recorded(service: str, records: Records | None, now: datetime) -> dict[str, Any]:
    if records is None:
        return {}
    address = service.lower()
    name = address.rpartition("/")[2]
    backup, lock, suspension = records.backups.get(name), records.locks.get(name), records.suspensions.get(address)
    return {
        "backup": _backup(backup, now) if backup else None,
        "lock": _lock(lock) if lock else None,
        "suspension": _suspension(suspension, now) if suspension else None,
    }


def _backup(reference: BackupReference, now: datetime) -> dict[str, Any]:
    return {
        "name": reference.container,
        "account": reference.account,
        "kind": reference.kind,
        "finished_at": reference.finished_at.isoformat(),
        "age_seconds": round((now - reference.finished_at).total_seconds()),
        "verified": reference.verification.level,
    }


def _lock(lock: Lock) -> dict[str, Any]:
    return {
        "dag_id": lock.run.dag_id,
        "run_id": lock.run.run_id,
        "purpose": lock.purpose,
        "until": lock.until.isoformat(),
        "expired": lock.is_expired,
    }


def _suspension(record: SuspensionRecord, now: datetime) -> dict[str, Any]:
    return {
        "dag_id": record.run.dag_id,
        "run_id": record.run.run_id,
        "reason": record.reason,
        "opened_at": record.opened_at.isoformat(),
        "resume_by": record.resume_by.isoformat(),
        "due": record.resume_by <= now,
    }
