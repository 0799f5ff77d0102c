"""The tasks of a backup, and of the replacement or deletion of a service before a restore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator, TaskGroup
from airflow.sdk.configuration import conf

from biztalk_services.model.requests import RECORD, REFUSE
from biztalk_services.provider.operators.backup import (
    CheckBackupOperator,
    CheckServiceRunOperator,
    PublishBackupOperator,
    RecheckBatchesOperator,
    RecordInventoryOperator,
    StartBackupOperator,
    VerifyBackupOperator,
)
from biztalk_services.provider.operators.restore import DeleteServiceOperator
from biztalk_services.provider.operators.suspend import (
    ResumeServiceOperator,
    ResumeUnlessDeletedOperator,
    SuspendServiceOperator,
)
from biztalk_services.provider.sensors import (
    DrainSensor,
    OperationSensor,
    ServiceDeletedSensor,
    ServiceStateSensor,
    SlotSensor,
)
from biztalk_services.provider.settings import Settings

INSIST = 70
"""Tries of the steps that must not leave a service suspended: with the growing delays, more than an hour."""

_RESUME, _SUSPENDED, _BESIDE, _SUSPEND, _BEHIND, _BEFORE, _FIRST = 1000, 900, 700, 600, 500, 400, 300
"""Priorities of the steps of a backup: what brings a suspended service back goes before what suspends the next one, and
that before what can wait. All other steps have :data:`_OTHER`."""
_OTHER = 800


def default_args(settings: Settings) -> dict[str, Any]:
    """What the tasks of backups and restores have in common: how they are retried, what they work with."""
    return {
        "owner": "biztalk",
        "retries": 5,
        "execution_timeout": timedelta(minutes=30),
        "retry_delay": timedelta(seconds=2),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=1),
        "conn_id": settings.conn_id,
        "archive": settings.archive,
        "lock_minutes": settings.longest_step.total_seconds() / 60,
        "error_tolerance_seconds": settings.poll_error_tolerance_seconds,
        "priority_weight": _OTHER,
        "weight_rule": "absolute",
    }


@dataclass(frozen=True)
class BackupTasks:
    """The tasks of a backup that other tasks are put before or behind."""

    check: BaseOperator
    drain: BaseOperator
    suspend: BaseOperator
    quiesced: BaseOperator
    recheck: BaseOperator
    finished: BaseOperator
    publish: BaseOperator


def service_backup(settings: Settings, problems: Sequence[str]) -> None:
    """Make the tasks of the run of one service, out of its form: check, wait for a slot, drain, suspend, back
    up, resume; beside that record what it holds, and beside the resumption verify and publish.

    :param problems: sentences about bad options; with any of them the run is refused before anything is done
    """
    backup = backup_tasks(
        settings,
        reason="backup",
        backup_name="{{ params.backup_name }}",
        backup_label="{{ params.label or '' }}",
        kind="{{ params.kind }}",
        drain={
            "deadline_minutes": "{{ params.drain_deadline_minutes }}",
            "unknown_batches_policy": "{{ params.unknown_batches_policy }}",
            "batches_are_empty": "{{ params.batches_are_empty }}",
        },
        refilled_batches_policy="{{ params.refilled_batches_policy }}",
        check=CheckServiceRunOperator,
        problem="{{ params.problem or '' }}",
        start_before="{{ params.start_before or '' }}",
        problems=problems,
    )
    slot = SlotSensor(
        task_id="wait_for_slot",
        max_parallel=settings.max_concurrent_backups,
        deadline_minutes=settings.completion_window_minutes,
        longest_suspension_minutes=settings.longest_suspension.total_seconds() / 60,
        retries=1,
        priority_weight=_BEFORE,
    )
    resume = ResumeServiceOperator(
        task_id="resume",
        suspension=backup.suspend.output,
        quiesced=backup.quiesced.output,
        deadline_minutes=settings.resume_deadline_minutes,
        retries=INSIST,
        priority_weight=_RESUME,
    ).as_teardown(setups=backup.suspend, on_failure_fail_dagrun=True)

    backup.check >> slot >> backup.drain
    [backup.finished, backup.recheck] >> resume


def replace_group(settings: Settings, *, service: str, plan: BaseOperator) -> tuple[BaseOperator, ...]:
    """Backs the existing service up, deletes it, and resumes it when it is not deleted. Inside the group ``replace``.

    :param service: address of the service in every step
    :param plan: the task that made the plan
    :returns: the first task, the suspension, the one that publishes the safety backup, the deletion, the wait until the
        service is deleted, and the teardown
    """
    about = "Backs the existing service up, deletes it, and resumes it when it is not deleted."
    with TaskGroup("replace", tooltip=about, doc_md=about, default_args=_of(service)):
        backup = backup_tasks(
            settings,
            reason="safety backup before a restore",
            backup_name=f"{{{{ ti.xcom_pull(task_ids='{plan.task_id}')['safety_backup'] }}}}",
            backup_label="before the restore {{ run_id }}",
            kind="safety",
            drain={"deadline_minutes": settings.drain_deadline_minutes, "unknown_batches_policy": REFUSE},
            refilled_batches_policy=RECORD,
        )
        delete, deleted = _delete_tasks(
            settings, plan, safety_backup=backup.publish.output, quiesced=backup.quiesced.output
        )
        resume = ResumeUnlessDeletedOperator(
            task_id="resume_unless_deleted",
            priority_weight=_RESUME,
            suspension=backup.suspend.output,
            deleted=deleted.output,
            deadline_minutes=settings.resume_deadline_minutes,
            retries=INSIST,
        ).as_teardown(setups=backup.suspend)

    backup.check >> backup.drain
    backup.publish >> delete
    deleted >> resume
    return backup.check, backup.suspend, backup.publish, delete, deleted, resume


def delete_group(settings: Settings, *, service: str, plan: BaseOperator) -> tuple[BaseOperator, BaseOperator]:
    """Deletes an existing service that cannot be backed up, as approved. Inside the group ``delete_without_backup``,
    which is outside of the scope of the setup ``suspend``: what is between a setup and its teardown runs only after
    that.

    :returns: the deletion, and the wait until the service is deleted
    """
    about = "Deletes an existing service that cannot be backed up, as approved."
    with TaskGroup("delete_without_backup", tooltip=about, doc_md=about, default_args=_of(service)):
        return _delete_tasks(settings, plan)


def backup_tasks(
    settings: Settings,
    *,
    reason: str,
    backup_name: str,
    backup_label: str,
    kind: str,
    drain: dict[str, Any],
    refilled_batches_policy: str,
    check: type[CheckBackupOperator] = CheckBackupOperator,
    **checked: Any,
) -> BackupTasks:
    """Make the tasks of a backup, whose default arguments give them their service, and order those that always follow
    each other: from the drain to the publication, with the check left in front for the caller to order. Between the
    suspension and the resumption stands nothing that could stand elsewhere.

    :param reason: what the service is suspended for
    :param drain: how to wait for batches: further arguments of :class:`biztalk_services.provider.sensors.DrainSensor`
    :param check: the operator that checks whether the backup is allowed; ``checked``: further arguments of it
    """
    # What can wait takes no more of the workers, so that what cannot finds one, and a fast one.
    few = max(1, conf.getint("core", "parallelism") // 4)
    first = check(
        task_id="check_backup",
        backup_name=backup_name,
        backup_label=backup_label,
        lock_minutes=settings.longest_wait_before_suspension.total_seconds() / 60,
        priority_weight=_FIRST,
        max_active_tis_per_dag=few,
        **checked,
    )
    drained = DrainSensor(
        task_id="wait_until_drained",
        error_tolerance_seconds=settings.drain_error_tolerance_seconds,
        priority_weight=_BEFORE,
        **drain,
    )
    suspend = SuspendServiceOperator(
        task_id="suspend",
        priority_weight=_SUSPEND,
        backup_name=backup_name,
        reason=reason,
        resume_within_minutes=settings.longest_suspension.total_seconds() / 60,
        retries=INSIST,
    )
    suspend.as_setup()  # type: ignore[no-untyped-call]  # Airflow's own lacks the types
    quiesced = ServiceStateSensor(
        task_id="wait_until_suspended",
        priority_weight=_SUSPENDED,
        expected=_text(suspend, "expected_state"),
        **_requested_by(suspend),
        deadline_minutes=settings.suspend_deadline_minutes,
    )
    recheck = RecheckBatchesOperator(
        task_id="recheck_batches",
        priority_weight=_BESIDE,
        refilled_batches_policy=refilled_batches_policy,
        execution_timeout=timedelta(minutes=1),
    )
    start = StartBackupOperator(
        task_id="back_up", priority_weight=_SUSPENDED, backup_name=backup_name, quiesced=quiesced.output
    )
    finished = OperationSensor(
        task_id="wait_for_backup",
        priority_weight=_SUSPENDED,
        operation_type="Backup",
        **_requested_by(start),
        deadline_minutes=settings.backup_deadline_minutes,
    )
    record = RecordInventoryOperator(
        task_id="record_inventory",
        priority_weight=_BESIDE,
        quiesced=quiesced.output,
        backup_name=backup_name,
        execution_timeout=timedelta(minutes=5),
    )
    verify = VerifyBackupOperator(
        task_id="verify_backup", priority_weight=_BEHIND, max_active_tis_per_dag=few, backup_name=backup_name
    )
    publish = PublishBackupOperator(
        task_id="publish_reference",
        priority_weight=_BEHIND,
        max_active_tis_per_dag=few,
        evidence={
            "checked": first.task_id,
            "drained": drained.task_id,
            "rechecked": recheck.task_id,
            "quiesced": quiesced.task_id,
            "started": start.task_id,
            "finished": finished.task_id,
            "recorded": record.task_id,
            "verified": verify.task_id,
        },
        kind=kind,
        backup_label=backup_label,
    )

    drained >> suspend >> quiesced >> [start, recheck, record]
    start >> finished >> verify
    [verify, recheck, record] >> publish
    return BackupTasks(first, drained, suspend, quiesced, recheck, finished, publish)


def _delete_tasks(settings: Settings, plan: BaseOperator, **backed_up: Any) -> tuple[BaseOperator, BaseOperator]:
    delete = DeleteServiceOperator(task_id="delete", plan=plan.output, **backed_up)
    deleted = ServiceDeletedSensor(
        task_id="wait_until_deleted",
        operation_id=_value(delete, "operation_id"),
        deadline_minutes=settings.delete_deadline_minutes,
    )
    delete >> deleted
    return delete, deleted


def _of(service: str) -> Any:
    """The service of the tasks of a group: a dictionary, but Airflow's groups lack the type for it."""
    return {"service": service}


def _requested_by(task: BaseOperator) -> dict[str, Any]:
    """The arguments of a wait, without a worker, for what a step has requested. A retry of such a wait asks no policy
    whether it helps, so there is one only."""
    return {
        "operation_id": _text(task, "operation_id"),
        "requested_at": _text(task, "requested_at"),
        "start_from_trigger": True,
        "retries": 1,
    }


def _text(task: BaseOperator, key: str) -> str:
    """A template for one value of the XCom of a task; empty where it is null. A triggerer only answers what names its
    one map index: it says nothing to any other question, and the wait would never end."""
    return f"{{{{ ti.xcom_pull(task_ids='{task.task_id}', map_indexes=-1)['{key}'] or '' }}}}"


def _value(task: BaseOperator, key: str) -> Any:
    """One value of the XCom of a task, for the argument of another one."""
    output: Any = task.output
    return output[key]
