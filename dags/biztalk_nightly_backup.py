"""
### Nightly backup of BizTalk Services

Backs up every service of the subscription whose edition has backups, each on its own and a few at a time:

1. check that the backup is allowed, before anything is changed
2. wait until no batch holds messages: a backup never contains them
3. suspend the service
4. back it up into a new container of the storage account; beside that record what it holds
5. resume the service; beside that read the backup back, and publish its reference in the catalog

The run is green only when every service was backed up, read back and is as it was before. Start it by hand with the
form to choose services or to decide about batches. Options: section `[biztalk_services]` of Airflow's configuration.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, AsyncCallback, CronTriggerTimetable, DeadlineAlert
from biztalk_services.model.options import NIGHTLY
from biztalk_services.model.requests import BackupRequest
from biztalk_services.provider.alerts import AlertNotifier, OverdueNotifier
from biztalk_services.provider.deadlines import RunCreated
from biztalk_services.provider.form import form
from biztalk_services.provider.misconfigured import page, tags
from biztalk_services.provider.operators.find import FindServicesOperator, PlanFurtherRunsOperator
from biztalk_services.provider.operators.report import ReportBackupsOperator
from biztalk_services.provider.schedule import page_of
from biztalk_services.provider.settings import Settings
from biztalk_services.provider.task_groups import backup_group, default_args
from biztalk_services.provider.unreported import UnreportedNotifier

settings = Settings.load()

UNREPORTED = "A nightly backup of BizTalk Services ended without its report: a person marked it, or Airflow gave it up"
problems = settings.problems_of(NIGHTLY)
schedule = settings.nightly_schedule

with DAG(
    NIGHTLY,
    dag_display_name="BizTalk Services: nightly backup",
    description="Backs up every BizTalk service of the subscription, and resumes each one.",
    doc_md=page(__doc__ + page_of(schedule, datetime.now(UTC)), problems),
    schedule=schedule
    and CronTriggerTimetable(schedule.expression, timezone=schedule.timezone, run_immediately=timedelta(0)),
    catchup=False,
    max_active_runs=1,
    max_active_tasks=64,
    tags=tags(["biztalk", "backup"], problems),
    default_args=default_args(settings),
    on_success_callback=UnreportedNotifier(subject=UNREPORTED),
    on_failure_callback=UnreportedNotifier(subject=UNREPORTED),
    deadline=DeadlineAlert(
        reference=RunCreated(),
        interval=settings.completion_window,
        callback=AsyncCallback(
            OverdueNotifier,
            kwargs={
                "subject": f"The nightly backup of BizTalk Services takes longer than {settings.completion_window}"
            },
        ),
    ),
) as dag:
    find = FindServicesOperator(
        task_id="find_services",
        services="{{ (params.services or []) | join(' ') }}",
        problems=problems,
        start_window_minutes=settings.start_window_minutes,
        start_before="{{ params.start_before or '' }}",
        most_services=settings.max_services_per_run,
    )
    backups = backup_group(settings, find)
    # Before the backups of this run: when it is ended early, the services of the others are planned all the same.
    further = PlanFurtherRunsOperator(
        task_id="plan_further_runs",
        find=find.task_id,
        start_before_minutes=settings.completion_window_minutes,
        priority_weight=800,
        weight_rule="absolute",
    )
    start_further = TriggerDagRunOperator.partial(
        task_id="start_further_runs",
        priority_weight=800,
        weight_rule="absolute",
        trigger_dag_id=dag.dag_id,
        logical_date=None,
        skip_when_already_exists=True,
        openlineage_inject_parent_info=False,
    ).expand_kwargs(further.output)
    report = ReportBackupsOperator(
        task_id="report",
        find=find.task_id,
        steps=backups.steps,
        quiesced=backups.quiesced.task_id,
        resumed=backups.resume.task_id,
        published=backups.publish.task_id,
        recorded=backups.record.task_id,
        further=further.task_id,
        further_started=start_further.task_id,
        on_failure_callback=AlertNotifier(subject="The nightly backup of BizTalk Services failed"),
    ).as_teardown(on_failure_fail_dagrun=True)
    find >> further
    [backups.group, backups.resume, start_further] >> report

    # Last: Airflow copies the parameters that a DAG has into every task that is made after them.
    dag.params = form(BackupRequest, defaults={"drain_deadline_minutes": settings.drain_deadline_minutes})
