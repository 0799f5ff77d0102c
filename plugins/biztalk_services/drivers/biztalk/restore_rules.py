"""May this backup be restored as this BizTalk service? Every rule has its verdict, so that a plan shows them all.

Sources: "BizTalk Services: Backup and Restore" (2014), Restore BizTalk Service from Backup (dn232344) and the editions
charts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from biztalk_services.drivers.biztalk.connection_strings import tracking_database
from biztalk_services.drivers.biztalk.editions import ORDER, QUOTAS, is_lower
from biztalk_services.model.checks import Check
from biztalk_services.model.service import Service

SEED = "BizTalk Services: Backup and Restore"
RESTORE = "Restore BizTalk Service from Backup (dn232344)"
EDITIONS = "editions chart"

_SERVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{4,18}[A-Za-z0-9]", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Intention:
    """What is to be restored as what; None when not known.

    :param backup_edition: lower case, as ``edition``.
    :param agreements: how many are in the backup.
    :param name: of the target, so all that follow.
    :param tracking_database: ``server/database`` in lower case.
    :param archiving: whether it is to archive messages.
    """

    backup_edition: str
    backup_version: str | None
    agreements: int | None
    name: str
    edition: str
    unit_count: int | None
    tracking_database: str | None
    archiving: bool


def restore_checks(wanted: Intention, existing: Service | None, others: Iterable[Service]) -> list[Check]:
    """Every rule of this kind of service that applies, with its verdict.

    :param existing: the service of the target's name, None when there is none.
    :param others: all other services of the subscription.
    """
    checks = (
        _edition_has_restore(wanted),
        _edition_not_lower(wanted),
        _quota(wanted),
        _version(wanted, existing),
        _name(wanted),
        _tracking(wanted, others),
        _archiving(wanted),
    )
    return [check for check in checks if check]


def _edition_has_restore(wanted: Intention) -> Check:
    message = f"The {wanted.edition} edition has restore."
    lacking = [edition for edition in (wanted.backup_edition, wanted.edition) if edition not in ORDER]
    if lacking:
        message = f"The {lacking[0]} edition has no backup and restore; choose one of {', '.join(ORDER)}."
    return Check("edition-has-restore", not lacking, message, f"{SEED}; {RESTORE}")


def _edition_not_lower(wanted: Intention) -> Check | None:
    if wanted.backup_edition not in ORDER or wanted.edition not in ORDER:
        return None
    lower = is_lower(wanted.edition, wanted.backup_edition)
    verdict = "which is lower; choose the same or a higher edition" if lower else "the same or a higher edition"
    message = f"A {wanted.backup_edition} backup is restored as {wanted.edition}, {verdict}."
    return Check("edition-not-lower", not lower, message, f"{SEED}; {RESTORE}")


def _quota(wanted: Intention) -> Check | None:
    quota = QUOTAS.get(wanted.edition)
    if quota is None or wanted.unit_count is None:
        return None
    units = f"{wanted.unit_count} scale units of the {wanted.edition} edition"
    if not 1 <= wanted.unit_count <= quota.units:
        return Check("units-within-quota", False, f"There are no {units}: it has 1 to {quota.units}.", EDITIONS)
    if wanted.agreements is None:
        return None
    allowed = quota.agreements * wanted.unit_count
    fits = wanted.agreements <= allowed
    remedy = "" if fits else "; choose more units or a higher edition"
    message = f"{units} hold {allowed} agreements, and the backup has {wanted.agreements}{remedy}."
    return Check("content-within-quota", fits, message, EDITIONS)


def _version(wanted: Intention, existing: Service | None) -> Check:
    """An existing service of the target's name shows which version is wanted there; without one the backup's is
    requested, and the service reports whether it still has it."""
    broken = None
    if not wanted.backup_version:
        broken = "The backup does not record its product version, so it is unknown whether it can be restored."
    elif existing and existing.version and existing.version != wanted.backup_version:
        broken = (
            f"The backup is of version {wanted.backup_version}, and service {existing.ref} is of version "
            f"{existing.version} now; a backup is restored to its own version only. Choose a backup of version "
            f"{existing.version}."
        )
    kept = f"The backup is of version {wanted.backup_version} and is restored as such."
    return Check("same-version", not broken, broken or kept, SEED)


def _name(wanted: Intention) -> Check:
    message = f"{wanted.name} is a valid name of a service."
    fits = bool(_SERVICE_NAME.fullmatch(wanted.name))
    if not fits:
        message = (
            f"{wanted.name!r} is not a valid name of a service: it takes 6 to 20 letters, digits and dashes, "
            "beginning and ending with a letter or digit."
        )
    return Check("target-name", fits, message, RESTORE)


def _tracking(wanted: Intention, others: Iterable[Service]) -> Check:
    broken, database = None, wanted.tracking_database
    users = [each.ref for each in others if tracking_database(each.settings) == database]
    if database is None:
        broken = "The tracking database of the restored service is not known; name a connection to it."
    elif users:
        broken = (
            f"Tracking database {database} serves {users[0]} already, and two services cannot share one. Create a new "
            "database, and name a connection to it."
        )
    kept = f"No other service uses tracking database {database}."
    source = "provisioning: a tracking database serves one service"
    return Check("tracking-database-own", not broken, broken or kept, source)


def _archiving(wanted: Intention) -> Check | None:
    quota = QUOTAS.get(wanted.edition)
    if not wanted.archiving or quota is None or quota.archiving:
        return None
    message = f"The {wanted.edition} edition does not archive messages; leave the archiving store out."
    return Check("archiving-in-edition", False, message, EDITIONS)
