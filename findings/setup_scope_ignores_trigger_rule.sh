#!/usr/bin/env bash
# A task between a setup and its teardown never runs without the setup, whatever its trigger rule says.
#
# Guess:    a task with none_failed_min_one_success behind a branch runs when one of the ways to it was taken. That the
#           way through a setup was skipped is then no matter, as with any other skipped way.
# Instead:  the task lies in the scope of the setup, and is skipped with it, although the way that was taken succeeded
#           and its trigger rule is met. In the same DAG without setup and teardown it runs.
# Versions: apache-airflow 3.3.2, apache-airflow-providers-standard 1.21.0. SQLite, LocalExecutor.
# Source:   airflow/ti_deps/deps/trigger_rule_dep.py (_evaluate_setup_constraint), apache/airflow#33903. The docs,
#           "Setup and Teardown", tell that a teardown skips with its setup, and nothing of the rules between the two.
# Means:    "suspend it if that is possible, and delete it either way" cannot be one path: the run is green, and the
#           deletion was skipped.
set -euo pipefail
. "$(dirname "$0")/lib.bash"
begin
cat > "$work/dags/scopes.py" <<'PYTHON'
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task


def make(name, scope):
    with DAG(name, schedule=None):

        @task.branch
        def can_it_be_suspended():
            return "as_it_is"

        suspend, wait, as_it_is = (EmptyOperator(task_id=name) for name in ("suspend", "wait", "as_it_is"))
        delete = EmptyOperator(task_id="delete", trigger_rule="none_failed_min_one_success")
        resume = EmptyOperator(task_id="resume", trigger_rule="none_failed_min_one_success")
        can_it_be_suspended() >> [suspend, as_it_is]
        suspend >> wait >> delete
        as_it_is >> delete >> resume
        if scope:
            resume.as_teardown(setups=suspend)


make("with_setup", scope=True)
make("without_setup", scope=False)
PYTHON
start_airflow
look <<'PYTHON'
import seen

airflow = seen.Airflow()


def look(dag):
    state, states = airflow.run_to_its_end(dag)
    seen.show(f"{dag}: run {state}, {states}")
    return state, states["as_it_is"], states["suspend"], states["delete"]


without, scope = look("without_setup"), look("with_setup")
seen.as_stated(
    without == ("success", "success", "skipped", "success"), "one way that succeeded is not enough any more."
)
seen.as_stated(
    scope == ("success", "success", "skipped", "skipped"), "in the scope of a skipped setup a task runs now."
)
seen.show(
    "AS STATED: what lies between a setup and its teardown is skipped with the setup; its trigger rule is not asked."
)
PYTHON
