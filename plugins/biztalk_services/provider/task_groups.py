"""The task groups of the DAGs: the backup of a service, and the replacement or deletion of one before a restore."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator, TaskGroup, task_group

from biztalk_services.model.requests import RECORD, REFUSE
from biztalk_services.provider.operators.backup import (
    CheckBackupOperator,
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
    record: BaseOperator
    publish: BaseOperator


@dataclass(frozen=True)
class BackupGroup:
    """A mapped task group that backs services up, one instance a service.

    :param steps: ids of its tasks
    :param quiesced: the task after which a service is quiesced
    :param resume: the task after which it is resumed; no arrow from the group leads behind it, for it is a teardown
    :param publish: the task that publishes the backup reference
    :param record: the task that records the inventory
    """

    group: Any
    steps: tuple[str, ...]
    quiesced: BaseOperator
    resume: BaseOperator
    publish: BaseOperator
    record: BaseOperator


def backup_group(settings: Settings, services: BaseOperator) -> BackupGroup:
    """Backs each found service up, a few at a time: check, wait for a slot, drain, suspend, back up, resume; beside
    that record what it holds, and beside the resumption verify and publish.

    :param services: the task that found the services
    """
    tasks: dict[str, Any] = {}

    def found(field: str) -> str:
        # The mapped argument of the group would say the same, and draw a line from that task to every single step.
        return f"{{{{ ti.xcom_pull(task_ids='{services.task_id}')[ti.map_index]['{field}'] }}}}"

    @task_group(group_id="service", default_args=_of(found("service")) | {"conn_id": found("conn_id")})
    def back_up_service(job: dict[str, str]) -> None:
        backup = backup_tasks(
            settings,
            reason="backup",
            backup_name=found("backup_name"),
            backup_label="{{ params.label or '' }}",
            problem=found("problem"),
            kind="{{ 'nightly' if dag_run.run_type == 'scheduled' else params.kind }}",
            drain={
                "deadline_minutes": "{{ params.drain_deadline_minutes }}",
                "unknown_batches_policy": "{{ params.unknown_batches_policy }}",
                "batches_are_empty": "{{ params.batches_are_empty }}",
            },
            refilled_batches_policy="{{ params.refilled_batches_policy }}",
        )
        slot = SlotSensor(
            task_id="wait_for_slot",
            exempt_task_id=backup.drain.task_id,
            release_task_id="service.resume",
            max_parallel=settings.max_concurrent_backups,
            deadline_minutes=settings.completion_window_minutes,
        )
        resume = ResumeServiceOperator(
            task_id="resume",
            suspension=backup.suspend.output,
            deadline_minutes=settings.resume_deadline_minutes,
            retries=INSIST,
        ).as_teardown(setups=backup.suspend)

        backup.check >> slot >> backup.drain
        [backup.finished, backup.recheck] >> resume
        tasks.update(quiesced=backup.quiesced, resume=resume, publish=backup.publish, record=backup.record)

    group = back_up_service.expand(job=services.output)
    tasks_in_order = services.dag.topological_sort()  # type: ignore[no-untyped-call]  # Airflow's own lacks the types
    steps = tuple(task.task_id for task in tasks_in_order if task.task_id.startswith("service."))
    return BackupGroup(group, steps, **tasks)


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
    problem: str = "",
) -> BackupTasks:
    """Make the tasks of a backup, inside a task group that gives them their service, and order those that
    always follow each other: from the drain to the publication, with the check left in front for the caller to order.
    Between the suspension and the resumption stands nothing that could stand elsewhere.

    :param reason: what the service is suspended for
    :param problem: why a service must not be backed up; empty: nothing is known against it
    :param drain: how to wait for batches: further arguments of :class:`biztalk_services.provider.sensors.DrainSensor`
    """
    check = CheckBackupOperator(
        task_id="check_backup",
        backup_name=backup_name,
        backup_label=backup_label,
        problem=problem,
        lock_minutes=settings.longest_wait_before_suspension.total_seconds() / 60,
    )
    drained = DrainSensor(
        task_id="wait_until_drained", error_tolerance_seconds=settings.drain_error_tolerance_seconds, **drain
    )
    suspend = SuspendServiceOperator(
        task_id="suspend",
        backup_name=backup_name,
        reason=reason,
        resume_within_minutes=settings.longest_suspension.total_seconds() / 60,
        retries=INSIST,
    )
    suspend.as_setup()  # type: ignore[no-untyped-call]  # Airflow's own lacks the types
    quiesced = ServiceStateSensor(
        task_id="wait_until_suspended",
        expected=_value(suspend, "expected_state"),
        operation_id=_value(suspend, "operation_id"),
        deadline_minutes=settings.suspend_deadline_minutes,
    )
    recheck = RecheckBatchesOperator(
        task_id="recheck_batches",
        refilled_batches_policy=refilled_batches_policy,
        execution_timeout=timedelta(minutes=1),
    )
    start = StartBackupOperator(task_id="back_up", backup_name=backup_name, quiesced=quiesced.output)
    finished = OperationSensor(
        task_id="wait_for_backup",
        operation_id=_value(start, "operation_id"),
        operation_type="Backup",
        deadline_minutes=settings.backup_deadline_minutes,
    )
    record = RecordInventoryOperator(
        task_id="record_inventory", backup_name=backup_name, execution_timeout=timedelta(minutes=5)
    )
    verify = VerifyBackupOperator(task_id="verify_backup", backup_name=backup_name)
    publish = PublishBackupOperator(
        task_id="publish_reference",
        evidence={
            "checked": check.task_id,
            "drained": drained.task_id,
            "rechecked": recheck.task_id,
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
    return BackupTasks(check, drained, suspend, quiesced, recheck, finished, record, publish)


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


def _value(task: BaseOperator, key: str) -> Any:
    """One value of the XCom of a task, for the argument of another one."""
    output: Any = task.output
    return output[key]
