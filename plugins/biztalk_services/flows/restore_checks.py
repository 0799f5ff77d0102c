"""May this backup be restored to this name? The rules that hold for every kind of service; a driver adds its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from biztalk_services.model.backup import BackupReference
from biztalk_services.model.checks import Check
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.requests import REPLACE, RestoreRequest
from biztalk_services.model.run import Run, RunState
from biztalk_services.model.service import Phase, Service, ServiceKey, ServiceRef

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive

SOURCE = "rule of this project"


def can_be_backed_up(service: Service) -> bool:
    """Whether a service can be backed up before it is deleted."""
    return bool(service.has_backups) and "backup" in service.allows


def backup_is_whole(archive: Archive, backup: BackupReference) -> Check:
    """The backup is read back."""
    try:
        return Check("backup-whole", True, archive.verify(backup), SOURCE)
    except BackupServiceError as error:
        return Check("backup-whole", False, str(error), SOURCE)


def same_subscription(backup: BackupReference, subscription_id: str) -> Check:
    same = backup.subscription_id.lower() == subscription_id.lower()
    message = f"The backup was taken in subscription {backup.subscription_id}, " + (
        "the target's." if same else f"and the connection leads to {subscription_id}; use its own connection."
    )
    return Check("same-subscription", same, message, SOURCE)


def name_is_free(request: RestoreRequest, target: ServiceRef, existing: Service | None) -> Check:
    """A restore never overwrites a service; an existing one may be deleted first."""
    if existing is None:
        return Check("name-free", True, f"There is no service {target.name} now.", SOURCE)
    if existing.ref.scope.lower() != target.scope.lower():
        message = f"Service {existing.ref} has the name already, in another scope; choose another name."
        return Check("name-free", False, message, SOURCE)
    if request.existing_service_policy != REPLACE:
        message = (
            f"Service {existing.ref} already exists ({existing.state}); a restore never overwrites it. Choose another "
            "name, or choose in the form that it is backed up, deleted and replaced."
        )
        return Check("name-free", False, message, SOURCE)
    return Check("name-free", True, f"Service {existing.ref} exists, and the request says to replace it.", SOURCE)


def replacement_checks(request: RestoreRequest, existing: Service) -> list[Check]:
    """The rules for deleting an existing service before the restore."""
    return [_can_be_deleted(existing), _safety_backup(request, existing)]


def not_locked(archive: Archive, service: ServiceKey, run: Run | None, run_state: Callable[[Run], RunState]) -> Check:
    """One run a service. The lock of a run that has ended, or of this one, does not count.

    :param run: the run that plans; None outside of a run.
    """
    lock = archive.locks.of(service)
    free = lock is None or lock.is_expired or lock.run == run or run_state(lock.run) is RunState.ENDED
    message = (
        f"Service {service.ref} is not locked by another run."
        if free
        else f"Service {service.ref} is locked by {lock}; wait until that run ends."
    )
    return Check("one-run", free, message, SOURCE)


def _can_be_deleted(existing: Service) -> Check:
    allowed = "delete" in existing.allows
    message = f"Service {existing.ref} is {existing.state}" + (
        ", from which it can be deleted."
        if allowed
        else ", a state that no document has; check the service first."
        if existing.phase is Phase.UNKNOWN
        else "; another operation is under way. Wait until it ends, and check the service."
    )
    return Check("existing-may-be-deleted", allowed, message, "state chart")


def _safety_backup(request: RestoreRequest, existing: Service) -> Check:
    if can_be_backed_up(existing):
        message = f"Service {existing.ref} is backed up and the backup read back before it is deleted."
        return Check("safety-backup", True, message, SOURCE)
    message = f"Service {existing.ref} ({existing.edition}, {existing.state}) cannot be backed up before it is deleted"
    if request.without_safety_backup:
        return Check("safety-backup", True, f"{message}; the request says to delete it all the same.", SOURCE)
    remedy = "Repair it first, or choose in the form that it is deleted without a backup."
    return Check("safety-backup", False, f"{message}. {remedy}", SOURCE)
