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

from datetime import timedelta

from airflow.sdk import DAG, AsyncCallback, CronTriggerTimetable, DeadlineAlert
from biztalk_services.model.requests import BackupRequest
from biztalk_services.provider.alerts import AlertNotifier, OverdueNotifier
from biztalk_services.provider.deadlines import RunCreated
from biztalk_services.provider.form import form
from biztalk_services.provider.operators.find import FindServicesOperator
from biztalk_services.provider.operators.report import ReportBackupsOperator
from biztalk_services.provider.settings import Settings
from biztalk_services.provider.task_groups import backup_group, default_args

settings = Settings.load()

with DAG(
    "biztalk_nightly_backup",
    dag_display_name="BizTalk Services: nightly backup",
    description="Backs up every BizTalk service of the subscription, and resumes each one.",
    doc_md=__doc__,
    schedule=CronTriggerTimetable(settings.schedule, timezone=settings.timezone, run_immediately=timedelta(0)),
    catchup=False,
    max_active_runs=1,
    max_active_tasks=64,
    tags=["biztalk", "backup"],
    default_args=default_args(settings),
    on_failure_callback=AlertNotifier(subject="The nightly backup of BizTalk Services failed"),
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
        start_window_minutes=settings.start_window_minutes,
    )
    backups = backup_group(settings, find)
    report = ReportBackupsOperator(
        task_id="report",
        find=find.task_id,
        steps=backups.steps,
        quiesced=backups.quiesced.task_id,
        resumed=backups.resume.task_id,
        published=backups.publish.task_id,
        trigger_rule="all_done",
    )
    [backups.group, backups.resume] >> report

    # Last: Airflow copies the parameters that a DAG has into every task that is made after them.
    dag.params = form(BackupRequest, defaults={"drain_deadline_minutes": settings.drain_deadline_minutes})
