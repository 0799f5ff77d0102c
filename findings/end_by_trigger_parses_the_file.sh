#!/usr/bin/env bash
# A task that its trigger ends makes the DAG processor parse the file of its DAG once more, though nothing calls back.
#
# Guess:    a file is parsed when it has changed or when [dag_processor] min_file_process_interval is over. A request
#           for a callback is made for tasks that have one, and a success on the end of a wait costs no process at all:
#           that is what ending a task in the triggerer is for.
# Instead:  each success in the triggerer stores a request for a callback, whether or not the task has any. The DAG
#           processor starts a process for it that imports and parses the DAG file anew, finds that a success is nothing
#           to call back for, and ends. Requests that come together share a process. The same task that resumes on a
#           worker causes none.
# Versions: apache-airflow 3.3.2, apache-airflow-task-sdk 1.3.2, apache-airflow-providers-standard 1.21.0.
# Source:   airflow/models/trigger.py (_submit_callback_if_necessary), airflow/dag_processing/processor.py.
# Means:    an expensive DAG file is paid for at the end of each such wait, on the machine of the DAG processor; a long
#           min_file_process_interval does not help. Waits of many runs that end one after the other keep it busy.
set -euo pipefail
. "$(dirname "$0")/lib.bash"
begin
export LOOKED_AT="$work/looked-at" AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL=3600
: > "$LOOKED_AT"
for ending in trigger worker; do
    cat > "$work/dags/ended_by_$ending.py" <<PYTHON
import datetime
import os

from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import DAG, get_parsing_context

if not get_parsing_context().task_id:
    with open(os.environ["LOOKED_AT"], "a") as file:
        print("$ending", file=file)

with DAG("ended_by_$ending", schedule=None):
    TimeDeltaSensor(
        task_id="wait", delta=datetime.timedelta(seconds=1), deferrable=True, end_from_trigger="$ending" == "trigger"
    )
PYTHON
done
start_airflow
run_in_background triggerer triggerer --skip-serve-logs
look <<'PYTHON'
import os
import time
from pathlib import Path

import seen

airflow = seen.Airflow()


def parsed(ending):
    return Path(os.environ["LOOKED_AT"]).read_text().split().count(ending)


for ending in ("trigger", "worker"):
    seen.wait_for("the first parsing", lambda: airflow.get(f"dags/ended_by_{ending}"))
time.sleep(10)
more = {}
for ending in ("trigger", "worker"):
    before = parsed(ending)
    for _ in range(4):
        state, _ = airflow.run_to_its_end(f"ended_by_{ending}")
        seen.as_stated(state == "success", f"a run of ended_by_{ending} ends {state}.")
        time.sleep(6)
    more[ending] = parsed(ending) - before
    seen.show(f"four runs, ended by the {ending}: the DAG processor parsed the file {more[ending]} times more")
seen.as_stated(more["worker"] == 0, "a task that ends on a worker has its file parsed as well.")
seen.as_stated(more["trigger"] == 4, "a task that its trigger ends has its file no longer parsed once for each end.")
seen.show("AS STATED: each end in the triggerer has the file parsed, without any callback.")
PYTHON
