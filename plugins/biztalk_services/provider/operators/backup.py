"""Operators of a backup: check, request, record, verify, publish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, get_args

from airflow.sdk import BaseOperator, BaseOperatorLink, Context
from airflow.sdk.exceptions import AirflowTaskTimeout
from airflow.sdk.execution_time.xcom import XCom
from airflow.sdk.types import TaskInstanceKey

from biztalk_services.flows import backup as flow
from biztalk_services.model.backup import BackupKind
from biztalk_services.model.choices import check_value
from biztalk_services.model.drain import DrainStatus, DrainUnknownError
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.requests import FAIL, RECORD
from biztalk_services.model.steps import (
    BackupEvidence,
    CheckedBackup,
    ReachedState,
    RecordedInventory,
    StartedBackup,
    VerifiedBackup,
    decode_xcom,
)
from biztalk_services.provider.assets import BACKUPS
from biztalk_services.provider.base import LockingOperator, ServiceOperator
from biztalk_services.provider.misconfigured import refuse_bad_options
from biztalk_services.provider.run_checks import refuse_backup_run

KINDS = get_args(BackupKind)
_READ: dict[str, Any] = {
    "checked": CheckedBackup.from_xcom,
    "drained": lambda xcom: DrainStatus.from_dict(decode_xcom(xcom)),
    "rechecked": lambda xcom: DrainStatus.from_dict(decode_xcom(xcom)),
    "quiesced": ReachedState.from_xcom,
    "started": StartedBackup.from_xcom,
    "finished": ReachedState.from_xcom,
    "recorded": RecordedInventory.from_xcom,
    "verified": VerifiedBackup.from_xcom,
}


class BatchesRefilledError(BackupServiceError):
    """Between the last check and the suspension messages went into a batch, and the run does not accept that."""


class BackupContainerLink(BaseOperatorLink):
    """To the container that holds the backup."""

    name = "Backup container"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        started = XCom.get_value(ti_key=ti_key, key="return_value")
        return started["container_url"] if started else ""


class CatalogEntryLink(BaseOperatorLink):
    """To the reference in the catalog."""

    name = "Backup reference"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        return XCom.get_value(ti_key=ti_key, key="reference_url") or ""


class _BackupOperator(ServiceOperator):
    """
    :param backup_name: name of the backup, which is that of its container
    """

    template_fields = (*ServiceOperator.template_fields, "backup_name")

    def __init__(self, *, backup_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backup_name = backup_name


class CheckBackupOperator(_BackupOperator, LockingOperator):
    """Checks every rule that a backup and its record have to keep, before anything is changed: edition, state, name,
    storage account and its key, name not taken, label and catalog fit for the record. Then locks the service for this
    run.

    XCom: :class:`biztalk_services.model.steps.CheckedBackup`.

    **Idempotency:** reads, and locks the service for this run. A name that this run has found free stays its own, so
    that the step can be cleared.

    :param backup_label: a person's remark about the backup
    :param problem: why the service must not be backed up, a sentence; empty: nothing is known against it
    """

    template_fields = (*_BackupOperator.template_fields, "backup_label", "problem")

    def __init__(self, *, backup_label: str | None = None, problem: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backup_label = backup_label
        self.problem = problem

    def run_step(self, context: Context) -> CheckedBackup:
        label = self.backup_label or None
        return flow.check_backup(self.job(context), self.backup_name, label=label, problem=self.problem)


class CheckServiceRunOperator(CheckBackupOperator):
    """The first step of the run of one service: refuses a run that breaks a rule of
    :mod:`biztalk_services.flows.run_rules`, then checks the backup.

    XCom and idempotency: as :class:`CheckBackupOperator`.

    :param start_before: date and time with time zone after which the run is refused; empty: no limit
    :param problems: sentences about bad options; with any of them the run is refused
    """

    template_fields = (*CheckBackupOperator.template_fields, "start_before")

    def __init__(self, *, start_before: str = "", problems: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start_before = start_before
        self.problems = list(problems)

    def run_step(self, context: Context) -> CheckedBackup:
        refuse_bad_options(self.problems)
        refuse_backup_run(context, start_before=self.start_before)
        return super().run_step(context)


class RecheckBatchesOperator(ServiceOperator):
    """Checks whether messages went into a batch while the service was being suspended.

    XCom: the drain status; *unknown* when it is not known within the ``execution_timeout``, so that a source that hangs
    does not keep the service suspended. **Idempotency:** only reads.

    :param refilled_batches_policy: ``record`` the possible loss in the backup reference, or ``fail``
    """

    template_fields = (*ServiceOperator.template_fields, "refilled_batches_policy")

    def __init__(self, *, refilled_batches_policy: str = RECORD, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_value("refilled_batches_policy", refilled_batches_policy, (RECORD, FAIL))
        self.refilled_batches_policy = refilled_batches_policy

    def run_step(self, context: Context) -> dict[str, Any]:
        job = self.job(context)
        try:
            status = job.driver.drain_status(job.ref.name)
        except DrainUnknownError as unknown:
            status = unknown.drain
        except AirflowTaskTimeout:
            status = DrainStatus(
                answer="unknown",
                source=f"batches of service {self.service}",
                reason=f"The source did not respond within {self.execution_timeout}",
                checked_at=datetime.now(UTC),
            )
        self.log.info(status.sentence())
        if status.answer == "active" and self.refilled_batches_policy == FAIL:
            raise BatchesRefilledError(
                f"While {self.service} was being suspended, messages went into a batch, which this run does not "
                f"accept: {status.sentence()} The backup is not valid; run it again."
            )
        return status.to_dict()


class StartBackupOperator(_BackupOperator, LockingOperator):
    """Requests a backup of a service into a new container. Where the service does not write its backup itself, exports
    it.

    XCom: :class:`biztalk_services.model.steps.StartedBackup`.

    **Idempotency:** the intent is stored before the request is sent, the operation after; the container's name follows
    from the run and is never overwritten. **On retry** and when the task is cleared, a backup that was started is
    adopted, never started again: another backup takes another run.

    :param quiesced: XCom of the wait until the service was quiesced; when its ``state`` is not the service's any more,
        no request is sent; when its ``etag`` is not, the service refuses
    """

    template_fields = (*_BackupOperator.template_fields, "quiesced")
    operator_extra_links = (BackupContainerLink(),)

    def __init__(self, *, quiesced: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.quiesced = quiesced

    def run_step(self, context: Context) -> StartedBackup:
        return flow.start_backup(self.job(context), self.backup_name, ReachedState.from_xcom(self.quiesced))


class RecordInventoryOperator(_BackupOperator):
    """Records in the catalog what a service holds: every item by kind, name and content, settings without secrets, and
    the control numbers as far as known. Meant to run while the service is quiesced.

    XCom: :class:`biztalk_services.model.steps.RecordedInventory`.

    A part that cannot be read does not fail the step: a backup without inventory is a backup. What was not read is
    named in the inventory, and the plan of a restore says so.

    **Idempotency:** an inventory is never overwritten; recording it again changes nothing.

    :param quiesced: XCom of the wait until the service was quiesced; None: the service is read once more
    """

    template_fields = (*_BackupOperator.template_fields, "quiesced")

    def __init__(self, *, quiesced: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.quiesced = quiesced

    def run_step(self, context: Context) -> RecordedInventory:
        quiesced = ReachedState.from_xcom(self.quiesced) if self.quiesced else None
        return flow.record_inventory(self.job(context), self.backup_name, quiesced)


class VerifyBackupOperator(_BackupOperator):
    """Reads a backup back: every blob has to be there, with the size and hash that the backup records.

    XCom: :class:`biztalk_services.model.steps.VerifiedBackup`.

    **Idempotency:** only reads.
    """

    def run_step(self, context: Context) -> VerifiedBackup:
        return flow.verify_backup(self.job(context), self.backup_name)


class PublishBackupOperator(ServiceOperator):
    """Writes the backup reference into the catalog, the last step, which makes a backup valid, and pushes it. Just
    before that the backup is read back once more, by its reference.

    XCom ``return_value``: the reference (:class:`biztalk_services.model.backup.BackupReference`); ``reference_url``:
    its URL. The asset ``biztalk-services-backups`` gets an event with the reference's place.

    A backup during which the service was changed (its ETag differs) goes into quarantine, and the step fails.

    **Idempotency:** a reference is never overwritten; publishing the same again changes nothing.

    :param evidence: ids of the tasks whose XComs make up the reference, by the fields of
        :class:`biztalk_services.model.steps.BackupEvidence`
    :param kind: why the backup is taken: ``nightly``, ``manual``, ``safety`` or ``drill``
    :param backup_label: a person's remark about the backup
    """

    template_fields = (*ServiceOperator.template_fields, "kind", "backup_label")
    operator_extra_links = (CatalogEntryLink(),)

    def __init__(
        self, *, evidence: Mapping[str, str], kind: str, backup_label: str | None = None, **kwargs: Any
    ) -> None:
        kwargs.setdefault("outlets", [BACKUPS])
        super().__init__(**kwargs)
        if evidence.keys() != _READ.keys():
            raise ValueError(f"evidence names {', '.join(evidence)}; it has to name {', '.join(_READ)}.")
        check_value("kind", kind, KINDS)
        self.evidence = dict(evidence)
        self.kind = kind
        self.backup_label = backup_label

    def run_step(self, context: Context) -> dict[str, Any]:
        ti, kind = context["ti"], self.kind
        check_value("kind", kind, KINDS)
        evidence = BackupEvidence(
            **{
                name: read(ti.xcom_pull(task_ids=self.evidence[name], map_indexes=ti.map_index))
                for name, read in _READ.items()
            }
        )
        reference, url = flow.publish_backup(
            self.job(context),
            evidence,
            kind=kind,  # type: ignore[arg-type]
            label=self.backup_label or None,
        )
        ti.xcom_push(key="reference_url", value=url)
        context["outlet_events"][BACKUPS].extra = {
            "service": reference.service,
            "account": reference.account,
            "container": reference.container,
            "drained": reference.drain.drained,
        }
        return reference.to_dict()
