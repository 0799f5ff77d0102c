#!/usr/bin/env bash
# A part of an output that is None fails the task that takes it.
#
# Guess:    a task pushes a part of its result under a key of its own, and another takes it by output["part"]. None is a
#           value like any other: the other task gets None, as it does when the whole result is None.
# Instead:  a part that is None counts as a part that was never pushed: the task that takes it fails with XComNotFound,
#           before its first line. With multiple_outputs=True on the task that pushed, it gets None. The whole result
#           None is None in both cases.
# Versions: apache-airflow 3.3.2, apache-airflow-task-sdk 1.3.2. SQLite, LocalExecutor.
# Source:   airflow/sdk/definitions/xcom_arg.py (PlainXComArg.resolve). Not documented.
# Means:    an operator whose parts may be empty has to have multiple_outputs=True, or its readers fail on the day when
#           one is.
set -euo pipefail
. "$(dirname "$0")/lib.bash"
begin
cat > "$work/dags/parts.py" <<'PYTHON'
from airflow.sdk import DAG, BaseOperator, task


class Ask(BaseOperator):
    def execute(self, context):
        parts = {"operation": "4711", "previous": None}
        if not self.multiple_outputs:
            for key, value in parts.items():
                context["ti"].xcom_push(key=key, value=value)
        return parts


class Nothing(BaseOperator):
    def execute(self, context):
        return None


def make(name, **options):
    with DAG(name, schedule=None):
        asked, nothing = Ask(task_id="ask", **options), Nothing(task_id="nothing", **options)

        @task
        def take(value):
            return f"got {value}"

        take.override(task_id="take_operation")(asked.output["operation"])
        take.override(task_id="take_previous")(asked.output["previous"])
        take.override(task_id="take_nothing")(nothing.output)


make("pushed_by_key")
make("multiple_outputs", multiple_outputs=True)
PYTHON
start_airflow
look <<'PYTHON'
import seen

airflow = seen.Airflow()
TAKERS = ("take_operation", "take_previous", "take_nothing")


def look(dag):
    run = airflow.start(dag)
    airflow.end_of(dag, run)
    states = airflow.states(dag, run)
    pushed = (airflow.get(f"dags/{dag}/dagRuns/{run}/taskInstances/ask/xcomEntries") or {}).get("xcom_entries", ())
    seen.show(f"{dag}: pushed by ask: {', '.join(sorted(entry['key'] for entry in pushed))}")
    got = [(states[name], airflow.xcom(dag, run, name)) for name in TAKERS]
    seen.show(f"{dag}:", "; ".join(f"{name} {state}, {value}" for name, (state, value) in zip(TAKERS, got)))
    return got


by_key, multiple = look("pushed_by_key"), look("multiple_outputs")
seen.as_stated(by_key[0] == multiple[0] == ("success", "got 4711"), "a part that is not None is not handed on.")
seen.as_stated(by_key[2] == multiple[2] == ("success", "got None"), "a whole result None is not handed on.")
seen.as_stated(by_key[1] == ("failed", None), "a part that is None is handed on without multiple_outputs, too.")
seen.as_stated(multiple[1] == ("success", "got None"), "a part that is None is missing with multiple_outputs, too.")
seen.show("AS STATED: without multiple_outputs a part that is None fails the task that takes it.")
PYTHON
