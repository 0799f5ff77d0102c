#!/usr/bin/env bash
# The params of a DAG are stored once for every task.
#
# Guess:    params belong to the DAG: they stand once in the row that Airflow stores of it, and a task looks them up
#           there. Whether a DAG gets them before or after its tasks makes no difference.
# Instead:  every task that is made after the DAG has its params gets a copy of all of them, with their schemas and
#           descriptions, and each copy is stored. The same DAG whose params are set behind its tasks takes a fraction
#           of the space and of the time, and has the same params.
# Versions: apache-airflow 3.3.2, apache-airflow-task-sdk 1.3.2.
# Source:   airflow/sdk/bases/operator.py (get_merged_defaults). apache/airflow#32434 is about the time that it costs.
# Means:    a form with many fields in a DAG with many tasks makes a large row, which the scheduler and the API server
#           read again and again.
set -euo pipefail
. "$(dirname "$0")/lib.bash"
begin
look <<'PYTHON'
import json
import time

import seen
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param
from airflow.serialization.serialized_objects import DagSerialization

TASKS = 30
FIELDS = {
    f"field_{number}": Param(
        f"value {number}", type="string", title=f"Field {number}", description="What it is for. " * 10
    )
    for number in range(20)
}


def with_tasks(dag):
    with dag:
        for number in range(TASKS):
            EmptyOperator(task_id=f"task_{number}")
    return dag


def params_first():
    return with_tasks(DAG("form", schedule=None, params=dict(FIELDS)))


def params_last():
    dag = with_tasks(DAG("form", schedule=None))
    dag.params = dict(FIELDS)
    return dag


def measure(make):
    began = time.perf_counter()
    row = DagSerialization.to_dict(make())
    seconds = time.perf_counter() - began
    read = DagSerialization.from_dict(row)
    text = json.dumps(row)
    return text.count("What it is for. " * 10), len(text), seconds, read.params.dump()


first, last = measure(params_first), measure(params_last)
for name, (copies, size, seconds, _) in (("params before the tasks", first), ("params behind the tasks", last)):
    seen.show(f"{name}: {copies // len(FIELDS)} copies of the {len(FIELDS)} fields, {size} characters, {seconds:.2f} s")
seen.show("the DAG's own params are the same:", first[3] == last[3])
seen.as_stated(first[0] == len(FIELDS) * (TASKS + 1), "params are no longer copied into each task.")
seen.as_stated(last[0] == len(FIELDS), "params that are set behind the tasks are stored more than once.")
seen.as_stated(first[3] == last[3], "the two ways no longer give the DAG the same params.")
seen.show("AS STATED: a DAG's params are stored once more for every task that is made after them.")
PYTHON
