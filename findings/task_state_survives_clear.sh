#!/usr/bin/env bash
# A task that is cleared finds what it stored before.
#
# Guess:    to clear a task is to begin it anew. Its XComs are gone then, so what it put into its task state store is
#           gone too; only retries of the same task see it.
# Instead:  the XComs are deleted, the task state store is kept. A cleared task reads what the earlier try has set,
#           also when that try has succeeded.
# Versions: apache-airflow 3.3.2, apache-airflow-task-sdk 1.3.2. SQLite, LocalExecutor.
# Source:   apache/airflow#71356 documents it for 3.3. apache/airflow#72100 (3.4): the REST endpoint that clears tasks
#           deletes the store unless it is told to keep it. apache/airflow#72929: so will the other ways to clear.
# Means:    an operator that keeps the id of its request there does not ask twice when somebody clears it. It does not
#           ask anew either: whoever clears it in order to do the work again gets the old answer, unless the operator
#           has a rule of its own. This script fails as soon as that rule has to be thought over.
set -euo pipefail
. "$(dirname "$0")/lib.bash"
begin
cat > "$work/dags/asks.py" <<'PYTHON'
from airflow.sdk import dag, task


@dag(schedule=None)
def asks():
    @task
    def ask(**context):
        store = context["task_state_store"]
        found = store.get("request_id")
        store.set("request_id", f"request of try {context['ti'].try_number}")
        return found or "nothing"

    ask()


asks()
PYTHON
start_airflow
look <<'PYTHON'
import seen

airflow = seen.Airflow()
run = airflow.start("asks")
seen.show("first run:", airflow.end_of("asks", run))
first = airflow.xcom("asks", run, "ask")
seen.show("found in the store by try 1:", first)

body = {"dry_run": False, "dag_run_id": run, "task_ids": ["ask"], "only_failed": False, "reset_dag_runs": True}
status, answer = airflow.call("POST", "dags/asks/clearTaskInstances", body)
seen.show("cleared over REST:", status)
seen.wait_for("try 2", lambda: airflow.tasks("asks", run)["ask"]["try_number"] == 2)
seen.show("after the clear:", airflow.end_of("asks", run))
second = airflow.xcom("asks", run, "ask")
seen.show("found in the store by try 2:", second)

status, answer = airflow.call("POST", f"dags/asks/dagRuns/{run}/clear", {"dry_run": False, "only_failed": False})
seen.show("whole run cleared over REST:", status)
seen.wait_for("try 3", lambda: airflow.tasks("asks", run)["ask"]["try_number"] == 3)
seen.show("after the clear:", airflow.end_of("asks", run))
third = airflow.xcom("asks", run, "ask")
seen.show("found in the store by try 3:", third)

seen.as_stated(first == "nothing", "the first try finds something in the store.")
seen.as_stated(second == "request of try 1", "clearing a task no longer keeps its task state store.")
seen.as_stated(third == "request of try 2", "clearing a run no longer keeps the task state store of its tasks.")
seen.show("AS STATED: what a task has stored is still there after it was cleared.")
PYTHON
