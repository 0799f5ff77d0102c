"""
### Restore of a BizTalk service

Started by hand. Restores one backup as one service:

1. make the plan: every rule, every value checked, everything that would be lost
2. a person reads the plan and approves exactly that
3. make the plan again: when it is not the approved one any more, nothing is done
4. where a living service has the name, and the form says to replace it: back it up, delete it, wait until it is gone
5. restore; compare what the restored service holds with what was recorded; settle the control numbers
6. resume it, when the form says so: a restored service arrives Suspended

With *only the plan* nothing is changed. A run that was refused, rejected or not answered in time has changed nothing.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param, XComArg, task, task_group
from biztalk_services.model.restore_request import EXACT, RAISE, REFUSE, REPLACE, REPORT
from biztalk_services.notifications.alert import AlertNotifier
from biztalk_services.operators.approval import BizTalkApprovePlanOperator
from biztalk_services.operators.backup_steps import INSIST, backup_steps
from biztalk_services.operators.batches import RECORD
from biztalk_services.operators.delete import BizTalkDeleteServiceOperator
from biztalk_services.operators.plan import BizTalkConfirmPlanOperator, BizTalkPlanRestoreOperator
from biztalk_services.operators.restore import BizTalkRestoreOperator
from biztalk_services.operators.restored import BizTalkReportRestoreOperator
from biztalk_services.operators.settle import BizTalkSettleControlNumbersOperator, BizTalkVerifyRestoreOperator
from biztalk_services.operators.suspend import BizTalkBringBackUnlessDeletedOperator, BizTalkResumeOperator
from biztalk_services.sensors.service import BizTalkGoneSensor, BizTalkStateSensor
from biztalk_services.settings import Settings
from biztalk_services.triggers.batches import REFUSE as REFUSE_UNKNOWN

settings = Settings.load()

NAME = "^[A-Za-z0-9._-]{1,64}$"
CONNECTION = "^[A-Za-z0-9._-]{0,250}$"


def connection(title: str, description: str) -> Param:
    return Param(
        None,
        type=["null", "string"],
        pattern=CONNECTION,
        title=title,
        description=f"{description} An id of a connection, never a secret. Empty: what the backup's value leads to.",
        section="Other values than the backup's",
    )


PARAMS = {
    "service": Param(
        type="string",
        pattern=NAME,
        title="Service",
        description="Name of the service whose backup is restored.",
        section="What",
    ),
    "backup": Param(
        None,
        type=["null", "string", "object"],
        title="Backup",
        description="Name of the backup, as in the catalog. Empty: the newest of the service but for safety backups.",
        section="What",
    ),
    "plan_only": Param(
        False,
        type="boolean",
        title="Only the plan",
        description="Make the plan and stop; nothing is changed, and nobody is asked.",
        section="What",
    ),
    "approval_hours": Param(
        settings.approval_hours,
        type="number",
        exclusiveMinimum=0,
        maximum=720,
        title="Wait for the approval (hours)",
        description="When nobody has approved the plan by then, the run ends, and nothing is changed.",
        section="What",
    ),
    "target_name": Param(
        None,
        type=["null", "string"],
        pattern="^[A-Za-z0-9-]{0,64}$",
        title="Name of the restored service",
        description="Empty: the name of the service that was backed up.",
        section="Target",
    ),
    "target_cloud_service": Param(
        None,
        type=["null", "string"],
        pattern="^[A-Za-z0-9._-]{0,64}$",
        title="Its cloud service",
        description="Empty: that of the service that was backed up.",
        section="Target",
    ),
    "edition": Param(
        None,
        type=["null", "string"],
        enum=[None, "basic", "standard", "premium"],
        title="Its edition",
        description="The backup's or a higher one. Empty: the backup's.",
        section="Target",
    ),
    "unit_count": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        maximum=8,
        title="Its scale units",
        description="Empty: as many as the backup's.",
        section="Target",
    ),
    "when_name_is_taken": Param(
        REFUSE,
        type="string",
        enum=[REFUSE, REPLACE],
        values_display={
            REFUSE: "refuse: leave the living service alone",
            REPLACE: "replace: back the living service up, delete it, restore to its name",
        },
        title="When a living service has the name",
        section="Target",
    ),
    "without_safety_backup": Param(
        False,
        type="boolean",
        title="Delete it even when it cannot be backed up",
        description="For a living service in a state or edition without backups. What it holds is lost.",
        section="Target",
    ),
    "control_numbers": Param(
        RAISE,
        type="string",
        enum=[RAISE, REPORT, EXACT],
        values_display={
            RAISE: "raise: begin beyond every number used since the backup",
            REPORT: "report: list them, change nothing",
            EXACT: "exact: as at the backup; numbers used since are given out twice, and partners reject them",
        },
        title="EDI control numbers",
        section="Afterwards",
    ),
    "margin": Param(
        100,
        type="integer",
        minimum=0,
        maximum=1_000_000,
        title="Margin",
        description="How far beyond the highest number used a raised one begins.",
        section="Afterwards",
    ),
    "resume_afterwards": Param(
        False,
        type="boolean",
        title="Resume the restored service",
        description="Otherwise it stays Suspended, until somebody has looked at it.",
        section="Afterwards",
    ),
    "acs_conn_id": connection("Access Control namespace", "Connection with the namespace and its key."),
    "tracking_conn_id": connection(
        "Tracking database", "Connection with server, database and login as the service has them."
    ),
    "archive_conn_id": connection("Archiving store", "Azure Blob Storage connection with the account key."),
    "monitoring_conn_id": connection("Monitoring store", "Azure Blob Storage connection with the account key."),
    "certificate_conn_id": connection("SSL certificate", "Connection that names a PFX file and opens it."),
}


BACKUP, TARGET = "['backup']['place']", "['target']['service']"


def of_plan(path: str, key: str = "return_value") -> str:
    """Something that the step `plan` left, as a template."""
    return f"{{{{ ti.xcom_pull(task_ids='plan', key='{key}'){path} }}}}"


with DAG(
    "biztalk_restore",
    dag_display_name="BizTalk Services: restore",
    description="Restores a backup of a BizTalk service: planned, approved, exact.",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=4,
    tags=["biztalk", "restore"],
    default_args={
        "owner": "biztalk",
        "retries": 5,
        "execution_timeout": timedelta(minutes=30),
        "retry_delay": timedelta(seconds=2),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=1),
    },
    on_failure_callback=AlertNotifier(subject="A restore of a BizTalk service failed"),
) as dag:
    # Only what was confirmed has an address: without the confirmation no step finds a service to change.
    at = {"service": "{{ ti.xcom_pull(task_ids='confirm_plan')['service'] }}", "conn_id": settings.conn_id}
    catalog = {"storage_conn_id": settings.storage_conn_id, "catalog_container": settings.catalog_container}
    patience = {"patience_seconds": settings.trouble_patience_seconds}

    plan = BizTalkPlanRestoreOperator(task_id="plan", conn_id=settings.conn_id, **catalog)
    chosen, reference = plan.output["request"], plan.output["reference"]

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def unless_only_the_plan(params: dict) -> bool:
        """Goes on unless the form asks for the plan alone."""
        return not params["plan_only"]

    approval = BizTalkApprovePlanOperator(
        task_id="approval",
        subject=f"Restore {of_plan(BACKUP)} as {of_plan(TARGET)}?",
        body=of_plan("", "document"),
        plan_hash=of_plan("['hash']"),
        hours="{{ params.approval_hours }}",
        retries=2,
    )
    confirm = BizTalkConfirmPlanOperator(
        task_id="confirm_plan",
        plan=plan.output,
        request=chosen,
        reference=reference,
        approved_hash="{{ ti.xcom_pull(task_ids='approval', key='plan_hash') }}",
        conn_id=settings.conn_id,
        **catalog,
    )

    @task.branch
    def is_the_name_taken(plan: dict) -> str:
        """Chooses what has to be done before the restore."""
        if not plan["choices"]["replace"]:
            return "the_name_is_free"
        return "replace.check_that_backup_is_allowed" if plan["choices"]["safety_backup"] else "delete_as_it_is.delete"

    def delete_service(**backed_up: XComArg) -> tuple[BizTalkDeleteServiceOperator, BizTalkGoneSensor]:
        delete = BizTalkDeleteServiceOperator(
            task_id="delete", etag=of_plan("['living']['etag']"), **backed_up, **at, **catalog
        )
        gone = BizTalkGoneSensor(
            task_id="wait_until_deleted",
            operation_id=delete.output["operation_id"],
            deadline_minutes=settings.delete_deadline_minutes,
            **at,
            **patience,
        )
        delete >> gone
        return delete, gone

    @task_group(group_id="delete_as_it_is")
    def delete_without_backup() -> None:
        """Deletes a living service that cannot be backed up, as approved."""
        delete_service()

    @task_group(group_id="replace")
    def make_room() -> None:
        """Backs up the living service, deletes it, and brings it back when it does not come to that."""
        steps = backup_steps(
            settings,
            at=at,
            reason="safety backup before a restore",
            backup_name=of_plan("['backup_name']", "safety"),
            backup_label="before the restore {{ run_id }}",
            tracking_conn_id=of_plan("['tracking_conn_id']", "safety"),
            drain={"deadline_minutes": settings.drain_deadline_minutes, "when_unknown": REFUSE_UNKNOWN},
            when_slipped_in=RECORD,
        )
        delete, gone = delete_service(safety_backup=steps.published.output, still=steps.still.output)
        bring_back = BizTalkBringBackUnlessDeletedOperator(
            task_id="bring_back_unless_deleted",
            suspension=steps.suspended.output,
            gone=gone.output,
            deadline_minutes=settings.resume_deadline_minutes,
            retries=INSIST,
            **at,
            **catalog,
            **patience,
        ).as_teardown(setups=steps.suspended)

        steps.checked >> steps.drained
        steps.published >> delete
        gone >> bring_back

    restore = BizTalkRestoreOperator(
        task_id="restore",
        plan=plan.output,
        request=chosen,
        stored=plan.output["stored"],
        name_deadline_minutes=settings.name_deadline_minutes,
        retries=INSIST * 4,
        **at,
        **catalog,
    )
    restored = BizTalkStateSensor(
        task_id="wait_for_restore",
        expected="Suspended",
        operation_id=restore.output["operation_id"],
        deadline_minutes=settings.restore_deadline_minutes,
        **at,
        **patience,
    )
    about = {"plan": plan.output, "request": chosen, "reference": reference}
    verified = BizTalkVerifyRestoreOperator(task_id="verify_restore", **about, **at, **catalog)
    settled = BizTalkSettleControlNumbersOperator(task_id="settle_control_numbers", **about, **at, **catalog)
    resume = BizTalkResumeOperator(
        task_id="resume_when_asked",
        suspension=plan.output["resumption"],
        deadline_minutes=settings.resume_deadline_minutes,
        retries=INSIST,
        **at,
        **catalog,
        **patience,
    )

    only_plan, way = unless_only_the_plan(), is_the_name_taken(plan.output)
    # Never directly behind the plan, which has succeeded also where nothing may be done.
    the_name_is_free = EmptyOperator(task_id="the_name_is_free", trigger_rule="none_failed_min_one_success")
    make_room()
    delete_without_backup()

    plan >> only_plan >> approval >> confirm >> way
    way >> dag.get_task("replace.check_that_backup_is_allowed")
    way >> dag.get_task("delete_as_it_is.delete")
    way >> the_name_is_free
    [dag.get_task(f"{group}.wait_until_deleted") for group in ("replace", "delete_as_it_is")] >> the_name_is_free
    the_name_is_free >> restore >> restored >> verified >> settled >> resume

    report = BizTalkReportRestoreOperator(
        task_id="report",
        steps=[step.task_id for step in dag.topological_sort()],
        changes=["replace.suspend", "replace.delete", "delete_as_it_is.delete", "restore"],
        deletions={f"{group}.delete": f"{group}.wait_until_deleted" for group in ("replace", "delete_as_it_is")},
        conn_id=settings.conn_id,
        trigger_rule="all_done",
        **catalog,
    )
    [resume, dag.get_task("replace.bring_back_unless_deleted"), plan] >> report

    # Last: Airflow copies the parameters that a DAG has into every task that is made after them.
    dag.params = PARAMS
