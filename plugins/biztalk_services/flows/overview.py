"""What a person requests: every service, its state, and what the archive has of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from biztalk_services.archive.errors import StorageError
from biztalk_services.flows.backup_ages import backup_age, newest_backup
from biztalk_services.flows.expected import ExpectedBackups
from biztalk_services.model.backup import BackupReference
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.records import Lock, SuspensionRecord
from biztalk_services.model.service import Service, ServiceKey
from biztalk_services.model.steps import BackupAge

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive

DELETED = "(deleted)"
"""Shown as the state of a service that a suspension record names and the subscription does not have."""


@dataclass
class Records:
    """What the archive has of the services of a subscription.

    Each is by the address of its service in lower case.

    :param backups: the newest verified one of each service.
    :param ages: of the services that are expected to have a backup.
    :param invalid: a sentence for each record that cannot be read.
    """

    backups: dict[str, BackupReference]
    ages: dict[str, BackupAge]
    locks: dict[str, Lock]
    suspensions: dict[str, SuspensionRecord]
    invalid: list[str]


def read_records(
    archive: Archive, services: Sequence[Service], subscription_id: str, expected: ExpectedBackups, now: datetime
) -> Records:
    """What the archive has of these services.

    :param now: aware.
    :raises StorageError: the account was not reached or refused.
    """
    open_records, invalid = archive.suspensions.list_open()
    suspensions = {each.service.lower(): each for each in open_records if each.is_of(subscription_id)}
    records = Records({}, {}, {}, suspensions, invalid)
    known = {ServiceKey(subscription_id, service.ref): service for service in services}
    for key in dict.fromkeys([*known, *(each.key for each in suspensions.values())]):
        try:
            _read(archive, key, known.get(key), expected.allowed(key.ref.name), records, now)
        except BackupServiceError as error:
            if isinstance(error, StorageError) and error.of_account:
                raise
            invalid.append(f"Not everything about service {key.ref} can be read. {error}")
    return records


def _read(
    archive: Archive,
    key: ServiceKey,
    service: Service | None,
    allowed: timedelta | None,
    records: Records,
    now: datetime,
) -> None:
    address = str(key.ref).lower()
    if lock := archive.locks.of(key):
        records.locks[address] = lock
    if newest := newest_backup(archive.catalog, key, now, records.invalid.append):
        records.backups[address] = newest
    if allowed is not None and service and service.has_backups is not False:
        first_seen = None if newest else archive.backup_ages.first_seen(key)
        records.ages[address] = backup_age(key, newest, first_seen, allowed, now)


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


def is_overdue(row: dict[str, Any]) -> bool:
    """Whether the service of a row has no verified backup that is recent enough."""
    return bool(row.get("backup_overdue"))


def is_due(row: dict[str, Any]) -> bool:
    """Whether the service of a row was suspended by a run, and had to be resumed by now."""
    return bool(row.get("suspension") and row["suspension"]["due"])


def _recorded(service: str, records: Records | None, now: datetime) -> dict[str, Any]:
    if records is None:
        return {}
    address = service.lower()
    backup, age = records.backups.get(address), records.ages.get(address)
    lock, suspension = records.locks.get(address), records.suspensions.get(address)
    return {
        "backup": _backup(backup, now) if backup else None,
        "backup_overdue": age.overdue if age else None,
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
        "airflow": lock.run.airflow,
        "dag_id": lock.run.dag_id,
        "run_id": lock.run.run_id,
        "purpose": lock.purpose,
        "until": lock.until.isoformat(),
        "expired": lock.is_expired,
    }


def _suspension(record: SuspensionRecord, now: datetime) -> dict[str, Any]:
    return {
        "airflow": record.run.airflow,
        "dag_id": record.run.dag_id,
        "run_id": record.run.run_id,
        "reason": record.reason,
        "opened_at": record.opened_at.isoformat(),
        "resume_by": record.resume_by.isoformat(),
        "due": record.resume_by <= now,
    }
