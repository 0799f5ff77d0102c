#!/usr/bin/env bash
# A report with the trigger rule all_done is skipped by a short circuit far before it.
#
# Guess:    a short circuit skips what comes next. A report at the end with trigger_rule="all_done" runs in any case;
#           that is what the rule is for, and so it does behind a task that skips itself.
# Instead:  by default a short circuit skips everything behind it and asks no trigger rule. The report is skipped, the
#           run is green. With ignore_downstream_trigger_rules=False the report runs.
# Versions: apache-airflow 3.3.2, apache-airflow-providers-standard 1.21.0. SQLite, LocalExecutor.
# Source:   docs of apache-airflow-providers-standard, ShortCircuitOperator: ignore_downstream_trigger_rules, by default
#           True.
# Means:    the run that did nothing tells nothing, and gives up nothing that its last step would have given up.
set -euo pipefail
. "$(dirname "$0")/lib.bash"
begin
cat > "$work/dags/circuits.py" <<'PYTHON'
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException


def make(name, way):
    with DAG(name, schedule=None):

        @task
        def skip_by_raising():
            raise AirflowSkipException

        @task.short_circuit
        def by_default():
            return False

        @task.short_circuit(ignore_downstream_trigger_rules=False)
        def by_rules():
            return False

        @task
        def restore(): ...

        @task(trigger_rule="all_done")
        def report(): ...

        {"raised": skip_by_raising, "default": by_default, "rules": by_rules}[way]() >> restore() >> report()


for way in ("raised", "default", "rules"):
    make(f"circuit_{way}", way)
PYTHON
start_airflow
look <<'PYTHON'
import seen

airflow = seen.Airflow()


def look(way):
    state, states = airflow.run_to_its_end(f"circuit_{way}")
    seen.show(f"{way}: run {state}, {states}")
    return state, states["restore"], states["report"]


raised, default, rules = (look(way) for way in ("raised", "default", "rules"))
seen.as_stated(raised == ("success", "skipped", "success"), "behind a task that raises a skip all_done does not run.")
seen.as_stated(default == ("success", "skipped", "skipped"), "a short circuit asks trigger rules by default now.")
seen.as_stated(rules == ("success", "skipped", "success"), "a short circuit that asks trigger rules skips all_done.")
seen.show("AS STATED: by default a short circuit skips a task with all_done, too.")
PYTHON
