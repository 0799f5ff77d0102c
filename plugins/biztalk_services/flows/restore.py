"""Carries a plan out: deletes the existing service, requests the restore, compares the result, advances its numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from biztalk_services.archive.errors import BackupDamagedError
from biztalk_services.drivers.base import Capability
from biztalk_services.flows.backup import advance, require_quiesced
from biztalk_services.flows.find import find_service
from biztalk_services.flows.job import Job
from biztalk_services.flows.submit_once import Entry, submit_once
from biztalk_services.model.backup import BackupReference
from biztalk_services.model.control_numbers import NumberRow
from biztalk_services.model.differences import differences
from biztalk_services.model.errors import BackupServiceError, OperationNotAllowedError, OutcomeUnknownError, ServerError
from biztalk_services.model.plan import RestorePlan
from biztalk_services.model.requests import EXACT, RAISE
from biztalk_services.model.service import Operation
from biztalk_services.model.steps import ReachedState, StartedOperation, VerifiedRestore

_DELETE, _RESTORE = "delete", "restore"
_SHORTEST_PAUSE, _LONGEST_PAUSE = 3.0, 60.0
"""Seconds between two requests for a name that is still held: at most a twentieth of the time already waited, within
these."""


class SafetyBackupLostError(BackupServiceError):
    """The safety backup is not whole any more; nothing was deleted."""


class DeletionNotStartedError(BackupServiceError):
    """A deletion was requested, and the service is not being deleted."""


class NameNotFreeError(BackupServiceError):
    """The service is deleted, and its name is still held."""

    default_advice = "retry"


class RestoreMismatchError(BackupServiceError):
    """The restored service does not hold what the backup held."""


class ControlNumbersOpenError(BackupServiceError):
    """Control numbers that a person has to advance before the service is resumed."""


def delete_service(
    job: Job, *, etag: str | None, safety_backup: BackupReference | None, quiesced: ReachedState | None
) -> StartedOperation:
    """Request the deletion of a service, once.

    :param etag: that the service must still have, so that what was approved is what is deleted.
    :param safety_backup: read back first; None: the service is deleted without one, as approved.
    :param quiesced: the service when it was quiesced for that backup; None: it is deleted as it is.
    :raises SafetyBackupLostError: the safety backup is not whole.
    :raises NotQuiescedError: the service is not as it was when it was backed up.
    :raises DeletionNotStartedError: the deletion was requested before, and is not under way.
    """
    job.lock("restore")

    def prepare() -> Entry:
        if safety_backup:
            _require_whole(job, safety_backup)
        if quiesced:
            require_quiesced(job, job.service().state, quiesced)
        return {"requested_at": datetime.now(UTC).isoformat()}

    def adopt(entry: Entry) -> bool:
        service = find_service(job.driver, job.ref)
        if service and not service.may_be_under("delete"):
            raise DeletionNotStartedError(
                f"The deletion of service {job.ref} was requested, and it is {service.state}. It is not requested "
                "again; check the service, and start another restore."
            )
        return True

    def submit(entry: Entry) -> Operation:
        try:
            operation = job.driver.delete(job.ref, request_id=job.request_id(_DELETE), if_match=etag)
        except (OutcomeUnknownError, ServerError) as lost:
            job.log.warning("%s", lost)
            adopt(entry)
            return Operation(None)
        job.log.info("Requested the deletion of %s: operation %s.", job.ref, operation.operation_id)
        return operation

    entry = submit_once(job.journal, _DELETE, prepare=prepare, adopt=adopt, submit=submit, recheck=True)
    return StartedOperation(entry["operation_id"])


def start_restore(job: Job, plan: RestorePlan, *, name_deadline: timedelta) -> StartedOperation:
    """Request the restore of a backup as a service that does not exist; one that a restore has made since is adopted.

    :param name_deadline: how long the name may still be held after the first request.
    :raises NameNotFreeError: the name is still held.
    :raises OperationNotAllowedError: a service of this name exists.
    """
    job.lock("restore")
    existing = find_service(job.driver, job.ref)

    def prepare() -> Entry:
        if existing is not None:
            raise OperationNotAllowedError(
                f"Service {job.ref} already exists ({existing.state}); a restore never overwrites it. No request was "
                "sent; check the service, and start another restore.",
                advice="stop",
            )
        return {"requested_at": datetime.now(UTC).isoformat()}

    def adopt(entry: Entry) -> bool:
        if existing is None:
            return False
        operation = existing.last_operation
        if not operation or (operation.operation_type or "").lower() != "restore":
            raise OperationNotAllowedError(
                f"Service {job.ref} was created while its restore was being requested, and not by a restore; it is "
                f"{existing.state}. No further request was sent; check the service.",
                advice="stop",
            )
        job.log.info("An earlier try started the restore of %s; adopting it.", job.ref)
        return True

    def submit(entry: Entry) -> Operation:
        # Else the watchdog would take the restored service, which arrives suspended, for the one that it replaces.
        reason = "deleted; its name is used again"
        job.archive.suspensions.close_all(job.key, by=str(job.run), reason=reason)
        try:
            operation = job.driver.start_restore(plan, job.archive.account, request_id=job.request_id(_RESTORE))
        except OperationNotAllowedError as held:
            raise _name_not_free(job, entry, held, name_deadline) from None
        job.log.info("Requested the restore of %s: operation %s.", job.ref, operation.operation_id)
        return operation

    entry = submit_once(job.journal, _RESTORE, prepare=prepare, adopt=adopt, submit=submit, forget=lambda error: False)
    advance(job, _RESTORE, entry)
    return StartedOperation(entry["operation_id"])


def verify_restore(job: Job, plan: RestorePlan, differing: list[str]) -> VerifiedRestore:
    """Compare what a restored service holds with what was recorded at its backup.

    :param differing: takes what is different and was not requested, one sentence each.
    :raises RestoreMismatchError: something is different that was not requested, or the backup has no inventory; worth a
        retry where nothing is known to differ, and part of the restored service could not be read.
    """
    recorded, name = job.archive.catalog.inventory_of(plan.backup), plan.backup.container
    if recorded is None:
        raise RestoreMismatchError(
            f"Backup {name} has no inventory; the restored service {job.ref} cannot be compared. Check it before it is "
            "resumed."
        )
    service = job.service()
    now = job.driver.inventory(service, plan.request.overrides)
    found = differences(recorded, now, allowed=job.driver.expected_differences(plan))
    for difference in found:
        log = job.log.info if difference.allowed else job.log.error
        log(difference.sentence())
    unexpected = [difference for difference in found if not difference.allowed]
    deviations = job.driver.deviations(plan, service)
    differing += [*(difference.sentence() for difference in unexpected), *deviations]
    if differing:
        unread = all(each.change == "not comparable" and each.before is None for each in unexpected) and not deviations
        raise RestoreMismatchError(
            f"Service {job.ref} is not what was backed up as {name}: {' '.join(differing)} It is {service.state}; "
            "check it before it is resumed.",
            advice="check" if unread else "stop",
        )
    checked = f"All {len(now.items)} items and {len(now.settings)} settings of {job.ref} are as at the backup."
    job.log.info(checked)
    return VerifiedRestore(checked, tuple(each.sentence() for each in found))


def advance_control_numbers(job: Job, plan: RestorePlan, rows: list[NumberRow]) -> None:
    """Make sure that a restored service gives out no control number that was used since its backup.

    :param rows: takes one row an agreement and kind that was used since.
    :raises ControlNumbersOpenError: numbers cannot be advanced as requested.
    """
    job.lock("restore")
    policy = plan.request.control_numbers
    if policy == EXACT:
        job.log.warning(
            "Control numbers stay as they were at the backup, as requested; numbers used since are given out again."
        )
        return
    if Capability.CONTROL_NUMBERS not in job.driver.info.capabilities:
        job.log.info("A %s has no control numbers to advance.", job.driver.info.title)
        return
    service = job.service()
    done = job.driver.advance_control_numbers(
        service,
        plan,
        job.archive.catalog.inventory_of(plan.backup),
        job.driver.control_numbers_since(plan.backup.service, plan.backup.started_at),
        apply=policy == RAISE,
    )
    rows += done.rows
    for row in done.rows:
        job.log.info("%s %s: %s (%s)", row.agreement, row.kind, row.sentence, row.source)
    if policy == RAISE and done.open:
        raise ControlNumbersOpenError(
            f"Control numbers of {job.ref} are not advanced, and it is {service.state}: {' '.join(done.open)}"
        )


def _require_whole(job: Job, safety_backup: BackupReference) -> None:
    try:
        job.log.info(job.archive.verify(safety_backup))
    except BackupDamagedError as error:
        raise SafetyBackupLostError(f"Service {job.ref} is not deleted. {error}") from None
    job.archive.ensure_published(safety_backup)


def _name_not_free(job: Job, entry: dict[str, Any], held: BackupServiceError, deadline: timedelta) -> NameNotFreeError:
    waited = (datetime.now(UTC) - datetime.fromisoformat(entry["requested_at"])).total_seconds()
    if waited >= deadline.total_seconds():
        return NameNotFreeError(
            f"The name of service {job.ref} is still not free {waited / 60:.0f} minutes after the restore was first "
            f"requested; nothing was restored. {held}",
            advice="stop",
        )
    pause = min(max(waited / 20, _SHORTEST_PAUSE), _LONGEST_PAUSE)
    return NameNotFreeError(f"The name of service {job.ref} is not free yet. {held}", retry_after=pause)
