"""The steps of a backup of one service, as the nightly backup and the restore both take it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from biztalk_services.operators.backup import BizTalkBackupOperator, BizTalkCheckBackupOperator
from biztalk_services.operators.batches import BizTalkLookAgainOperator
from biztalk_services.operators.inventory import BizTalkRecordInventoryOperator
from biztalk_services.operators.publish import BizTalkPublishBackupOperator, BizTalkVerifyBackupOperator
from biztalk_services.operators.suspend import BizTalkSuspendOperator
from biztalk_services.sensors.batches import BizTalkBatchDrainSensor
from biztalk_services.sensors.service import BizTalkOperationSensor, BizTalkStateSensor

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

    from biztalk_services.settings import Settings

INSIST = 70
"""Tries of the steps that must not leave a service suspended: with the growing delays, more than an hour."""


@dataclass(frozen=True)
class BackupSteps:
    """The steps, in their order. Between ``suspended`` and the resumption stands nothing that could stand elsewhere."""

    checked: BaseOperator
    drained: BaseOperator
    suspended: BaseOperator
    still: BaseOperator
    looked_again: BaseOperator
    begun: BaseOperator
    backed_up: BaseOperator
    recorded: BaseOperator
    verified: BaseOperator
    published: BaseOperator


def backup_steps(
    settings: Settings,
    *,
    at: dict[str, Any],
    reason: str,
    backup_name: str,
    backup_label: str,
    tracking_conn_id: str,
    drain: dict[str, Any],
    when_slipped_in: str,
) -> BackupSteps:
    """
    Make the steps, inside a DAG, and string those together that always follow each other: from ``drained`` to
    ``published``, with ``checked`` left in front for the caller to string.

    :param settings: the options
    :param at: ``service`` and ``conn_id`` of every step
    :param reason: what the service is suspended for
    :param backup_name: name of the backup
    :param backup_label: what a person wants to say about it
    :param tracking_conn_id: SQL connection to the service's tracking database
    :param drain: how to wait for batches: further arguments of :class:`BizTalkBatchDrainSensor`
    :param when_slipped_in: what to do when a message slips into a batch meanwhile
    """
    backup = {"backup_name": backup_name}
    catalog = {"storage_conn_id": settings.storage_conn_id, "catalog_container": settings.catalog_container}
    batches = {"tracking_conn_id": tracking_conn_id, "query": settings.drain_query}
    patience = {"patience_seconds": settings.trouble_patience_seconds}

    checked = BizTalkCheckBackupOperator(
        task_id="check_that_backup_is_allowed", backup_label=backup_label, **at, **backup, **catalog
    )
    drained = BizTalkBatchDrainSensor(
        task_id="wait_until_batches_are_empty",
        patience_seconds=settings.unknown_patience_seconds,
        **drain,
        **at,
        **batches,
    )
    suspended = BizTalkSuspendOperator(
        task_id="suspend",
        reason=reason,
        back_within_minutes=settings.longest_suspension.total_seconds() / 60,
        retries=INSIST,
        **at,
        **backup,
        **catalog,
    ).as_setup()
    still = BizTalkStateSensor(
        task_id="wait_until_suspended",
        expected=suspended.output["expected_state"],
        operation_id=suspended.output["operation_id"],
        deadline_minutes=settings.suspend_deadline_minutes,
        **at,
        **patience,
    )
    looked_again = BizTalkLookAgainOperator(
        task_id="look_again_at_batches",
        when_slipped_in=when_slipped_in,
        execution_timeout=timedelta(minutes=1),
        **at,
        **batches,
    )
    begun = BizTalkBackupOperator(task_id="back_up", still=still.output, **at, **backup, **catalog)
    backed_up = BizTalkOperationSensor(
        task_id="wait_for_backup",
        operation_id=begun.output["operation_id"],
        operation_type="Backup",
        deadline_minutes=settings.backup_deadline_minutes,
        **at,
        **patience,
    )
    recorded = BizTalkRecordInventoryOperator(
        task_id="record_inventory", execution_timeout=timedelta(minutes=5), **at, **backup, **catalog
    )
    verified = BizTalkVerifyBackupOperator(task_id="verify_backup", **at, **backup, **catalog)
    published = BizTalkPublishBackupOperator(
        task_id="publish_reference",
        evidence={
            "checked": checked.task_id,
            "drained": drained.task_id,
            "still": still.task_id,
            "looked_again": looked_again.task_id,
            "begun": begun.task_id,
            "ended": backed_up.task_id,
            "recorded": recorded.task_id,
            "verified": verified.task_id,
        },
        backup_label=backup_label,
        **at,
        **backup,
        **catalog,
    )

    drained >> suspended >> still >> [begun, looked_again, recorded]
    begun >> backed_up >> verified
    [verified, looked_again, recorded] >> published
    return BackupSteps(
        checked, drained, suspended, still, looked_again, begun, backed_up, recorded, verified, published
    )
