#!/usr/bin/env bash
# A DAG that is new to an Airflow runs what was due before it came.
#
# Guess:    CronTriggerTimetable does not run what is past: run_immediately is False by default, and its page says
#           "If False, wait to run until the next scheduled time in the future". catchup is False by default, too.
# Instead:  False means the same as None: the run that was last due starts at once when it was due less than a tenth of
#           the schedule's interval ago (a day: 2.4 hours). With a start_date in the past it starts at once however
#           long ago it was due, and run_immediately has no effect. Only timedelta(0) without start_date waits.
# Versions: apache-airflow 3.3.2, apache-airflow-task-sdk 1.3.2.
# Source:   docs, "Timetables"; docstring of CronTriggerTimetable. apache/airflow#64162 (open) names both as bugs.
# Means:    the first start of a deployment in the morning runs what was meant for the night.
set -euo pipefail
. "$(dirname "$0")/lib.bash"
begin
look <<'PYTHON'
from datetime import UTC, datetime, timedelta

import seen
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronTriggerTimetable
from airflow.serialization.serialized_objects import DagSerialization

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=30)


def first_run(hours_ago, start_date=None, **run_immediately):
    """Whether the first run of a daily DAG, as the scheduler would plan it now, lies in the past."""
    due = NOW - timedelta(hours=hours_ago)
    schedule = CronTriggerTimetable(f"{due.minute} {due.hour} * * *", timezone="UTC", **run_immediately)
    with DAG("nightly", schedule=schedule, start_date=start_date) as dag:
        EmptyOperator(task_id="work")
    planned = DagSerialization.from_dict(DagSerialization.to_dict(dag)).next_dagrun_info(last_automated_run_info=None)
    past = planned.run_after < datetime.now(UTC)
    told = run_immediately.get("run_immediately", "not given")
    begins = "a month ago" if start_date else "not given"
    seen.show(
        f"due daily, last {hours_ago} h ago; run_immediately {told}, start_date {begins}:",
        "starts at once" if past else "waits for the next time",
    )
    return past


by_default = first_run(2)
told_not_to = first_run(2, run_immediately=False)
later = first_run(3, run_immediately=False)
at_no_distance = first_run(2, run_immediately=timedelta(0))
with_start = first_run(20, LONG_AGO, run_immediately=timedelta(0))
seen.as_stated(by_default, "by default the run that was last due is no longer started at once.")
seen.as_stated(told_not_to, "run_immediately=False waits for the next scheduled time now, as its page says.")
seen.as_stated(not later, "run_immediately=False starts a run at once that was due more than a tenth of a day ago.")
seen.as_stated(not at_no_distance, "run_immediately=timedelta(0) no longer waits.")
seen.as_stated(with_start, "with a start_date in the past run_immediately has an effect now.")
seen.show("AS STATED: only run_immediately=timedelta(0) without start_date waits for the next scheduled time.")
PYTHON
