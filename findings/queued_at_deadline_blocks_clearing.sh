#!/usr/bin/env bash
# Nobody can clear or mark a task of a run that has a deadline.
#
# Guess:    a deadline tells when a run is late. It has no influence on what people may do with the run: with or without
#           one, a failed task can be cleared, or marked as a success.
# Instead:  while a deadline that counts from DAGRUN_QUEUED_AT is still to come, clearing a task of the run, marking it,
#           and clearing the run, are answered with 500, and nothing is changed. Without the deadline the same calls
#           work, and with one that counts from a fixed moment. Only a task behind which nothing failed can be marked.
# Versions: apache-airflow 3.3.2. SQLite, LocalExecutor.
# Source:   apache/airflow#70368 (open; 3.3.0 and later), apache/airflow#70370 is a fix for it (open). Docs, "Deadline
#           Alerts", name DAGRUN_QUEUED_AT as the reference for a run that nobody has scheduled.
# Means:    the run that needs help most, a late one with a failed task, is the one that cannot be helped, from the UI
#           neither.
set -euo pipefail
. "$(dirname "$0")/lib.bash"
begin
cat > "$work/plugins/late.py" <<'PYTHON'
async def tell(**context):
    print("late")
PYTHON
cat > "$work/dags/deadlines.py" <<'PYTHON'
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, DeadlineReference, task


def make(name, reference):
    alert = reference and DeadlineAlert(
        reference=reference, interval=timedelta(hours=1), callback=AsyncCallback("late.tell")
    )
    with DAG(name, schedule=None, deadline=alert):

        @task
        def work():
            raise RuntimeError("the first try fails")

        @task
        def report(): ...

        work() >> report()


make("no_deadline", None)
make("fixed_moment", DeadlineReference.FIXED_DATETIME(datetime(2099, 1, 1, tzinfo=UTC)))
make("queued_at", DeadlineReference.DAGRUN_QUEUED_AT)
PYTHON
start_airflow
look <<'PYTHON'
import seen

airflow = seen.Airflow()


def help_the_run_of(dag):
    run = airflow.start(dag)
    airflow.end_of(dag, run)
    path = f"dags/{dag}/dagRuns/{run}"
    body = {"dry_run": False, "dag_run_id": run, "task_ids": ["work"], "only_failed": True, "reset_dag_runs": True}
    cleared, _ = airflow.call("POST", f"dags/{dag}/clearTaskInstances", body)
    airflow.end_of(dag, run)
    marked, _ = airflow.call("PATCH", f"{path}/taskInstances/work", {"new_state": "success"})
    state, tries = (airflow.tasks(dag, run)["work"][key] for key in ("state", "try_number"))
    whole, _ = airflow.call("POST", f"{path}/clear", {"dry_run": False, "only_failed": False})
    seen.show(f"{dag}: clear the task {cleared}, mark it {marked} (now {state}, tries {tries}), clear the run {whole}")
    return cleared, marked, whole, state, tries


plain, fixed, queued = (help_the_run_of(dag) for dag in ("no_deadline", "fixed_moment", "queued_at"))
seen.as_stated(plain == (200, 200, 200, "success", 2), "a run without a deadline cannot be cleared and marked.")
seen.as_stated(fixed == plain, "a deadline that counts from a fixed moment keeps people from clearing, too.")
seen.as_stated(queued[0] == 500, "with a deadline that counts from DAGRUN_QUEUED_AT a task can be cleared.")
seen.as_stated(queued[1] == 500, "with a deadline that counts from DAGRUN_QUEUED_AT a task can be marked.")
seen.as_stated(
    queued[2:] == (500, "failed", 1), "with a deadline that counts from DAGRUN_QUEUED_AT a run can be cleared."
)
seen.show("AS STATED: with a deadline that counts from DAGRUN_QUEUED_AT nothing of the run can be cleared or marked.")
PYTHON
