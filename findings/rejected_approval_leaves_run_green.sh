#!/usr/bin/env bash
# A run whose approval was rejected ends green, and nothing behind it can read the answer.
#
# Guess:    who rejects an ApprovalOperator ends the run as failed. A task behind it that tells of the run reads the
#           answer, and who gave it, from the approval's XCom, as it does after an approval.
# Instead:  the approval succeeds, the next task is skipped, and the run is a success, like one that was approved. With
#           fail_on_reject=True the run is failed. Both ways the approval pushes no XCom, only "Approve" leaves one.
# Versions: apache-airflow 3.3.2, apache-airflow-providers-standard 1.21.0. SQLite, LocalExecutor.
# Source:   docstring of ApprovalOperator: "Reject": downstream tasks are skipped; fail_on_reject is "generally
#           discouraged". That the answer is lost is not documented: the operator skips by an exception.
# Means:    a list of green runs does not tell a restore that was done from one that somebody refused, and a report
#           cannot name who refused it.
set -euo pipefail
. "$(dirname "$0")/lib.bash"
begin
cat > "$work/dags/approvals.py" <<'PYTHON'
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, task


def make(name, **options):
    with DAG(name, schedule=None):

        @task
        def restore(): ...

        @task(trigger_rule="all_done")
        def report(**context):
            answer = context["ti"].xcom_pull(task_ids="approval")
            return answer["chosen_options"] if answer else "nothing"

        @task
        def tell_partners(): ...

        ApprovalOperator(task_id="approval", subject="Restore?", **options) >> restore() >> [report(), tell_partners()]


make("plain")
make("fails", fail_on_reject=True)
PYTHON
start_airflow
look <<'PYTHON'
import time

import seen

airflow = seen.Airflow()
# Answered in the moment in which it begins to wait, an approval may be failed by a race in the scheduler, which is
# another matter. A person takes longer.
TO_READ = 6


def answer_with(option, dag):
    run = airflow.start(dag)
    seen.wait_for("the question", lambda: airflow.tasks(dag, run)["approval"]["state"] == "awaiting_input")
    time.sleep(TO_READ)
    path = f"dags/{dag}/dagRuns/{run}/taskInstances/approval/-1/hitlDetails"
    seen.wait_for(
        "the answer", lambda: airflow.call("PATCH", path, {"chosen_options": [option], "params_input": {}})[0] == 200
    )
    state, states = airflow.end_of(dag, run), airflow.states(dag, run)
    report = airflow.xcom(dag, run, "report")
    seen.show(f"{dag}, {option}: run {state}, {states}; report read of the answer: {report}")
    return state, states["approval"], states["restore"], report


approved = answer_with("Approve", "plain")
rejected = answer_with("Reject", "plain")
failed = answer_with("Reject", "fails")
seen.as_stated(approved[:3] == ("success", "success", "success"), "a run that was approved is no success.")
seen.as_stated(rejected[:3] == ("success", "success", "skipped"), "a rejection no longer leaves the run green.")
seen.as_stated(failed[:3] == ("failed", "failed", "upstream_failed"), "fail_on_reject no longer fails the run.")
seen.as_stated(approved[3] == ["Approve"], "an approval no longer leaves its answer in its XCom.")
seen.as_stated(rejected[3] == "nothing", "a rejection leaves its answer in the approval's XCom now.")
seen.as_stated(failed[3] == "nothing", "with fail_on_reject a rejection leaves its answer in the approval's XCom now.")
seen.show("AS STATED: a rejection leaves the run green by default, and never leaves its answer to a task behind it.")
PYTHON
