"""
### Restore of a BizTalk service

Started by hand. Restores one backup as one service:

1. make the plan: every rule, every value checked, everything that would be lost
2. a person reads the plan and approves exactly that
3. make the plan again: when it is not the approved one any more, nothing is changed
4. where a service of that name exists, and the form says to replace it: back it up, delete it, wait until it is deleted
5. restore; compare what the restored service holds with what was recorded; advance the control numbers
6. resume it, when the form says so: a restored service arrives Suspended
7. look at the first control numbers that it gives out: the run is red when one was used before

With *plan only* nothing is changed. A run that was refused, rejected or not approved in time has changed nothing.
"""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from biztalk_services.drivers.biztalk.options import BizTalkOverrides
from biztalk_services.model.options import RESTORE
from biztalk_services.model.requests import ApprovalChoices, RestoreRequest
from biztalk_services.provider.alerts import AlertNotifier
from biztalk_services.provider.form import form
from biztalk_services.provider.misconfigured import page, tags
from biztalk_services.provider.offered import offered
from biztalk_services.provider.operators.approval import ApprovePlanOperator
from biztalk_services.provider.operators.plan import ConfirmPlanOperator, PlanRestoreOperator
from biztalk_services.provider.operators.report import ReportRestoreOperator
from biztalk_services.provider.operators.restore import (
    AdvanceControlNumbersOperator,
    StartRestoreOperator,
    VerifyRestoreOperator,
)
from biztalk_services.provider.operators.suspend import ResumeRestoredServiceOperator
from biztalk_services.provider.sensors import FirstNumbersSensor, ServiceStateSensor
from biztalk_services.provider.settings import Settings
from biztalk_services.provider.task_groups import INSIST, default_args, delete_group, replace_group
from biztalk_services.provider.unreported import UnreportedNotifier

settings = Settings.load()
problems = settings.problems_of(RESTORE)

UNREPORTED = "A restore of a BizTalk service ended without its report: a person marked it, or Airflow gave it up"
OF_PLAN = f"{{{{ (ti.xcom_pull(task_ids='plan', map_indexes=-1) or {{}}).get('conn_id', '{settings.conn_ids[0]}') }}}}"
"""The connection to the subscription that the plan is made for; without a plan nothing is done with it."""

with DAG(
    RESTORE,
    dag_display_name="BizTalk Services: restore",
    description="Restores a backup of a BizTalk service: planned, approved, exact.",
    doc_md=page(__doc__, problems),
    schedule=None,
    catchup=False,
    max_active_runs=16,  # most of a run is waiting: for a person, for the service, for its first control numbers
    tags=tags(["biztalk", "restore"], problems),
    default_args=default_args(settings) | {"conn_id": OF_PLAN},
    on_success_callback=UnreportedNotifier(subject=UNREPORTED),
    on_failure_callback=UnreportedNotifier(subject=UNREPORTED),
) as dag:
    # Only what was confirmed has an address: without the confirmation no step finds a service to change.
    service = "{{ ti.xcom_pull(task_ids='confirm_plan', map_indexes=-1)['service'] }}"

    plan = PlanRestoreOperator(task_id="plan", conn_id=settings.conn_id, problems=problems)

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def unless_plan_only(params: dict) -> bool:
        """Goes on unless the form asks for the plan alone."""
        return not params["plan_only"]

    approval = ApprovePlanOperator(task_id="approval", plan=plan.output, hours="{{ params.approval_hours }}", retries=2)
    confirm = ConfirmPlanOperator(
        task_id="confirm_plan",
        plan=plan.output,
        approved_hash="{{ ti.xcom_pull(task_ids='approval', key='plan_hash') }}",
    )

    @task.branch
    def free_the_name(plan: dict) -> str:
        """Chooses what has to be done before the restore."""
        if not plan["replaces"]:
            return "name_is_free"
        return "replace.check_backup" if plan["safety_backup"] else "delete_without_backup.delete"

    way = free_the_name(plan.output)
    check, suspend, published, delete, deleted, resume_existing = replace_group(settings, service=service, plan=plan)
    delete_at_once, deleted_at_once = delete_group(settings, service=service, plan=plan)
    # Never directly behind the plan, which has succeeded also where nothing may be changed.
    name_is_free = EmptyOperator(task_id="name_is_free", trigger_rule="none_failed_min_one_success")

    restore = StartRestoreOperator(
        task_id="restore",
        service=service,
        plan=plan.output,
        name_deadline_minutes=settings.name_deadline_minutes,
        retries=INSIST * 4,
    )
    restored = ServiceStateSensor(
        task_id="wait_for_restore",
        service=service,
        operation_id=restore.output["operation_id"],
        deadline_minutes=settings.restore_deadline_minutes,
    )
    verify = VerifyRestoreOperator(task_id="verify_restore", service=service, plan=plan.output)
    advance = AdvanceControlNumbersOperator(task_id="advance_control_numbers", service=service, plan=plan.output)
    resume = ResumeRestoredServiceOperator(
        task_id="resume_if_requested",
        service=service,
        plan=plan.output,
        deadline_minutes=settings.resume_deadline_minutes,
        retries=INSIST,
    )
    first_numbers = FirstNumbersSensor(
        task_id="first_numbers",
        service=service,
        plan=plan.output,
        numbers=advance.output,
        restored=restored.output,
        count=settings.first_numbers,
        deadline_minutes=settings.first_numbers_minutes,
    )

    plan >> unless_plan_only() >> approval >> confirm >> way >> [check, delete_at_once, name_is_free]
    [deleted, deleted_at_once] >> name_is_free
    name_is_free >> restore >> restored >> verify >> advance >> resume >> first_numbers

    carried_out = [restore, restored, verify, advance, resume]
    report = ReportRestoreOperator(
        task_id="report",
        steps=[step.task_id for step in dag.topological_sort()],
        changes=[step.task_id for step in (suspend, delete, delete_at_once, restore)],
        deletions={delete.task_id: deleted.task_id, delete_at_once.task_id: deleted_at_once.task_id},
        required=[step.task_id for step in carried_out],
        sources={
            "plan": plan.task_id,
            "approval": approval.task_id,
            "confirm": confirm.task_id,
            "safety_backup": published.task_id,
            "verify": verify.task_id,
            "numbers": advance.task_id,
            "resumed": resume.task_id,
            "first_numbers": first_numbers.task_id,
        },
        on_failure_callback=AlertNotifier(subject="A restore of a BizTalk service failed"),
    ).as_teardown(on_failure_fail_dagrun=True)
    [first_numbers, resume_existing, plan] >> report

    # Last: Airflow copies the parameters that a DAG has into every task that is made after them.
    dag.params = form(
        RestoreRequest,
        ApprovalChoices,
        BizTalkOverrides,
        defaults={"approval_hours": float(settings.approval_hours)},
        also={"backup": "object"},
        offers={"backup": offered()},
    )
