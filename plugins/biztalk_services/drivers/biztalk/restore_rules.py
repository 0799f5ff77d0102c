"""May this backup be restored as this service? Every rule answers, kept or broken, so that a plan can show them all.

Sources: "BizTalk Services: Backup and Restore" (2014), Restore BizTalk Service from Backup (dn232344), the state chart
and the editions charts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from biztalk_services.drivers.biztalk.connection_strings import tracking_database
from biztalk_services.drivers.biztalk.editions import ORDER, QUOTAS, is_lower
from biztalk_services.drivers.biztalk.state_chart import StateKind, state_kind, states_allowing
from biztalk_services.model.checks import Check

if TYPE_CHECKING:
    from biztalk_services.model.service import Service

SEED = "BizTalk Services: Backup and Restore"
RESTORE = "Restore BizTalk Service from Backup (dn232344)"
EDITIONS = "editions chart"
CHART = "state chart"
PROJECT = "rule of this project"

_SERVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{4,18}[A-Za-z0-9]", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Intention:
    """What is to be restored as what.

    :param backup_subscription: subscription of the service that was backed up.
    :param backup_edition: its edition, lower case.
    :param backup_version: its product version; None when not known.
    :param agreements: how many agreements are in the backup; None when not known.
    :param subscription: subscription of the target.
    :param cloud_service: cloud service of the target.
    :param name: name of the target.
    :param edition: edition of the target, lower case.
    :param unit_count: scale units of the target; None when not known.
    :param tracking_database: ``server/database`` of the target in lower case; None when not known.
    :param archiving: whether the target is to archive messages.
    :param replace: whether a living service of the target's name may be deleted.
    :param without_safety_backup: whether it may be deleted without a backup of it.
    """

    backup_subscription: str
    backup_edition: str
    backup_version: str | None
    agreements: int | None
    subscription: str
    cloud_service: str
    name: str
    edition: str
    unit_count: int | None
    tracking_database: str | None
    archiving: bool
    replace: bool
    without_safety_backup: bool


def may_be_backed_up_first(living: Service) -> bool:
    """Whether a living service can be backed up before it is deleted."""
    return (living.edition or "") in ORDER and living.state in states_allowing("backup")


def restore_checks(wanted: Intention, living: Service | None, others: Iterable[Service]) -> list[Check]:
    """
    Every rule with its verdict.

    :param wanted: what is to be restored as what.
    :param living: the service of the target's name, None when there is none.
    :param others: all other services of the subscription.
    """
    found = [
        _subscription(wanted),
        _edition_has_restore(wanted),
        *_edition_not_lower(wanted),
        *_quota(wanted),
        _version(wanted, living),
        _name(wanted),
        _name_free(wanted, living),
    ]
    if living and wanted.replace:
        found += [_may_be_deleted(living), _way_back(wanted, living)]
    return [*found, _tracking(wanted, others), *_archiving(wanted)]


def _subscription(wanted: Intention) -> Check:
    same = wanted.backup_subscription.lower() == wanted.subscription.lower()
    sentence = f"The backup was taken in subscription {wanted.backup_subscription}, " + (
        "the target's." if same else f"and the connection leads to {wanted.subscription}; use its own connection."
    )
    return Check("same-subscription", same, sentence, PROJECT)


def _edition_has_restore(wanted: Intention) -> Check:
    lacking = [edition for edition in (wanted.backup_edition, wanted.edition) if edition not in ORDER]
    if lacking:
        sentence = f"The {lacking[0]} edition has no backup and restore; choose one of {', '.join(ORDER)}."
        return Check("edition-has-restore", False, sentence, f"{SEED}; {RESTORE}")
    return Check("edition-has-restore", True, f"The {wanted.edition} edition has restore.", f"{SEED}; {RESTORE}")


def _edition_not_lower(wanted: Intention) -> list[Check]:
    if wanted.backup_edition not in ORDER or wanted.edition not in ORDER:
        return []
    lower = is_lower(wanted.edition, wanted.backup_edition)
    sentence = f"A {wanted.backup_edition} backup is restored as {wanted.edition}" + (
        ", which is lower; choose the same or a higher edition." if lower else ", the same or a higher edition."
    )
    return [Check("edition-not-lower", not lower, sentence, f"{SEED}; {RESTORE}")]


def _quota(wanted: Intention) -> list[Check]:
    quota = QUOTAS.get(wanted.edition)
    if quota is None or wanted.unit_count is None:
        return []
    units = f"{wanted.unit_count} scale units of the {wanted.edition} edition"
    if not 1 <= wanted.unit_count <= quota.units:
        sentence = f"There are no {units}: it has 1 to {quota.units}."
        return [Check("units-within-quota", False, sentence, EDITIONS)]
    allowed = quota.agreements * wanted.unit_count
    if wanted.agreements is None:
        return []
    fits = wanted.agreements <= allowed
    sentence = f"{units} hold {allowed} agreements, and the backup has {wanted.agreements}" + (
        "." if fits else "; choose more units or a higher edition."
    )
    return [Check("content-within-quota", fits, sentence, EDITIONS)]


def _version(wanted: Intention, living: Service | None) -> Check:
    """A living service of the target's name shows which version is wanted there; without one the backup's is asked for,
    and the service says whether it still has it."""
    if not wanted.backup_version:
        sentence = "The backup does not say its product version, so nobody knows whether it can be restored."
        return Check("same-version", False, sentence, SEED)
    if living and living.version and living.version != wanted.backup_version:
        sentence = (
            f"The backup is of version {wanted.backup_version}, and service {living.address} is of version "
            f"{living.version} now; a backup is restored to its own version only. Choose a backup of version "
            f"{living.version}."
        )
        return Check("same-version", False, sentence, SEED)
    sentence = f"The backup is of version {wanted.backup_version} and is restored as such."
    return Check("same-version", True, sentence, SEED)


def _name(wanted: Intention) -> Check:
    fits = bool(_SERVICE_NAME.fullmatch(wanted.name))
    sentence = (
        f"{wanted.name} can be the name of a service."
        if fits
        else f"{wanted.name!r} cannot be the name of a service: it takes 6 to 20 letters, digits and dashes, "
        "beginning and ending with a letter or digit."
    )
    return Check("target-name", fits, sentence, RESTORE)


def _name_free(wanted: Intention, living: Service | None) -> Check:
    if living is None:
        return Check("name-free", True, f"There is no service {wanted.name} now.", SEED)
    if living.address.cloud_service.lower() != wanted.cloud_service.lower():
        sentence = f"Service {living.address} has the name already, in another cloud service; choose another name."
        return Check("name-free", False, sentence, SEED)
    if not wanted.replace:
        sentence = (
            f"Service {living.address} lives ({living.state}), and a restore to its name needs it deleted. Choose "
            "another name, or choose in the form that it is backed up, deleted and replaced."
        )
        return Check("name-free", False, sentence, SEED)
    return Check("name-free", True, f"Service {living.address} lives, and the request says to replace it.", SEED)


def _may_be_deleted(living: Service) -> Check:
    allowed = living.state in states_allowing("delete")
    sentence = f"Service {living.address} is {living.state}" + (
        ", from which it can be deleted."
        if allowed
        else "; another operation is under way there. Wait for its end, and look at the service."
        if state_kind(living.state) is not StateKind.UNKNOWN
        else ", a state that no document has; look at the service first."
    )
    return Check("living-may-be-deleted", allowed, sentence, CHART)


def _way_back(wanted: Intention, living: Service) -> Check:
    if may_be_backed_up_first(living):
        sentence = f"Service {living.address} is backed up and the backup read back before it is deleted."
        return Check("way-back", True, sentence, PROJECT)
    sentence = f"Service {living.address} ({living.edition}, {living.state}) cannot be backed up before it is deleted"
    if wanted.without_safety_backup:
        return Check("way-back", True, f"{sentence}; the request says to delete it all the same.", PROJECT)
    return Check(
        "way-back",
        False,
        f"{sentence}. Repair it first, or say in the form that it is deleted without a backup.",
        PROJECT,
    )


def _tracking(wanted: Intention, others: Iterable[Service]) -> Check:
    source = "provisioning: a tracking database serves one service"
    if wanted.tracking_database is None:
        sentence = "Which tracking database the restored service gets is not known; name a connection to it."
        return Check("tracking-database-own", False, sentence, source)
    users = [each for each in others if tracking_database(each.settings) == wanted.tracking_database]
    if users:
        sentence = (
            f"Tracking database {wanted.tracking_database} serves {users[0].address} already, and two services "
            "cannot share one. Make a new database, and name a connection to it."
        )
        return Check("tracking-database-own", False, sentence, source)
    return Check(
        "tracking-database-own", True, f"No other service uses tracking database {wanted.tracking_database}.", source
    )


def _archiving(wanted: Intention) -> list[Check]:
    quota = QUOTAS.get(wanted.edition)
    if not wanted.archiving or quota is None or quota.archiving:
        return []
    sentence = f"The {wanted.edition} edition does not archive messages; leave the archiving store out."
    return [Check("archiving-in-edition", False, sentence, EDITIONS)]
