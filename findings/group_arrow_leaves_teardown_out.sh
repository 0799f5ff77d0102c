#!/usr/bin/env bash
# A task behind a group does not wait for the group's teardown.
#
# Guess:    group >> report puts report behind everything in the group. The teardown is the group's last task, so report
#           begins when it has ended, and does not begin when it has failed.
# Instead:  the arrow leaves teardowns out. report runs beside the teardown, or before it. A teardown that fails stops
#           nothing, and the run is green, since by default teardowns do not count for it. Only a line from the teardown
#           itself makes report wait, and the run red.
# Versions: apache-airflow 3.3.2, apache-airflow-task-sdk 1.3.2. SQLite, LocalExecutor.
# Source:   docs, "Setup and Teardown": "Teardown tasks are ignored when setting dependencies against task groups."
# Means:    a report of a group can tell nothing of its cleaning up: a service that did not come back is reported as
#           well, by a green run.
set -euo pipefail
. "$(dirname "$0")/lib.bash"
begin
cat > "$work/dags/groups.py" <<'PYTHON'
import time

from airflow.sdk import DAG, TaskGroup, setup, task, teardown


def make(name, line_from_teardown):
    with DAG(name, schedule=None):

        @setup
        def suspend(): ...

        @task
        def back_up(): ...

        @teardown
        def resume():
            time.sleep(3)
            raise RuntimeError("the service does not come back")

        @task
        def report(): ...

        with TaskGroup("service") as service:
            suspended, resumed = suspend(), resume()
            suspended >> back_up() >> resumed
            suspended >> resumed
        last = report()
        service >> last
        if line_from_teardown:
            resumed >> last


make("only_the_arrow", line_from_teardown=False)
make("arrow_and_line", line_from_teardown=True)
PYTHON
start_airflow
look <<'PYTHON'
import seen

airflow = seen.Airflow()


def look(dag):
    run = airflow.start(dag)
    state = airflow.end_of(dag, run)
    tasks = airflow.tasks(dag, run)
    states = {name: tasks[name]["state"] for name in ("service.suspend", "service.back_up", "service.resume", "report")}
    seen.show(f"{dag}: run {state},", ", ".join(f"{name} {told}" for name, told in states.items()))
    begun, over = tasks["report"]["start_date"], tasks["service.resume"]["end_date"]
    return state, states["report"], begun is not None and begun < over


arrow, line = look("only_the_arrow"), look("arrow_and_line")
seen.show("with the arrow alone report began before the teardown had ended:", arrow[2])
seen.as_stated(arrow == ("success", "success", True), "the arrow from a group holds for its teardown, too.")
seen.as_stated(
    line[:2] == ("failed", "upstream_failed"), "a line from the teardown no longer holds the next task back."
)
seen.show("AS STATED: only a line of its own puts a task behind the teardown of a group.")
PYTHON
