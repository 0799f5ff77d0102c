"""
### Watchdog over suspended services

A run that suspends a service writes a suspension record before: which run, why, and until when at the latest. Every
minute this checks the open records, and resumes what a run has left suspended:

- the run has ended and the service is not resumed: a resumption is requested
- the run is not known: the same, as soon as the deadline of the record has passed
- the run is active: the same, when it takes half an hour longer than all its deadlines together
- the service is running: the record is closed

A service without a record was suspended by somebody else, and is left alone. A run is red when a person has to check a
service. It shares no run, no pool and no lock with the backups. Options: section `[biztalk_services]` of Airflow's
configuration.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable
from biztalk_services.provider.alerts import FirstFailureNotifier
from biztalk_services.provider.operators.watchdog import CheckSuspensionOperator, FindSuspensionsOperator
from biztalk_services.provider.settings import Settings

settings = Settings.load()

with DAG(
    "biztalk_watchdog",
    dag_display_name="BizTalk Services: watchdog over suspended services",
    description="Resumes what a dead run has left suspended.",
    doc_md=__doc__,
    schedule=CronTriggerTimetable(settings.watchdog_schedule, timezone="UTC"),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=10),
    tags=["biztalk", "watchdog"],
    default_args={
        "owner": "biztalk",
        "retries": 0,
        "execution_timeout": timedelta(minutes=3),
        "pool": settings.watchdog_pool,
        "priority_weight": 1000,
        "weight_rule": "absolute",
    },
) as dag:
    at = {
        "conn_id": settings.conn_id,
        "archive": settings.archive,
        "grace_minutes": settings.suspension_grace_minutes,
    }
    find = FindSuspensionsOperator(
        task_id="find_suspensions",
        on_failure_callback=FirstFailureNotifier(
            subject="The watchdog cannot read which BizTalk services are left suspended"
        ),
        **at,
    )
    CheckSuspensionOperator.partial(task_id="check_suspension", **at).expand(found=find.output)
