# Sourced by the scripts of this folder. It installs the pinned packages, starts a small Airflow or a database server,
# and ends it again.
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

# A folder of its own, an interpreter with the pinned Airflow, and a home for it.
begin() {
    begin_with "${FINDINGS_PINS[@]}"
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
    mkdir -p "$AIRFLOW_HOME" "$work/dags" "$work/plugins"
}

# A folder of its own, and an interpreter with the packages given (NAME==VERSION): FINDINGS_PYTHON, or a fresh one.
begin_with() {
    work="$(mktemp -d)"
    trap finish EXIT
    trap 'exit 2' INT TERM
    mkdir -p "$work/logs"
    local name
    for name in $(compgen -e | grep -E '^(_?AIRFLOW|PYTHONPATH$|VIRTUAL_ENV$)' || true); do unset "$name"; done
    if [ -n "${FINDINGS_PYTHON:-}" ]; then
        python="$FINDINGS_PYTHON"
    else
        install "$@"
    fi
    "$python" - "${@%%==*}" <<'PYTHON' || give_up "the interpreter lacks one of ${*%%==*}."
import sys
from importlib.metadata import version

# apache-airflow is only a name for the other parts of Airflow.
print(", ".join(f"{name} {version(name)}" for name in sys.argv[1:] if name != "apache-airflow"))
PYTHON
}

# Everything else comes in the versions of the project's requirements.txt; a constraint has no hashes.
install() {
    local constraints="$work/constraints.txt"
    grep -oE '^[A-Za-z0-9._-]+==[^\\]+' "$FINDINGS_FOLDER/../requirements.txt" > "$constraints"
    "${PYTHON3:-python3}" -m venv "$work/venv" || give_up "python3 cannot make a virtual environment."
    python="$work/venv/bin/python"
    timeout -k 10 900 "$python" -m pip install --no-input --disable-pip-version-check \
        --constraint "$constraints" "$@" > "$work/install" 2>&1 \
        || give_up "the pinned packages could not be installed: $(tail -n 5 "$work/install")"
}

# A program from standard input, with seen.py to tell what it sees. Longer than 300 s is too long.
look() {
    local code=0
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$FINDINGS_FOLDER" PYTHONWARNINGS=ignore \
        timeout -k 10 300 "$python" - || code=$?
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
    in_background "$name" "$python" -m airflow "$@"
}

in_background() {
    local name="$1"
    shift
    set -m
    "$@" > "$work/logs/$name" 2>&1 < /dev/null &
    FINDINGS_PIDS+=("$!")
    set +m
}

# $server: a folder for a database server, which nobody else may enter. It listens on a socket in there, on no port.
begin_server() {
    server="$work/server"
    as_user=(env)
    mkdir -m 700 "$server"
    [ "$(id -u)" = 0 ] || return 0
    as_user=(setpriv --reuid=nobody "--regid=$(id -g nobody)" --clear-groups)
    chmod 711 "$work"
    chown nobody "$server"
}

# Debian's PostgreSQL, the newest that is installed. Account and database: postgres.
start_postgresql() {
    local folder programs=""
    for folder in /usr/lib/postgresql/*/bin; do [ ! -x "$folder/initdb" ] || programs="$folder"; done
    [ -n "$programs" ] || give_up "PostgreSQL is not installed (on Debian: apt-get install postgresql)."
    begin_server
    (cd "$server" && timeout -k 10 120 "${as_user[@]}" "$programs/initdb" --pgdata=data --username=postgres \
        --auth=trust --no-sync --encoding=UTF8 --locale=C) > "$work/logs/initdb" 2>&1 \
        || give_up "$(tail -n 5 "$work/logs/initdb")"
    in_background postgres "${as_user[@]}" "$programs/postgres" -D "$server/data" -c fsync=off -c listen_addresses= \
        -c "unix_socket_directories=$server"
    wait_for_socket postgres "$server/.s.PGSQL.5432"
}

# Debian's MariaDB, without accounts: only this user reaches its socket. It knows no time zones.
start_mariadb() {
    local program
    program="$(PATH="/usr/sbin:$PATH" command -v mariadbd)" \
        || give_up "MariaDB is not installed (on Debian: apt-get install --no-install-recommends mariadb-server-core)."
    begin_server
    "${as_user[@]}" mkdir "$server/data"
    in_background mariadbd "${as_user[@]}" "$program" --no-defaults "--datadir=$server/data" "--tmpdir=$server/data" \
        --skip-grant-tables --skip-networking "--socket=$server/socket" --innodb-log-file-size=4M \
        --innodb-buffer-pool-size=8M --innodb-flush-method=nosync
    wait_for_socket mariadbd "$server/socket"
}

wait_for_socket() {
    local tries
    for ((tries = 0; tries < 300; tries++)); do
        [ ! -S "$2" ] || return 0
        sleep 0.1
    done
    give_up "$1 did not start: $(tail -n 5 "$work/logs/$1")"
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
