#!/usr/bin/env bash
# A task that starts in the triggerer keeps the XComs of its earlier try when it is cleared.
#
# Guess:    to clear a task is to begin it anew, and Airflow deletes its XComs then: that is what the documentation says
#           of retries, and what is seen of every task that a worker runs.
# Instead:  it is the worker that has them deleted, when it begins the task. A task with start_from_trigger has no worker:
#           after the clear it ends as succeeded, and what the failed try has pushed stands beside the new result. The
#           same trigger, deferred to by a task on a worker, leaves the new result only.
# Versions: apache-airflow 3.3.2, apache-airflow-task-sdk 1.3.2. SQLite, LocalExecutor.
# Source:   airflow/api_fastapi/execution_api/routes/task_instances.py (ti_run), airflow/models/taskinstance.py
#           (defer_task), airflow/models/trigger.py (_push_xcoms_if_necessary).
# Means:    whoever reads an XCom such as "why it failed" takes a success for a failure. A trigger that ends such a task
#           has to write every key that its other ending may have left.
set -euo pipefail
. "$(dirname "$0")/lib.bash"
begin
export SECOND_TRY="$work/second-try"
cat > "$work/plugins/ends.py" <<'PYTHON'
import os

from airflow.triggers.base import BaseTrigger, TaskFailedEvent, TaskSuccessEvent


class Ends(BaseTrigger):
    """Fails the task at first, and ends it well when a file is there."""

    def serialize(self):
        return "ends.Ends", {}

    async def run(self):
        if os.path.exists(os.environ["SECOND_TRY"]):
            yield TaskSuccessEvent(xcoms={"return_value": "all is well"})
        else:
            yield TaskFailedEvent(xcoms={"why": "it was too early"})
PYTHON
cat > "$work/dags/waits.py" <<'PYTHON'
from airflow.sdk import DAG, BaseOperator
from airflow.triggers.base import StartTriggerArgs
from ends import Ends


class InTheTriggerer(BaseOperator):
    start_from_trigger = True
    start_trigger_args = StartTriggerArgs(
        trigger_cls="ends.Ends", trigger_kwargs={}, next_method="execute_complete", next_kwargs=None, timeout=None
    )

    def execute(self, context):
        raise RuntimeError("a worker runs this")

    def execute_complete(self, context, event=None):
        raise RuntimeError("a worker goes on with this")


class OnAWorker(BaseOperator):
    def execute(self, context):
        self.defer(trigger=Ends(), method_name="execute_complete")

    def execute_complete(self, context, event=None):
        raise RuntimeError("a worker goes on with this")


with DAG("waits", schedule=None):
    InTheTriggerer(task_id="in_the_triggerer")
    OnAWorker(task_id="on_a_worker")
PYTHON
start_airflow
run_in_background triggerer triggerer --skip-serve-logs
look <<'PYTHON'
import os
from pathlib import Path

import seen

airflow = seen.Airflow()
TASKS = ("in_the_triggerer", "on_a_worker")


def left(task):
    found = {key: airflow.xcom("waits", run, task, key) for key in ("why", "return_value")}
    return {key: value for key, value in found.items() if value is not None}


run = airflow.start("waits")
seen.show("first run:", airflow.end_of("waits", run), airflow.states("waits", run))
for task in TASKS:
    seen.show(f"{task} has left {left(task)}")
    seen.as_stated("why" in left(task), f"what the trigger of {task} says with a failure is not kept.")

Path(os.environ["SECOND_TRY"]).touch()
body = {"dry_run": False, "dag_run_id": run, "task_ids": list(TASKS), "only_failed": True, "reset_dag_runs": True}
status, answer = airflow.call("POST", "dags/waits/clearTaskInstances", body)
seen.show("cleared over REST:", status)
seen.wait_for("the second try", lambda: all(each["try_number"] == 2 for each in airflow.tasks("waits", run).values()))
state = airflow.end_of("waits", run)
seen.show("after the clear:", state, airflow.states("waits", run))
for task in TASKS:
    seen.show(f"{task} has left {left(task)}")
seen.as_stated(state == "success", f"the cleared run ends {state}.")
seen.as_stated("why" not in left("on_a_worker"), "a task on a worker keeps the XComs of its earlier try as well.")
seen.as_stated("why" in left("in_the_triggerer"), "a task that starts in the triggerer loses those of its earlier try.")
seen.show("AS STATED: a task that starts in the triggerer keeps what an earlier try has left, beside its new result.")
PYTHON
