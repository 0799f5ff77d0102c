"""Suspends a service, with a record that outlives the run, and requests its resumption."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from biztalk_services.archive.errors import ServiceLockedError
from biztalk_services.flows.job import Job
from biztalk_services.flows.submit_once import Entry, submit_once
from biztalk_services.model.errors import (
    NOT_STARTED,
    BackupServiceError,
    OperationNotAllowedError,
    OperationNotFoundError,
    ServiceNotFoundError,
)
from biztalk_services.model.records import SuspensionRecord
from biztalk_services.model.service import Operation, Phase, Service
from biztalk_services.model.steps import Suspension

_SUSPEND, _RESUME = "suspend", "resume"


class ServiceNotRunningError(BackupServiceError):
    """The service is in a state to which a resume would not return it."""


def suspend(job: Job, *, backup_name: str | None, reason: str, resume_within: timedelta) -> Suspension:
    """Suspend a service, unless it is quiesced already. The suspension record is written before the request.

    While our request may be under way, every error is retried; no request is sent while another operation is under way,
    or while another run's suspension lasts.

    :param backup_name: of the backup that the service is suspended for; None: for something else.
    :raises ServiceNotRunningError: a resume would not return it to the state that it was in.
    """
    try:
        job.lock("backup")
        return _suspend(job, backup_name, reason, resume_within)
    except BackupServiceError as error:
        if job.journal.get(_SUSPEND) and not isinstance(error, (ServiceNotFoundError, ServiceLockedError)):
            error.advice = "check"
        raise


def _suspend(job: Job, backup_name: str | None, reason: str, resume_within: timedelta) -> Suspension:
    service, records = job.service(), job.archive.suspensions
    if job.journal.get(_SUSPEND) and records.all_closed(job.key, job.run):
        job.journal.delete(_SUSPEND)
        if service.phase is Phase.RUNNING and backup_name and job.archive.account.container_exists(backup_name):
            job.log.info("Backup %s was started, and %s is resumed; leaving it as is.", backup_name, job.ref)
            return _left_alone(service)
    if service.phase is Phase.QUIESCED and not job.journal.get(_SUSPEND):
        _refuse_while_another_run_suspends(job)
        job.log.info("%s is already %s; leaving it as is.", job.ref, service.state)
        return _left_alone(service)
    recorded = False

    def prepare() -> Entry:
        _refuse_while_transitional(job, service)
        if service.phase is not Phase.RUNNING:
            raise ServiceNotRunningError(
                f"Service {job.ref} is {service.state}, so it was not suspended: a resume would leave it "
                f"{job.driver.info.running_state}, which it was not before. Bring it into a settled state, and run the "
                "backup again."
            )
        return {"found_state": service.state, "requested_at": datetime.now(UTC).isoformat()}

    def adopt(entry: Entry) -> bool:
        if ("resume" in service.allows and service.phase is Phase.QUIESCED) or service.may_be_under("suspend"):
            job.log.info("An earlier try suspended %s: it is %s.", job.ref, service.state)
            return True
        _refuse_while_transitional(job, service)
        return False

    def submit(entry: Entry) -> Operation:
        nonlocal recorded
        now = datetime.now(UTC)
        record = SuspensionRecord(
            str(job.ref), job.driver.subscription_id, job.run, reason, opened_at=now, resume_by=now + resume_within
        )
        records.open(record)
        recorded = True
        operation = job.driver.suspend(job.ref, request_id=job.request_id(_SUSPEND))
        job.log.info("Requested the suspension of %s: operation %s.", job.ref, operation.operation_id)
        return operation

    def forget(error: BackupServiceError) -> bool:
        not_taken = not recorded or isinstance(error, NOT_STARTED) or error.advice == "stop"
        if not_taken:
            close_records(job, "the request to suspend was not taken")
        return not_taken

    entry = submit_once(job.journal, _SUSPEND, prepare=prepare, adopt=adopt, submit=submit, forget=forget, recheck=True)
    return Suspension(
        entry["found_state"],
        True,
        job.driver.info.quiesced_state,
        entry["operation_id"],
        datetime.fromisoformat(entry["requested_at"]),
    )


def request_resume(job: Job, suspend_operation: str | None = None, *, was_quiesced: bool = False) -> str | None:
    """Request that a service which we suspended is resumed; returns the operation, None when there is none to wait for.

    :param suspend_operation: operation of the suspension, which may still be under way.
    :param was_quiesced: whether that has ended, so that a first request needs no look at the service before it: where
        the service is not suspended any more, it refuses.
    :raises OperationNotAllowedError: the suspension is still under way.
    """
    entry = job.journal.get(_RESUME)
    if was_quiesced and entry is None:
        with suppress(OperationNotAllowedError):
            return _resume(job)
    service = job.service()
    if service.phase is Phase.RUNNING:
        _refuse_while_suspension_is_pending(job, service, suspend_operation)
    elif service.under_way != "resume" and not (entry and service.may_be_under("resume")):
        return _resume(job)
    return entry["operation_id"] if entry else None


def _resume(job: Job) -> str | None:
    operation = job.driver.resume(job.ref, request_id=job.request_id(_RESUME))
    job.journal.set(_RESUME, {"operation_id": operation.operation_id})
    job.log.info("Requested the resumption of %s: operation %s.", job.ref, operation.operation_id)
    return operation.operation_id


def close_records(job: Job, reason: str) -> None:
    """Close the suspension records of this run on the service. One that cannot be closed is left to the watchdog; the
    log says so.

    :param reason: why, in words (``service is Active``).
    """
    try:
        job.archive.suspensions.close_all(job.key, by=str(job.run), reason=reason, run=job.run)
    except BackupServiceError as error:
        job.log.warning("%s", error)


def _left_alone(service: Service) -> Suspension:
    return Suspension(service.state, False, service.state, None)


def _refuse_while_transitional(job: Job, service: Service) -> None:
    if service.is_transitional:
        raise OperationNotAllowedError(
            f"Service {job.ref} is {service.state}: another operation is under way, so it was not suspended. The "
            "suspension is retried when that operation ends. If it does not end, check the service's operation log."
        )


def _refuse_while_another_run_suspends(job: Job) -> None:
    if records := job.archive.suspensions.list_open(job.key)[0]:
        raise OperationNotAllowedError(
            f"Service {job.ref} is suspended by {records[-1].run}. This step is retried until that run resumes it; if "
            "that run has ended, the watchdog does."
        )


def _refuse_while_suspension_is_pending(job: Job, service: Service, suspend_operation: str | None) -> None:
    result = None
    if suspend_operation:
        with suppress(OperationNotFoundError):
            result = job.driver.get_operation(job.ref, suspend_operation).result
    if result == "InProgress":
        raise OperationNotAllowedError(
            f"Service {job.ref} is still {service.state}, but its suspension, operation {suspend_operation}, is under "
            "way. The resumption is retried when that operation ends."
        )
