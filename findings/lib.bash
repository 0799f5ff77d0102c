# Sourced by the scripts of this folder. It installs the pinned packages, starts a small Airflow, and ends it again.
#
# Exit codes of every script: 0 the behaviour is as stated, 1 it has changed, 2 it could not be seen.
# shellcheck shell=bash

FINDINGS_FOLDER="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
FINDINGS_PINS=(
    apache-airflow==3.3.2
    apache-airflow-core==3.3.2
    apache-airflow-task-sdk==1.3.2
    apache-airflow-providers-standard==1.21.0
)
FINDINGS_PIDS=()

give_up() {
    echo "Could not be seen: $*" >&2
    exit 2
}

# A folder of its own, and an interpreter with the pinned packages: FINDINGS_PYTHON, or a fresh environment.
begin() {
    work="$(mktemp -d)"
    trap finish EXIT
    trap 'exit 2' INT TERM
    local name
    for name in $(compgen -e | grep -E '^(AIRFLOW|PYTHONPATH$|VIRTUAL_ENV$)' || true); do unset "$name"; done
    if [ -n "${FINDINGS_PYTHON:-}" ]; then
        python="$FINDINGS_PYTHON"
    else
        install
    fi
    export AIRFLOW_HOME="$work/airflow"
    export AIRFLOW__CORE__DAGS_FOLDER="$work/dags"
    export AIRFLOW__CORE__PLUGINS_FOLDER="$work/plugins"
    export AIRFLOW__CORE__LOAD_EXAMPLES=False
    export AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION=False
    export AIRFLOW__CORE__PARALLELISM=2
    export AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS=True
    export AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="sqlite:///$work/airflow/airflow.db"
    export AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME=0.2
    export AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL=5
    export AIRFLOW__LOGGING__LOGGING_LEVEL=WARNING
    mkdir -p "$AIRFLOW_HOME" "$work/dags" "$work/plugins" "$work/logs"
    "$python" - <<'PYTHON' || give_up "the interpreter has no Airflow."
from importlib.metadata import version

names = ("apache-airflow-core", "apache-airflow-task-sdk", "apache-airflow-providers-standard")
print(", ".join(f"{name} {version(name)}" for name in names))
PYTHON
}

# Everything else comes in the versions of the project's requirements.txt; a constraint has no hashes.
install() {
    local constraints="$work/constraints.txt"
    grep -oE '^[A-Za-z0-9._-]+==[^\\]+' "$FINDINGS_FOLDER/../requirements.txt" > "$constraints"
    "${PYTHON3:-python3}" -m venv "$work/venv" || give_up "python3 cannot make a virtual environment."
    python="$work/venv/bin/python"
    timeout -k 10 900 "$python" -m pip install --no-input --disable-pip-version-check \
        --constraint "$constraints" "${FINDINGS_PINS[@]}" > "$work/install" 2>&1 \
        || give_up "the pinned packages could not be installed: $(tail -n 5 "$work/install")"
}

# A program from standard input, with seen.py to tell what it sees. Longer than 300 s is too long.
look() {
    local code=0
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$FINDINGS_FOLDER" PYTHONWARNINGS=ignore \
        timeout -k 10 300 "$python" - "$@" || code=$?
    [ "$code" -le 1 ] || return 2
    return "$code"
}

make_database() {
    timeout -k 10 180 "$python" -m airflow db migrate > "$work/logs/migrate" 2>&1 \
        || give_up "$(tail -n 5 "$work/logs/migrate")"
}

# API server, scheduler with LocalExecutor and DAG processor, on SQLite; 127.0.0.1 only.
start_airflow() {
    local port
    port="$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
    export AIRFLOW__API__HOST=127.0.0.1
    export AIRFLOW__API__PORT="$port"
    export AIRFLOW__API__BASE_URL="http://127.0.0.1:$port"
    export AIRFLOW__CORE__EXECUTION_API_SERVER_URL="http://127.0.0.1:$port/execution/"
    export AIRFLOW__API_AUTH__JWT_SECRET="only-for-$$-$RANDOM-$RANDOM-on-this-machine-and-for-a-minute"
    export AIRFLOW__API__SECRET_KEY="$AIRFLOW__API_AUTH__JWT_SECRET"
    make_database
    run_in_background api-server api-server --workers 1
    run_in_background scheduler scheduler --skip-serve-logs
    run_in_background dag-processor dag-processor
    look <<'PYTHON' || give_up "Airflow did not start: $(tail -n 5 "$work"/logs/*)"
import seen

seen.Airflow().wait_until_healthy()
PYTHON
}

run_in_background() {
    local name="$1"
    shift
    set -m
    "$python" -m airflow "$@" > "$work/logs/$name" 2>&1 < /dev/null &
    FINDINGS_PIDS+=("$!")
    set +m
}

# Each program is the head of a process group of its own, so its children end with it.
finish() {
    local code=$? pid tries
    trap - EXIT INT TERM
    for pid in "${FINDINGS_PIDS[@]:+${FINDINGS_PIDS[@]}}"; do kill -TERM -- "-$pid" 2> /dev/null || true; done
    for pid in "${FINDINGS_PIDS[@]:+${FINDINGS_PIDS[@]}}"; do
        for ((tries = 0; tries < 100; tries++)); do
            kill -0 -- "-$pid" 2> /dev/null || break
            sleep 0.1
        done
        kill -KILL -- "-$pid" 2> /dev/null || true
    done
    wait 2> /dev/null || true
    rm -rf "$work"
    exit "$code"
}
