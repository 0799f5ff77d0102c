#!/usr/bin/env bash
# While the API server does not answer, a task is told that its connection isn't defined, and gets a variable's default.
#
# Guess:    a connection or variable that cannot be asked for is an error of its own, which names the API server.
# Instead:  after its tries the request counts as "not found here", like a real absence: the connection "isn't
#           defined", and a variable with a default has that default. No exception and no log line of the task tells
#           the two apart. What the environment holds is not affected.
# Versions: apache-airflow 3.3.2, apache-airflow-task-sdk 1.3.2.
# Source:   airflow/sdk/execution_time/secrets/execution_api.py (get_connection, get_variable).
# Means:    a retry policy that gives up where a connection is missing gives up during a restart of the API server; a
#           step that goes on without an optional connection or variable goes on without it then. Whoever has to know
#           asks once more in a way that raises: the supervisor itself, or Variable.keys().
set -euo pipefail
. "$(dirname "$0")/lib.bash"
begin
export ASKED="$work/asked" AIRFLOW__WORKERS__EXECUTION_API_RETRIES=2 AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS=100
cat > "$work/dags/ask.py" <<'PYTHON'
import os
import time
from pathlib import Path

from airflow.sdk import DAG, BaseHook, Variable, task

with DAG("ask", schedule=None):

    @task
    def ask():
        def tell(word):
            try:
                connection = BaseHook.get_connection("stored").host
            except Exception as error:
                connection = f"{type(error).__name__}: {error}"
            Path(os.environ["ASKED"] + word).write_text(f"{connection}\n{Variable.get('stored', default='the default')}")

        tell("-before")
        while not Path(os.environ["ASKED"] + "-outage").exists():
            time.sleep(0.2)
        tell("-meanwhile")

    ask()
PYTHON
start_airflow
timeout -k 10 120 "$python" -m airflow connections add stored --conn-type http --conn-host example.test > "$work/logs/add" 2>&1 \
    || give_up "the connection could not be stored."
timeout -k 10 120 "$python" -m airflow variables set stored "the stored value" > "$work/logs/set" 2>&1 \
    || give_up "the variable could not be stored."
export API_SERVER="${FINDINGS_PIDS[0]}"
look <<'PYTHON'
import os
import signal
from pathlib import Path

import seen

asked = os.environ["ASKED"]


def told(word):
    path = Path(asked + word)
    return seen.wait_for(f"the answer{word}", lambda: path.exists() and path.read_text().splitlines())


airflow = seen.Airflow()
airflow.start("ask")
before = told("-before")
os.killpg(int(os.environ["API_SERVER"]), signal.SIGTERM)
seen.wait_for("the end of the API server", lambda: airflow.call("GET", "version")[0] == 0)
Path(asked + "-outage").touch()
meanwhile = told("-meanwhile")
seen.show(f"the API server answers: {before}")
seen.show(f"the API server is away: {meanwhile}")
seen.as_stated(before == ["example.test", "the stored value"], "a stored connection or variable is not found at all.")
seen.as_stated(
    meanwhile[0].startswith("AirflowNotFoundException"), "a connection that cannot be asked for is told apart."
)
seen.as_stated(meanwhile[1] == "the default", "a variable that cannot be asked for is told apart.")
seen.show("AS STATED: what cannot be asked for counts as absent.")
PYTHON
