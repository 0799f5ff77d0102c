"""
### Nightly backup of BizTalk Services

Backs up every service of the subscription whose edition has backups:

1. find the services
2. start a run of DAG `biztalk_backup` for each of them, a few at a time, and wait for all of them
3. report what became of each

The run is green only when every service was backed up, read back and is as it was before. Start it by hand with the
form to choose services or to decide about batches. Options: section `[biztalk_services]` of Airflow's configuration.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, AsyncCallback, CronTriggerTimetable, DeadlineAlert
from biztalk_services.model.options import NIGHTLY
from biztalk_services.model.requests import BackupRequest, NightRequest
from biztalk_services.provider.alerts import AlertNotifier, OverdueNotifier
from biztalk_services.provider.deadlines import RunCreated
from biztalk_services.provider.form import form
from biztalk_services.provider.misconfigured import page, tags
from biztalk_services.provider.operators.find import FindServicesOperator
from biztalk_services.provider.operators.night import BackUpServicesOperator
from biztalk_services.provider.operators.report import ReportBackupsOperator
from biztalk_services.provider.schedule import page_of
from biztalk_services.provider.settings import Settings
from biztalk_services.provider.task_groups import INSIST, default_args
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
    )
    back_up = BackUpServicesOperator(
        task_id="back_up_services",
        find=find.task_id,
        at_once=settings.max_concurrent_backups,
        ahead=2 * settings.max_active_backups,
        window_minutes=settings.completion_window_minutes,
        longest_run_minutes=settings.longest_service_run.total_seconds() / 60,
        retries=INSIST,
    )
    report = ReportBackupsOperator(
        task_id="report",
        find=find.task_id,
        back_up=back_up.task_id,
        on_failure_callback=AlertNotifier(subject="The nightly backup of BizTalk Services failed"),
    ).as_teardown(on_failure_fail_dagrun=True)
    find >> back_up >> report

    # Last: Airflow copies the parameters that a DAG has into every task that is made after them.
    dag.params = form(NightRequest, BackupRequest, defaults={"drain_deadline_minutes": settings.drain_deadline_minutes})
