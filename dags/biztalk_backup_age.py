"""
### Watchdog over missing backups

Every quarter of an hour this checks, for each service of each subscription that is expected to have backups, how old
its newest verified backup is. Where it is older than the option `expected_backup_hours` allows, an alert is sent: at
once, again after each day, and when all backups are recent again. A service that never had a backup is waited for from
the moment in which it was first seen.

It reads only the services and the catalog, so it notices a night that does not come whatever the reason: the nightly
backup is paused, has no schedule, is broken, misreads its schedule, or was never started. A run is red when a backup is
overdue, and when something cannot be read, so that it is not known. The XCom of `check_backup_ages` has the age of
each. Options: section `[biztalk_services]` of Airflow's configuration.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable
from biztalk_services.flows.backup_ages import BackupsOverdueError
from biztalk_services.model.options import BACKUP_AGE
from biztalk_services.provider.alerts import FirstFailureNotifier
from biztalk_services.provider.misconfigured import page, tags
from biztalk_services.provider.operators.backup_ages import CheckBackupAgesOperator
from biztalk_services.provider.settings import WATCHDOG_POOL, Settings

settings = Settings.load()
problems = settings.problems_of(BACKUP_AGE)

with DAG(
    BACKUP_AGE,
    dag_display_name="BizTalk Services: watchdog over missing backups",
    description="Alerts when a service has no backup that is recent enough.",
    doc_md=page(__doc__, problems, works=True),
    schedule=CronTriggerTimetable(settings.backup_age_schedule, timezone="UTC"),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=14),
    tags=tags(["biztalk", "watchdog"], problems),
    default_args={
        "owner": "biztalk",
        "retries": 0,
        "execution_timeout": timedelta(minutes=12),
        "pool": WATCHDOG_POOL,
        "priority_weight": 900,
        "weight_rule": "absolute",
    },
) as dag:
    CheckBackupAgesOperator(
        task_id="check_backup_ages",
        conn_ids=settings.conn_ids,
        archive=settings.archive,
        expected_hours=settings.expected_backup_hours,
        problems=problems,
        on_failure_callback=FirstFailureNotifier(
            subject="The watchdog over missing BizTalk backups cannot check them", unless=(BackupsOverdueError,)
        ),
    )
