"""
### Watchdog over suspended services

Whoever suspends a service files a ticket before: who, why, and until when at the latest. Every minute this looks at the
open tickets, and brings back what a run has left suspended:

- the run has ended and the service is not back: it is asked to resume
- nobody knows of the run: the same, as soon as the time on the ticket is over
- the run still works: the same, when it takes half an hour longer than all its deadlines together
- the service is back: the ticket is closed

A service without a ticket was suspended by somebody else, and is left alone. A run is red when a person has to look.
It shares no run, no pool and no claim with the backups. Options: section `[biztalk_services]` of Airflow's
configuration.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable
from biztalk_services.notifications.alert import FirstFailureNotifier
from biztalk_services.operators.watchdog import BizTalkBringBackOperator, BizTalkFindSuspensionsOperator
from biztalk_services.settings import Settings

settings = Settings.load()

with DAG(
    "biztalk_watchdog",
    dag_display_name="BizTalk Services: watchdog over suspended services",
    description="Brings back what a dead run has left suspended.",
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
    places = {
        "conn_id": settings.conn_id,
        "storage_conn_id": settings.storage_conn_id,
        "catalog_container": settings.catalog_container,
        "grace_minutes": settings.suspension_grace_minutes,
    }
    found = BizTalkFindSuspensionsOperator(
        task_id="find_suspensions",
        on_failure_callback=FirstFailureNotifier(
            subject="The watchdog cannot see which BizTalk services are left suspended"
        ),
        **places,
    )
    BizTalkBringBackOperator.partial(task_id="bring_back", **places).expand(found=found.output)
