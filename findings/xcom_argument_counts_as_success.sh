#!/usr/bin/env bash
# A task runs although every way to it was skipped, because it reads a value.
#
# Guess:    a task with none_failed_min_one_success at the end of several ways runs when one of them was taken. To give
#           it a value of an earlier task as an argument, or by a template, only tells where the value comes from.
# Instead:  the argument makes the earlier task a direct upstream. The trigger rule counts it: its success is the "one
#           success", and the task runs although all ways were skipped. By a template that calls xcom_pull it does not.
# Versions: apache-airflow 3.3.2, apache-airflow-providers-standard 1.21.0. SQLite, LocalExecutor.
# Source:   docs, "XComs" and "TaskFlow", tell that passing an output makes a dependency; that the trigger rule of the
#           reader counts it follows from there, and is written nowhere.
# Means:    a restore at the end of three ways that are all skipped ("only the plan") restores, as soon as it reads the
#           plan by plan.output.
set -euo pipefail
. "$(dirname "$0")/lib.bash"
begin
cat > "$work/dags/ways.py" <<'PYTHON'
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task


def make(name, request):
    with DAG(name, schedule=None):

        @task
        def plan():
            return "request"

        @task.short_circuit(ignore_downstream_trigger_rules=False)
        def unless_only_the_plan():
            return False

        planned = plan()
        restore = BashOperator(
            task_id="restore",
            bash_command="true",
            env={"REQUEST": planned if request == "argument" else "{{ ti.xcom_pull('plan') }}"},
            trigger_rule="none_failed_min_one_success",
        )
        ways = [EmptyOperator(task_id=name) for name in ("straight", "replace", "delete_first")]
        planned >> unless_only_the_plan() >> ways >> restore


make("by_argument", "argument")
make("by_template", "template")
PYTHON
start_airflow
look <<'PYTHON'
import seen

airflow = seen.Airflow()


def look(dag):
    state, states = airflow.run_to_its_end(dag)
    seen.show(f"{dag}: run {state}, {states}")
    return {states[way] for way in ("straight", "replace", "delete_first")}, states["restore"]


template, argument = look("by_template"), look("by_argument")
seen.as_stated(template == ({"skipped"}, "skipped"), "a task runs although all ways to it were skipped.")
seen.as_stated(
    argument == ({"skipped"}, "success"), "the trigger rule no longer counts the task that a value comes from."
)
seen.show("AS STATED: reading a value as an argument lets a task run although every way to it was skipped.")
PYTHON
