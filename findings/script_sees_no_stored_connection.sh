#!/usr/bin/env bash
# A script does not find a connection that Airflow's command line has just stored, and a broken database looks alike.
#
# Guess:    a plain Python process on a machine of Airflow (a script, a shell, a health check) gets a connection by
#           BaseHook.get_connection, as in Airflow 2: environment, secrets backends, then Airflow's database. When that
#           cannot be read, its error says so.
# Instead:  outside of a task the database is never asked: "The conn_id `warehouse` isn't defined", although
#           `airflow connections get warehouse` shows it, and a script finds it by airflow.models.Connection. With
#           _AIRFLOW_PROCESS_CONTEXT=server in the environment it is found. Then a database that cannot be opened gives
#           the same sentence, "isn't defined"; its error is logged for debugging only. So `airflow connections get`
#           says "Connection not found." there, where `airflow connections list` shows the error.
# Versions: apache-airflow 3.3.2, apache-airflow-task-sdk 1.3.2. SQLite.
# Source:   airflow/sdk/execution_time/supervisor.py (ensure_secrets_backend_loaded), context.py (_get_connection). The
#           variable stands in docstrings and comments of the source only.
# Means:    a program beside Airflow has to set the variable before its first look, and to read the database once by
#           itself; else "not defined" may be said of a connection that is there.
set -euo pipefail
. "$(dirname "$0")/lib.bash"
begin
make_database
look <<'PYTHON'
import os
import subprocess
import sys

import seen

DEFINED_NOT = "The conn_id `warehouse` isn't defined"
CANNOT_OPEN = "unable to open database file"
SDK = "from airflow.sdk import BaseHook; ask = BaseHook.get_connection"
MODELS = "from airflow.models import Connection; ask = Connection.get_connection_from_secrets"
ASK = """
try:
    print("ANSWER", ask("warehouse").host)
except Exception as error:
    print("ANSWER", error)
"""
SERVER = {"_AIRFLOW_PROCESS_CONTEXT": "server"}
BROKEN = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{os.environ['AIRFLOW_HOME']}/no-such-folder/airflow.db"}


def run(*arguments, **environment):
    command, environment = [sys.executable, *arguments], os.environ | environment
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)


def ask(program, **environment):
    done = run("-c", program + ASK, **environment)
    answers = [line.removeprefix("ANSWER ") for line in done.stdout.splitlines() if line.startswith("ANSWER ")]
    if len(answers) != 1:
        raise RuntimeError(f"{done.stdout}{done.stderr}")
    return answers[0]


def connections(*arguments, **environment):
    done = run("-m", "airflow", "connections", *arguments, **environment)
    return done.returncode, done.stdout + done.stderr


connections("add", "warehouse", "--conn-type", "generic", "--conn-host", "db.example")
stored, text = connections("get", "warehouse", "--output", "json")
if stored or "db.example" not in text:
    raise RuntimeError(f"the connection was not stored: {text}")
seen.show("airflow connections get: db.example")
listed, text = connections("list", **BROKEN)
if not listed or CANNOT_OPEN not in text:
    raise RuntimeError(f"the database can be opened: {text}")
seen.show("airflow connections list, database cannot be opened:", CANNOT_OPEN)
got, text = connections("get", "warehouse", **BROKEN)
seen.show("airflow connections get, database cannot be opened:", text.strip()[-100:])
answers = {
    "script": ask(SDK),
    "script, airflow.models": ask(MODELS),
    "script as server": ask(SDK, **SERVER),
    "script as server, database cannot be opened": ask(SDK, **SERVER, **BROKEN),
}
for what, answer in answers.items():
    seen.show(f"{what}: {answer}")
seen.as_stated(answers["script"] == DEFINED_NOT, "a script finds a connection that is stored in Airflow's database.")
seen.as_stated(answers["script, airflow.models"] == "db.example", "airflow.models does not find it either.")
seen.as_stated(answers["script as server"] == "db.example", "it is not found as server either.")
seen.as_stated(
    answers["script as server, database cannot be opened"] == DEFINED_NOT,
    "to a script a database that cannot be opened is no longer a connection that is not defined.",
)
seen.as_stated(
    got != 0 and "Connection not found" in text and CANNOT_OPEN not in text,
    "`airflow connections get` tells a database that cannot be opened from a connection that is missing.",
)
seen.show("AS STATED: a script sees no connection of Airflow's database, and as server no error of that database.")
PYTHON
