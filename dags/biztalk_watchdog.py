"""
### Watchdog over suspended services

A run that suspends a service writes a suspension record before: which run, why, and until when at the latest. Every
minute this checks the open records, and resumes what a run has left suspended:

- the run has ended and the service is not resumed: a resumption is requested
- the run is not known: the same, as soon as the deadline of the record has passed
- the run is active: the same, when it takes half an hour longer than all its deadlines together
- the service is running: the record is closed

A service without a record was suspended by somebody else, and is left alone. A run is red when a person has to check a
service. It shares no run, no pool and no lock with the backups. With bad options it does the same by their defaults,
and is red at its end. Options: section `[biztalk_services]` of Airflow's configuration.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable
from biztalk_services.model.options import WATCHDOG
from biztalk_services.provider.alerts import FirstFailureNotifier
from biztalk_services.provider.misconfigured import page, tags
from biztalk_services.provider.operators.options import RefuseBadOptionsOperator
from biztalk_services.provider.operators.watchdog import CheckSuspensionOperator, FindSuspensionsOperator
from biztalk_services.provider.settings import WATCHDOG_POOL, Settings

settings = Settings.load()
problems = settings.problems_of(WATCHDOG)

with DAG(
    WATCHDOG,
    dag_display_name="BizTalk Services: watchdog over suspended services",
    description="Resumes what a dead run has left suspended.",
    doc_md=page(__doc__, problems, works=True),
    schedule=CronTriggerTimetable(settings.watchdog_schedule, timezone="UTC"),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=10),
    tags=tags(["biztalk", "watchdog"], problems),
    default_args={
        "owner": "biztalk",
        "retries": 0,
        "execution_timeout": timedelta(minutes=3),
        "pool": WATCHDOG_POOL,
        "priority_weight": 2000,
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
    check = CheckSuspensionOperator.partial(task_id="check_suspension", **at).expand(found=find.output)
    if problems:  # told of at the end, because services have to be resumed all the same
        check >> RefuseBadOptionsOperator(
            task_id="refuse_bad_options", problems=problems, subject="the watchdog over suspended services"
        )
