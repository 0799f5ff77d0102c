#!/usr/bin/env bash
# Every task parses its DAG file again, and imports again what the file and the task need.
#
# Guess:    the DAG processor parses the file, the tasks run from the row that it stores. The workers of an executor
#           live long, so a library is imported by the first task of a worker, and is there for the next ones.
# Instead:  each task is a process of its own, forked from the worker. It parses the DAG file before it does anything,
#           and what it imports ends with it. A chain of n tasks parses the file n times, and imports the same library n
#           times, in whichever worker.
# Versions: apache-airflow 3.3.2, apache-airflow-task-sdk 1.3.2. SQLite, LocalExecutor with two workers.
# Source:   airflow/sdk/execution_time/task_runner.py (parse), supervisor.py (fork). Docs, "Best practices", advise to
#           import inside of functions because of the DAG processor, and do not name the tasks.
# Means:    a second of imports at the head of a DAG file is a second of every step, also of those that hurry. Inside of
#           functions only the step pays that needs it; not at all what its worker has imported before it forks.
set -euo pipefail
. "$(dirname "$0")/lib.bash"
begin
mkdir "$work/library"
export LOOKED_AT="$work/looked-at" PYTHONPATH="$work/library"
cat > "$work/library/heavy_library.py" <<'PYTHON'
import os

with open(os.environ["LOOKED_AT"], "a") as file:
    print("library", os.getpid(), file=file)
PYTHON
cat > "$work/dags/chain.py" <<'PYTHON'
import os

from airflow.sdk import DAG, get_parsing_context, task

if get_parsing_context().task_id:
    with open(os.environ["LOOKED_AT"], "a") as file:
        print("dag-file", os.getpid(), file=file)

with DAG("chain", schedule=None):

    @task
    def step():
        import heavy_library

        with open(os.environ["LOOKED_AT"], "a") as file:
            print("task", os.getpid(), os.getppid(), heavy_library.__name__, file=file)

    steps = [step.override(task_id=f"step_{number}")() for number in range(6)]
    for first, second in zip(steps, steps[1:]):
        first >> second
PYTHON
start_airflow
look <<'PYTHON'
import os
from collections import Counter
from pathlib import Path

import seen

airflow = seen.Airflow()
state, states = airflow.run_to_its_end("chain")
lines = [line.split() for line in Path(os.environ["LOOKED_AT"]).read_text().splitlines()]
counted = Counter(line[0] for line in lines)
processes = {line[1] for line in lines if line[0] == "task"}
workers = {line[2] for line in lines if line[0] == "task"}
seen.show(f"run {state}: {counted['task']} tasks in {len(processes)} processes, forked from {len(workers)} workers")
seen.show(
    f"the DAG file was parsed for a task {counted['dag-file']} times, the library imported {counted['library']} times"
)
seen.as_stated(state == "success" and counted["task"] == 6, "the chain of six tasks does not run.")
seen.as_stated(counted["dag-file"] == 6, "the DAG file is no longer parsed once for each task.")
seen.as_stated(counted["library"] == 6, "a library is no longer imported anew by each task.")
seen.as_stated(
    len(processes) == 6 and len(workers) <= 2, "a task is no longer a process of its own that a worker forks."
)
seen.show("AS STATED: six tasks of two workers parse the file six times, and import the library six times.")
PYTHON
